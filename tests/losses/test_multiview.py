"""The multi-view loss: the terms of Eq. 9, its draws, its partners and its conduct in a training."""

import pytest
import scipy.stats
import torch
from torch import Tensor

from pipeline.losses.multiview import MultiViewAttention, draw_directions
from pipeline.losses.partners import Pairings, choose_partners
from pipeline.losses.slices import DISTANCES
from tests.aids import loop_multiview
from tests.losses.test_frequency import features, labels
from tests.losses.test_slices import directions, pair


def loss(kind: str, seed: int = 0, margin: float = 0.012, contrastive: bool = True) -> MultiViewAttention:
    return MultiViewAttention(kind, 3, margin=margin, contrastive=contrastive, layer_weights=(1,), seed=seed)


@pytest.mark.parametrize("kind", DISTANCES)
def test_teacher_gets_no_gradient(kind: str) -> None:
    student, teacher = (a.requires_grad_() for a in pair(4, 8, 2, 2))
    terms = loss(kind)(features(student), features(teacher), labels(4))
    torch.stack(list(terms.losses.values())).sum().backward()
    assert student.grad is not None and student.grad.abs().sum() > 0
    assert teacher.grad is None


@pytest.mark.parametrize("kind", DISTANCES)
def test_autocast_computes_in_float32(kind: str) -> None:
    student, teacher = (a.bfloat16() for a in pair(4, 16, 4, 4, dtype=torch.float32))
    expected = loss(kind)(features(student.float()), features(teacher.float()), labels(4))
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(kind)(features(student), features(teacher), labels(4))
    assert found.losses == expected.losses
    assert all(value.dtype == torch.float32 for value in found.losses.values())


@pytest.mark.parametrize("kind", DISTANCES)
def test_repeats_with_its_seed_and_after_a_resume(kind: str) -> None:
    student, teacher = (features(a) for a in pair(4, 8, 4, 4))
    first = loss(kind, seed=3)
    steps = [first(student, teacher, labels(4)).losses for _ in range(2)]
    state = first.state_dict()
    steps.append(first(student, teacher, labels(4)).losses)
    assert steps[0] != steps[1] != steps[2]  # drawn anew each step
    second = loss(kind, seed=3)
    assert [second(student, teacher, labels(4)).losses for _ in range(3)] == steps
    resumed = loss(kind, seed=99)
    resumed.load_state_dict(state)
    assert resumed(student, teacher, labels(4)).losses == steps[2]


@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("margin", [1e-4, 0.05, 5.0])
def test_terms_are_those_of_equation_9(kind: str, margin: float) -> None:
    """Two images of each class: everyone's positive is known, and the negatives are read from the same generator."""
    student, teacher = pair(4, 8, 4, 4)
    found = loss(kind, margin=margin)(features(student), features(teacher), labels(4))
    generator = torch.Generator().manual_seed(0)
    theta = draw_directions(3, generator)
    positive = torch.tensor([2, 3, 0, 1])
    alike = labels(4)[:, None] == labels(4)[None, :]

    def draw_negative() -> Tensor:
        torch.rand(4, 4, generator=generator)  # the positive's
        return choose_partners(torch.rand(4, 4, generator=generator), alike)

    pairings = Pairings(torch.stack([torch.arange(4), positive, draw_negative()]))
    if kind == "released":
        pairings = pairings._replace(ours=torch.stack([positive, draw_negative()]))
    swd = loop_multiview.distances(kind, student, teacher, theta, pairings, 4)  # (P, K, B)
    negatives = swd[2::2] if kind == "released" else swd[2::2].mean(1, keepdim=True)
    hinge = (margin - negatives).clamp_min(0)
    expected = {
        "multiview_match": 100 * swd[0].mean(),
        "multiview_positive": 50 * swd[1::2].mean((1, 2)).sum(),
        "multiview_negative": 50 * hinge.mean((1, 2)).sum(),
    }
    torch.testing.assert_close(found.losses, expected, check_dtype=False)
    assert found.measures["multiview_hinge_active"].item() == pytest.approx((hinge[0] > 0).double().mean().item())
    assert found.measures["multiview_swd_negative_stage1"].item() == pytest.approx(swd[2].mean().item())


