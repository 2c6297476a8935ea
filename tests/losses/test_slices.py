"""The distances of sliced densities against scipy, POT, the loop form of each, and finite differences."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from pipeline.losses import binning, transport
from pipeline.losses.binning import bin_masses, equal_width_bins
from pipeline.losses.multiview import draw_directions
from pipeline.losses.partners import Pairings
from pipeline.losses.projection import project
from pipeline.losses.slices import DISTANCES
from tests.aids import loop_multiview

ALL = Pairings(torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.tensor([[2, 2, 1]]))


def own(images: int) -> Pairings:
    return Pairings(torch.arange(images)[None])


def pair(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, Tensor]:
    """ReLU-like features: about half the positions are zero."""
    student, teacher = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).relu()
    return student, teacher


def directions(count: int, seed: int = 0) -> Tensor:
    return draw_directions(count, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(3, 8, 4, 4), (3, 6, 5, 3), (3, 16, 2, 7)])
def test_equals_the_loop_form(kind: str, layout: torch.memory_format, shape: tuple[int, ...]) -> None:
    student, teacher = (a.contiguous(memory_format=layout) for a in pair(*shape))
    student.requires_grad_()
    arguments = (student, teacher, directions(5), ALL, shape[1] // 2)
    fast, slow = DISTANCES[kind](*arguments), loop_multiview.distances(kind, *arguments)
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-12)
    weights = torch.rand(fast.shape, dtype=fast.dtype)
    gradients = [torch.autograd.grad((values * weights).sum(), student)[0] for values in (fast, slow)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", DISTANCES)
def test_float32_agrees_to_a_hundred_thousandth(kind: str) -> None:
    student, teacher = pair(3, 64, 8, 8, dtype=torch.float32)
    fast = DISTANCES[kind](student, teacher, directions(4), ALL, 32)
    slow = loop_multiview.distances(kind, student.double(), teacher.double(), directions(4), ALL, 32)
    assert fast.dtype == torch.float32
    torch.testing.assert_close(fast.double(), slow, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("some", [2, 5])
def test_directions_together_as_on_a_gpu_are_those_one_by_one(
    kind: str, layout: torch.memory_format, some: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is room for some of them alone, and the last ones are fewer."""
    student, teacher = (a.contiguous(memory_format=layout) for a in pair(3, 8, 4, 5))
    student.requires_grad_()
    found = []
    for together in (False, True):
        if together:
            monkeypatch.setattr(binning, "at_once", lambda device, directions: directions)
            monkeypatch.setattr(transport, "at_once", lambda device, directions: directions)
            monkeypatch.setattr(transport, "MOST_VALUES", some * student.numel())
        distance = DISTANCES[kind](student, teacher, directions(5), ALL, 4)
        weights = torch.rand(distance.shape, generator=torch.Generator().manual_seed(0), dtype=distance.dtype)
        found.append((distance, torch.autograd.grad((distance * weights).sum(), student)[0]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-15)


def test_released_is_a_walk_through_the_raster() -> None:
    """Spec 4, points 1 to 3, position by position: no sort, no cumulative sum."""
    student, teacher = pair(2, 8, 3, 4)
    groups = 4
    for k, (a, b, c) in enumerate(directions(3).tolist()):
        t = [a * ch + b * x + c * y for ch in range(8) for y in range(3) for x in range(4)]
        low, high = min(t), max(t)
        ends = [sum(v < low + (high - low) * j / groups for v in t) for j in range(1, groups)]
        for image in range(2):
            masses = []
            for feature in (student[image], teacher[image]):
                flat = (feature.square() / feature.square().sum()).flatten().tolist()
                begins = [0, *(end + 1 for end in ends)]
                masses.append([sum(flat[i:j]) for i, j in pairwise(begins)])
            expected = sum((p - q) ** 2 for p, q in zip(*masses, strict=True))
            found = DISTANCES["released"](student, teacher, directions(3), own(2), groups)[0, k, image]
            assert found.item() == pytest.approx(expected, rel=1e-9)


def test_wasserstein_equals_scipy_and_pot() -> None:
    import ot  # here: what is marked gpu runs on machines without it

    student, teacher = pair(2, 6, 4, 5)
    found = DISTANCES["wasserstein"](student, teacher, directions(3), own(2), 3)[0]  # (K, B)
    c, y, x = np.indices((6, 4, 5)).reshape(3, -1)
    for k, theta in enumerate(directions(3).numpy()):
        t = theta @ np.stack([c, x, y])
        for image in range(2):
            p, q = ((a[image].numpy() ** 2 / (a[image].numpy() ** 2).sum()).ravel() for a in (student, teacher))
            assert found[k, image].item() == pytest.approx(scipy.stats.wasserstein_distance(t, t, p, q), rel=1e-9)
            assert found[k, image].item() == pytest.approx(ot.emd2_1d(t, t, p, q, metric="euclidean"), rel=1e-9)
            assert found[k, image].item() == pytest.approx(ot.wasserstein_1d(t, t, p, q, p=1), rel=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_gives_its_marginal(axis: int) -> None:
    """Spec 4: theta = (1, 0, 0) is channel attention, (0, 1, 0) and (0, 0, 1) are spatial."""
    feature, _ = pair(2, 5, 4, 3)
    theta = torch.eye(3, dtype=torch.float64)[axis : axis + 1]
    dims = {0: (2, 3), 1: (1, 2), 2: (1, 3)}[axis]  # x is the column
    energy = feature.square()
    marginal = energy.sum(dims) / energy.sum((1, 2, 3))[:, None]
    bins = equal_width_bins(theta, feature.shape[1:], marginal.shape[1], released=False, last=False)
    masses, _ = bin_masses([feature.flatten(1)], bins, 1)
    torch.testing.assert_close(masses[0].t(), marginal)


def test_mass_is_conserved() -> None:
    feature, _ = pair(3, 16, 4, 4)
    bins = equal_width_bins(directions(7), feature.shape[1:], 8, released=False, last=False)
    masses, _ = bin_masses([feature.flatten(1)], bins, 7)
    torch.testing.assert_close(masses.sum(1), torch.ones(7, 3, dtype=torch.float64))


def test_projection_spans_from_zero() -> None:
    t = project(directions(9), torch.Size((6, 3, 5))).flatten(1)
    torch.testing.assert_close(t.min(1).values, torch.zeros(9, dtype=torch.float64))
    a, b, c = directions(1)[0]
    whole = project(directions(1), torch.Size((6, 3, 5)))[0]
    torch.testing.assert_close(whole[4, 2, 1] - whole[1, 0, 3], 3 * a - 2 * b + 2 * c)


@pytest.mark.parametrize("kind", DISTANCES)
class TestEachDistance:
    def test_gradcheck(self, kind: str) -> None:
        student, teacher = pair(3, 4, 2, 3)
        student = (student + 0.1).requires_grad_()  # away from the kinks of |CDF_S - CDF_T|
        assert torch.autograd.gradcheck(lambda a: DISTANCES[kind](a, teacher, directions(3), ALL, 2), student)

    def test_equal_features_are_at_no_distance(self, kind: str) -> None:
        student, _ = pair(3, 8, 4, 4)
        assert DISTANCES[kind](student, student.clone(), directions(4), own(3), 4).abs().max() < 1e-25

    def test_scale_of_a_feature_does_not_matter(self, kind: str) -> None:
        student, teacher = pair(3, 8, 4, 4)
        expected = DISTANCES[kind](student, teacher, directions(4), own(3), 4)
        torch.testing.assert_close(DISTANCES[kind](7 * student, 0.1 * teacher, directions(4), own(3), 4), expected)

    def test_channel_order_matters(self, kind: str) -> None:
        student, teacher = pair(3, 8, 4, 4)
        order = torch.tensor([5, 2, 7, 0, 3, 6, 1, 4])
        expected = DISTANCES[kind](student, teacher, directions(4), own(3), 4)
        permuted = DISTANCES[kind](student[:, order], teacher[:, order], directions(4), own(3), 4)
        assert ((permuted - expected).abs() > 1e-3 * expected).any()

    def test_a_feature_without_mass_gives_finite_numbers(self, kind: str) -> None:
        student, teacher = pair(3, 4, 2, 2, dtype=torch.float32)
        student = torch.zeros_like(student).requires_grad_()
        distance = DISTANCES[kind](student, teacher, directions(2), ALL, 2)
        distance.sum().backward()
        assert distance.isfinite().all()
        assert student.grad is not None and student.grad.isfinite().all()
