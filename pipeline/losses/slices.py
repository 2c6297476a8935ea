"""The three distances between sliced feature densities: what SWD means in Eq. 9 (Le & Woo, AAAI 2022, Eq. 5-8, Fig. 4).

A feature A (C, H, W) is a density P = A^2 / ||A||_F^2 over its positions (c, x, y), x the column and y the row. A
direction theta projects a position to t = <theta, (c, x, y)>. What the mass looks like along t is one view of A.

    histogram    Fig. 4: the mass in g bins of equal width on t; squared L2 of the difference of the bin masses
    wasserstein  Eq. 5, 7, 8: the exact 1-D Wasserstein-1 distance, sum |CDF_S - CDF_T| dt, in units of position
    released     the authors' code: bins are runs of the raster order (c, then row, then column), as long as the bins
                 of `histogram` are full (the first longer by one); the last is dropped; squared L2

Bins and orders depend on theta and the shape alone: found once a call for all images. Each function returns one
distance for each pairing, direction and image, (P, K, B). A pairing says which student image is compared with which
teacher image: two index tensors (B,), None for "each in its place". Gradient flows to the student alone. A feature
without mass (all zero) counts as no mass.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipeline.losses.binning import bin_masses, equal_width_bins
from pipeline.losses.projection import LEAST_ENERGY, Pairing, is_channels_last, pick, project
from pipeline.losses.transport import Wasserstein

Distance = Callable[[Tensor, Tensor, Tensor, Sequence[Pairing], int], Tensor]


def histogram(student: Tensor, teacher: Tensor, directions: Tensor, pairings: Sequence[Pairing], groups: int) -> Tensor:
    """Squared L2 of bin masses, mass ordered by projection. Features (B, C, H, W), directions (K, 3): (P, K, B)."""
    return _binned(student, teacher, directions, pairings, groups, released=False)


def released(student: Tensor, teacher: Tensor, directions: Tensor, pairings: Sequence[Pairing], groups: int) -> Tensor:
    """Squared L2 of the masses of runs of the raster order, the last run dropped: (P, K, B)."""
    return _binned(student, teacher, directions, pairings, groups, released=True)


def wasserstein(
    student: Tensor, teacher: Tensor, directions: Tensor, pairings: Sequence[Pairing], groups: int
) -> Tensor:
    """The exact Wasserstein-1 distance of the projected densities, in positions: (P, K, B). groups: not used."""
    t = project(directions, student.shape[1:]).flatten(1)  # (K, N)
    ours, theirs = (_density(features.flatten(1)) for features in (student, teacher))
    distance: Tensor = Wasserstein.apply(ours, theirs, t, pairings)
    return distance


DISTANCES: dict[str, Distance] = {"histogram": histogram, "wasserstein": wasserstein, "released": released}


def _binned(
    student: Tensor, teacher: Tensor, directions: Tensor, pairings: Sequence[Pairing], groups: int, released: bool
) -> Tensor:
    last = is_channels_last(student)
    teacher = teacher.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    bins = equal_width_bins(directions, student.shape[1:], groups, released, last)
    kept = groups - 1 if released else groups
    ours = bin_masses(student, bins, len(directions))[:, :kept]
    theirs = bin_masses(teacher, bins, len(directions))[:, :kept]
    return torch.stack([(pick(ours, s, 2) - pick(theirs, t, 2)).square().sum(1) for s, t in pairings])


def _density(features: Tensor) -> Tensor:
    energy = features.square()  # (B, N)
    return energy / energy.sum(1, keepdim=True).clamp_min(LEAST_ENERGY)