def test_layers_are_weighted_and_skipped() -> None:
    student, teacher = pair(4, 8, 2, 2)
    of_one = loss("histogram")(features(student), features(teacher), labels(4))
    module = MultiViewAttention("histogram", 3, layer_weights=(0, 2.5))
    of_two = module(features(student[:, :3], student), features(teacher, teacher), labels(4))
    for name, value in of_one.losses.items():
        torch.testing.assert_close(of_two.losses[name], 2.5 * value)
    assert not any("stage1" in name for name in of_two.measures)


def test_without_contrast_only_the_match_is_left() -> None:
    student, teacher = (features(a) for a in pair(4, 8, 2, 2))
    terms = loss("histogram", contrastive=False)(student, teacher, labels(4))
    assert list(terms.losses) == ["multiview_match"]
    assert list(terms.measures) == ["multiview_swd_stage1", "multiview_swd"]


def test_a_batch_of_one_class_has_no_contrastive_term() -> None:
    student, teacher = (features(a) for a in pair(4, 8, 2, 2))
    terms = loss("histogram")(student, teacher, torch.ones(4, dtype=torch.int64))
    assert terms.losses["multiview_positive"] == terms.losses["multiview_negative"] == 0
    assert terms.losses["multiview_match"] > 0
    assert terms.measures["multiview_without_negative"] == 4
    assert terms.measures["multiview_without_positive"] == 0


def test_an_image_alone_in_its_class_has_no_positive() -> None:
    """Images 0 and 2 are each other's positive at no distance; image 1, alone, must not add its own."""
    _, teacher = pair(3, 8, 2, 2)
    teacher[2] = teacher[0]
    student = teacher.clone()
    student[1] = student[1].flip(0)
    terms = loss("histogram")(features(student), features(teacher), torch.tensor([0, 1, 0]))
    assert terms.losses["multiview_positive"].item() == pytest.approx(0, abs=1e-9)
    assert terms.losses["multiview_negative"] >= 0
    assert terms.measures["multiview_without_positive"] == 1
    assert terms.measures["multiview_without_negative"] == 0


def test_one_image_alone_is_matched() -> None:
    student, teacher = (features(a) for a in pair(1, 8, 2, 2))
    terms = loss("histogram")(student, teacher, torch.tensor([1]))
    assert terms.losses["multiview_match"] > 0
    assert terms.losses["multiview_positive"] == terms.losses["multiview_negative"] == 0


def test_partners_are_drawn_among_the_allowed_and_evenly() -> None:
    generator = torch.Generator().manual_seed(0)
    allowed = torch.tensor([[False, True, True, False], [True, False, False, True]]).repeat(2000, 1)
    partners = choose_partners(torch.rand(allowed.shape, generator=generator), ~allowed)
    assert allowed.gather(1, partners[:, None]).all()
    shares = torch.bincount(partners, minlength=4) / len(partners)
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.03, rtol=0)


def test_directions_are_uniform_on_the_sphere() -> None:
    theta = directions(20_000)
    torch.testing.assert_close(theta.norm(dim=1), torch.ones(20_000, dtype=torch.float64))
    torch.testing.assert_close(theta.mean(0), torch.zeros(3, dtype=torch.float64), atol=0.02, rtol=0)
    # Archimedes: each coordinate of a uniform point is uniform on [-1, 1].
    assert all(scipy.stats.kstest(axis.numpy(), "uniform", (-1, 2)).pvalue > 0.01 for axis in theta.t())


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="unequal shapes"):
        loss("histogram")(features(torch.zeros(2, 3, 4, 4)), features(torch.zeros(2, 5, 4, 4)), labels(2))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", DISTANCES)
def test_a_gpu_agrees_with_the_cpu(kind: str) -> None:
    student, teacher = pair(4, 16, 4, 4)
    expected = loss(kind)(features(student), features(teacher), labels(4))
    found = loss(kind)(features(student.cuda()), features(teacher.cuda()), labels(4).cuda())
    for name, value in expected.losses.items():
        torch.testing.assert_close(found.losses[name].cpu(), value)
