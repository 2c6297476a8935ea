"""Every distillation but ADD against its formula; every distiller on toy features of every shape it will meet."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.detectors.backbones.features import Features
from pipeline.detectors.backbones.registry import build
from pipeline.losses import registry as losses
from pipeline.losses.attention import AttentionTransfer
from pipeline.losses.crd import ContrastiveDistillation
from pipeline.losses.feature import FeatureMatching
from pipeline.losses.fitnet import FitNet
from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.kd import KnowledgeDistillation
from pipeline.losses.non_local import NonLocal
from pipeline.params.cells import ABLATIONS
from pipeline.params.schema import Params, load
from pipeline.work.errors import UserError

CHANNELS = (8, 16, 16, 24)
SIDES = (8, 6, 4, 2)
LABELS = torch.tensor([0, 1, 1, 0])
METHODS = ("add", *ABLATIONS, *losses.DISTILLED)
# at which stages' features a method pulls, from 0; kd does at the logits
PULLS = {method: [1, 2, 3] for method in ("add", *ABLATIONS, "at", "nl", "feature")}
PULLS |= {"warm_start": [], "fitnet": [3], "kd": [], "crd": [3]}


@pytest.fixture(scope="module")
def params() -> Params:
    return load(Path(__file__).parents[2] / "params.yaml")


def toy(seed: int, *, grad: bool = False) -> Features:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(len(LABELS), c, s, s) for c, s in zip(CHANNELS, SIDES, strict=True)]
    stages = tuple(torch.rand(shape, generator=generator).requires_grad_(grad) for shape in shapes)
    logits = torch.randn(len(LABELS), 2, generator=generator).requires_grad_(grad)
    return Features(stages, stages[-1].mean((2, 3)), logits)


def only(module: nn.Module, student: Features, teacher: Features) -> Tensor:
    (loss,) = module(student, teacher, LABELS).losses.values()
    return loss


def test_at_is_its_formula() -> None:
    student, teacher = toy(0), toy(1)
    expected = 0.0
    for stage, weight in ((1, 0.5), (2, 1.0), (3, 2.0)):
        for image in range(len(LABELS)):
            maps = [(f.stages[stage][image].numpy().astype(float) ** 2).sum(0).ravel() for f in (student, teacher)]
            ours, theirs = (m / math.sqrt((m**2).sum()) for m in maps)
            expected += weight * ((ours - theirs) ** 2).sum() / len(LABELS)
    found = AttentionTransfer((0, 0.5, 1, 2))(student, teacher, LABELS)
    assert float(found.losses["at"]) == pytest.approx(expected, rel=1e-5)
    assert set(found.measures) == {"at_stage2", "at_stage3", "at_stage4"}


def test_kd_is_its_formula_and_ends_where_the_answers_agree() -> None:
    student, teacher = toy(0), toy(1)
    p, q = (np.exp(f.logits.numpy().astype(float) / 4) for f in (teacher, student))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    found = only(KnowledgeDistillation(4.0), student, teacher).item()
    assert found == pytest.approx(16 * (p * np.log(p / q)).sum(1).mean(), rel=1e-5)
    assert only(KnowledgeDistillation(4.0), student, student).item() == pytest.approx(0, abs=1e-7)


def test_feature_matching_is_the_frequency_loss_without_its_weight() -> None:
    """Value and gradient: the DFT at gamma_FR = 0 is a mean squared error of features, and written out so."""
    layers = (0, 0.5, 2.0, 0.25)
    gradients = []
    for module in (FeatureMatching("feature", layers), FrequencyAttention(0.0, layers)):
        student = toy(0, grad=True)
        loss = only(module, student, toy(1))
        loss.backward()
        gradients.append((loss.item(), *(x.grad for x in student.stages[1:])))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    pairs = [(a.double().numpy(), b.double().numpy()) for a, b in zip(toy(0).stages, toy(1).stages, strict=True)]
    found = sum(w * ((a - b) ** 2).mean((0, 2, 3)).sum() for w, (a, b) in zip(layers, pairs, strict=True))
    assert gradients[0][0] == pytest.approx(found, rel=1e-5)


def test_crd_is_its_formula() -> None:
    torch.manual_seed(0)
    student, teacher = toy(0), toy(1)
    module = ContrastiveDistillation(CHANNELS[-1], CHANNELS[-1], temperature=0.1, dimensions=6)
    sides = []
    for features, linear in ((student, module.embed_student), (teacher, module.embed_teacher)):
        pooled = features.stages[-1].double().numpy().mean((2, 3))
        projected = pooled @ linear.weight.detach().double().numpy().T + linear.bias.detach().double().numpy()
        sides.append(projected / np.linalg.norm(projected, axis=1, keepdims=True))
    scores = np.exp(sides[0] @ sides[1].T / 0.1)
    expected = 0.0
    for i in range(len(LABELS)):
        others = [j for j in range(len(LABELS)) if LABELS[j] != LABELS[i]]
        for anchored in (scores[i], scores[:, i]):
            expected -= math.log(anchored[i] / (anchored[i] + anchored[others].sum())) / len(LABELS)
    assert only(module, student, teacher).item() == pytest.approx(expected, rel=1e-4)
    alone = module(student, teacher, torch.zeros(4, dtype=torch.long)).losses["crd"]
    assert alone.item() == pytest.approx(0, abs=1e-6)


def test_crd_teaches_whose_student_is_whose() -> None:
    torch.manual_seed(0)
    student, teacher = toy(0, grad=True), toy(1)
    module = ContrastiveDistillation(CHANNELS[-1], CHANNELS[-1], temperature=0.07, dimensions=16)
    optimizer = torch.optim.Adam([*module.parameters(), student.stages[-1]], lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        only(module, student, teacher).backward()
        optimizer.step()
    assert only(module, student, teacher).item() < 0.01


def test_at_does_not_see_the_scale_of_features() -> None:
    student = toy(0)
    scaled = student._replace(stages=tuple(3 * x for x in student.stages))
    assert float(only(AttentionTransfer(), scaled, student)) == pytest.approx(0, abs=1e-6)


def test_fitnet_is_the_mean_squared_error_after_a_1x1_regressor() -> None:
    torch.manual_seed(0)
    student, teacher = toy(0), toy(1)
    module = FitNet(CHANNELS[-1], CHANNELS[-1])
    weight = module.regressor.weight.detach()[:, :, 0, 0].numpy()
    bias = module.regressor.bias.detach().numpy()[:, None]
    errors = [
        (weight @ student.stages[-1][i].numpy().reshape(24, -1) + bias - teacher.stages[-1][i].numpy().reshape(24, -1))
        for i in range(len(LABELS))
    ]
    found = only(module, student, teacher).item()
    assert found == pytest.approx(np.mean(np.square(errors)), rel=1e-5)


def test_fitnet_joins_networks_of_other_widths() -> None:
    teacher = toy(1)
    wide = teacher._replace(stages=(*teacher.stages[:3], torch.rand(4, 40, 2, 2)))
    assert only(FitNet(24, 40), toy(0), wide).isfinite()


def test_nl_is_its_formula() -> None:
    student, teacher = toy(0), toy(1)
    module = NonLocal(CHANNELS, (0, 0, 0, 1), seed=3)
    embedding = module.get_buffer("embedding4").double().numpy()  # (3, 24)
    blocks = []
    for features in (student, teacher):
        x = features.stages[3].double().numpy().reshape(4, 24, -1)
        rows = []
        for image in x:
            key = embedding @ image  # (3, HW)
            affinity = np.exp(key.T @ key / math.sqrt(3))
            rows.append(image + image @ (affinity / affinity.sum(1, keepdims=True)).T)
        blocks.append(np.stack(rows))
    expected = np.mean((blocks[0] - blocks[1]) ** 2)
    assert float(only(module, student, teacher)) == pytest.approx(expected, rel=1e-4)


def test_nl_cannot_collapse() -> None:
    """Nothing in it can be trained, so the loss falls only where the student's features become the teacher's."""
    module = NonLocal(CHANNELS, seed=0)
    assert not list(module.parameters())
    for stage in range(1, 5):
        rows = module.get_buffer(f"embedding{stage}")
        torch.testing.assert_close(rows @ rows.t(), torch.eye(len(rows)))
    student, teacher = toy(0, grad=True), toy(1)
    optimizer = torch.optim.Adam(student.stages, lr=0.03)
    start = float(only(module, student, teacher).detach())
    for _ in range(100):
        optimizer.zero_grad()
        only(module, student, teacher).backward()
        optimizer.step()
    assert float(only(module, student, teacher).detach()) < 1e-2 * start
    for ours, theirs in zip(student.stages[1:], teacher.stages[1:], strict=True):
        assert (ours - theirs).abs().mean() < 0.1 * theirs.std()


def test_nl_is_the_same_for_the_same_seed() -> None:
    first, same, other = (NonLocal(CHANNELS, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not torch.equal(first["embedding4"], other["embedding4"])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_on_toy_features(method: str, params: Params) -> None:
    distillers = losses.build(method, "mobilenet_v2", params, CHANNELS, CHANNELS, seed=0)
    student, teacher = toy(0, grad=True), toy(1, grad=True)
    for weight, module in distillers.values():
        assert weight > 0
        terms = module(student, teacher, LABELS)
        sum(terms.losses.values()).backward()
        assert all(value.isfinite() and not value.requires_grad for value in terms.measures.values())
    assert all(x.grad is None for x in (*teacher.stages, teacher.logits))
    touched = [index for index, x in enumerate(student.stages) if x.grad is not None and bool(x.grad.any())]
    logits = student.logits.grad is not None
    if method in PULLS:
        assert (touched, logits) == (PULLS[method], method == "kd")
    else:  # one that was just added
        assert touched or logits
    assert all(p.grad is not None for _, module in distillers.values() for p in module.parameters())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "efficientnet_b0", "xception"])
def test_every_method_trains_every_kind_of_backbone(name: str, params: Params) -> None:
    torch.manual_seed(0)
    student, teacher = build(name).train(), build(name).eval()
    images, labels = torch.randn(4, 3, 64, 64), LABELS
    with torch.no_grad():
        target = teacher(images)
    features = student(images)
    for method in METHODS:
        distillers = losses.build(method, name, params, student.channels, teacher.channels, seed=0)
        for _, module in distillers.values():
            total = sum(module(features, target, labels).losses.values())
            (gradient,) = torch.autograd.grad(total, features.stages[-1], retain_graph=True)
            assert gradient.isfinite().all()
            assert gradient.any()


def test_ablations_keep_the_parts_of_table_2(params: Params) -> None:
    parts = {method: losses.build(method, "resnet50", params, CHANNELS, CHANNELS, 0) for method in METHODS}
    assert set(parts["add"]) == {"frequency", "multiview"}
    assert set(parts["add_fr"]) == {"frequency"}
    assert set(parts["add_mv"]) == set(parts["add_mv_plain"]) == {"multiview"}
    assert parts["add_mv"]["multiview"][1].contrastive
    assert not parts["add_mv_plain"]["multiview"][1].contrastive
    assert parts["add"]["frequency"][0] == params.alpha
    assert parts["add"]["multiview"][0] == params.beta


def test_gamma_of_the_backbone(params: Params) -> None:
    gammas = {name: losses.build("add", name, params, CHANNELS, CHANNELS, 0)["frequency"][1].gamma
              for name in ("resnet50", "efficientnet_b0")}  # fmt: skip
    assert gammas == {"resnet50": 1.0, "efficientnet_b0": 1e-3}


def test_mistakes_are_named(params: Params) -> None:
    with pytest.raises(UserError, match="no such distillation"):
        losses.build("rkd", "resnet50", params, CHANNELS, CHANNELS, 0)
    with pytest.raises(UserError, match="same channels"):
        losses.build("nl", "resnet50", params, CHANNELS, (1, 2, 3, 4), 0)


def test_every_distillation_has_its_params_and_every_param_its_distillation(params: Params) -> None:
    assert set(dict(params.distill)) == set(losses.DISTILLED)
