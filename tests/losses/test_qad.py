"""QAD against its definitions: HSIC in loops, the perturbed gradient by hand, the warm-up, and no trace left behind."""

import copy
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.detectors.device import seed_everything
from pipeline.losses import registry
from pipeline.losses.qad import QualityAgnostic, centred_kernel, dependence
from pipeline.params.schema import load
from pipeline.work.errors import UserError
from tests.aids.toys import Toy

LABELS = torch.tensor([0, 1, 1, 0, 1, 0])
QUALITIES = ("raw", "c23", "c40")
PARAMS = load(Path(__file__).parents[2] / "params.yaml")


def hsic(first: np.ndarray, second: np.ndarray, sigma: float) -> float:
    """Gretton's biased estimator as three sums over kernels, pair by pair: no centring matrix."""
    k, m = (
        np.array([[np.exp(-((a - b) ** 2).mean() / (2 * sigma**2)) for b in rows] for a in rows])
        for rows in (first.reshape(len(first), -1), second.reshape(len(second), -1))
    )
    n = len(first)
    together = (k * m).mean() + k.mean() * m.mean() - 2 * (k.mean(0) * m.mean(0)).mean()
    return float(n**2 * together / (n - 1) ** 2)


def images() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(len(LABELS), 3, 16, 16, generator=generator) + LABELS[:, None, None, None]
    return {"raw": raw, "c23": (2 * raw).round() / 2, "c40": raw.round()}


def task(**changes: Any) -> QualityAgnostic:
    seed_everything(0)
    toy = Toy()
    toy.classifier[0].p = 0.0  # else two passes drop different units
    settings = PARAMS.agnostic.qad.model_dump(exclude={"train"}) | {"layer_weights": (0, 0.5, 1, 0.25)} | changes
    return QualityAgnostic(toy, QUALITIES, **settings).train()


@pytest.mark.parametrize("sigma", [0.5, 6.0])
def test_dependence_is_hsic_over_its_largest_value(sigma: float) -> None:
    generator = torch.Generator().manual_seed(1)
    first, noise = (torch.randn(7, 4, 3, 3, generator=generator) for _ in range(2))
    second = first + 0.5 * noise
    x, y = first.double().numpy(), second.double().numpy()
    expected = hsic(x, y, sigma) / np.sqrt(hsic(x, x, sigma) * hsic(y, y, sigma))
    kernels = [centred_kernel(features, sigma) for features in (first, second)]
    assert dependence(*kernels).item() == pytest.approx(expected, rel=2e-3)
    assert dependence(kernels[0], kernels[0]).item() == pytest.approx(1, rel=1e-5)
    assert kernels[0].sum(0).abs().max() < 1e-5


def test_dependence_falls_as_features_part_and_alike_ones_have_no_gradient_pull() -> None:
    generator = torch.Generator().manual_seed(1)
    first, noise = (torch.randn(40, 8, generator=generator) for _ in range(2))
    found = [dependence(centred_kernel(first, 1.0), centred_kernel(first + w * noise, 1.0)).item() for w in (0, 1, 9)]
    assert found[0] == pytest.approx(1, rel=1e-5) and found[0] > found[1] > found[2]


def test_the_loss_is_its_formula() -> None:
    module = task(perturbation=0.0, weight=0.7, sigma=0.5)
    terms = module(images(), LABELS)
    reference = task()
    found = reference.student(torch.cat([images()[q] for q in QUALITIES]))
    entropies = [cross_entropy(part, LABELS) for part in found.logits.chunk(3)]
    assert terms.losses["cross_entropy"].item() == pytest.approx(torch.stack(entropies).mean().item(), rel=1e-5)
    expected = 0.0
    for stage, weight in ((1, 0.5), (2, 1.0), (3, 0.25)):
        parts = [part.detach().double().numpy() for part in found.stages[stage].chunk(3)]
        pairs = combinations(parts, 2)
        alike = np.mean([hsic(a, b, 0.5) / np.sqrt(hsic(a, a, 0.5) * hsic(b, b, 0.5)) for a, b in pairs])
        assert terms.measures[f"hsic_stage{stage + 1}"].item() == pytest.approx(alike, rel=1e-4)
        expected += 0.7 * weight * (1 - alike)
    assert terms.losses["hsic"].item() == pytest.approx(expected, rel=1e-3)


def test_the_gradient_is_that_of_the_perturbed_weights_and_lands_on_the_weights() -> None:
    module = task(perturbation=0.1, perturbation_warmup=0)
    sum(module(images(), LABELS).losses.values()).backward()

    plain = task(perturbation=0.0)
    sum(plain(images(), LABELS).losses.values()).backward()
    by_hand = task(perturbation=0.0)
    with torch.no_grad():
        for moved, seen in zip(by_hand.student.parameters(), plain.student.parameters(), strict=True):
            if seen.ndim > 1:
                moved += 0.1 * seen.norm() * seen.grad / seen.grad.norm()
    sum(by_hand(images(), LABELS).losses.values()).backward()
    for name, parameter in module.student.named_parameters():
        torch.testing.assert_close(parameter.grad, by_hand.student.get_parameter(name).grad, rtol=1e-4, atol=1e-6)
        assert torch.equal(parameter, plain.student.get_parameter(name)), "the weights themselves have moved"
    assert not torch.allclose(module.student.body[1][0].weight.grad, plain.student.body[1][0].weight.grad, rtol=1e-3)


def test_the_perturbation_raises_the_loss_and_leaves_one_step_of_statistics() -> None:
    module, plain = task(perturbation=0.1, perturbation_warmup=0), task(perturbation=0.0)
    higher, lower = (sum(m(images(), LABELS).losses.values()).item() for m in (module, plain))
    assert higher > lower
    assert module.student.body[0][1].num_batches_tracked == 1


def test_it_waits_for_its_warm_up_and_the_classifiers() -> None:
    early, late, plain = task(perturbation_warmup=2), task(perturbation_warmup=2), task(perturbation=0.0)
    late.epoch = 2
    values = [m(images(), LABELS).losses["cross_entropy"].item() for m in (early, late, plain)]
    assert values[0] == values[2] != values[1]
    assert set(late(images(), LABELS, warmup=True).losses) == {"cross_entropy"}


def test_frozen_weights_stay_where_they_are() -> None:
    module = task(perturbation=0.1, perturbation_warmup=0)
    frozen = copy.deepcopy(module.student.body[0].requires_grad_(False).state_dict())
    sum(module(images(), LABELS).losses.values()).backward()
    assert module.student.body[0][0].weight.grad is None
    assert all(torch.equal(frozen[name], p) for name, p in module.student.body[0].named_parameters())


def test_quality_agnostic_methods_and_their_params_are_the_same() -> None:
    assert set(dict(PARAMS.agnostic)) == set(registry.AGNOSTIC)
    for method in registry.AGNOSTIC:
        assert registry.agnostic(method, Toy(), PARAMS)[0].student.channels == Toy.channels
    with pytest.raises(UserError, match="no such quality-agnostic method"):
        registry.agnostic("add", Toy(), PARAMS)
    with pytest.raises(UserError, match="`compressions` is empty"):
        registry.agnostic("qad", Toy(), PARAMS.model_copy(update={"compressions": ()}))
