"""The three distances between sliced feature densities: what SWD means in Eq. 9 (Le & Woo, AAAI 2022, Eq. 5-8, Fig. 4).

A feature A (C, H, W) is a density P = A^2 / ||A||_F^2 over its positions (c, x, y), x the column and y the row. A
direction theta projects a position to t = <theta, (c, x, y)>. What the mass looks like along t is one view of A.

    histogram    Fig. 4: the mass in g bins of equal width on t; squared L2 of the difference of the bin masses
    wasserstein  Eq. 5, 7, 8: the exact 1-D Wasserstein-1 distance, sum |CDF_S - CDF_T| dt, in units of position
    released     the authors' code: bins are runs of the raster order (c, then row, then column), as long as the bins
                 of `histogram` are full (the first longer by one); the last is dropped; squared L2

Bins and orders depend on theta and the shape alone, so they are found once a call, for all images. Each function
returns a distance for each pairing, direction and image, (P, K, B). Directions (K, 3) are best left on the CPU, where
they are drawn. The gradient goes to the student alone. A feature that is all zero has the mass 0 everywhere.
"""

from collections.abc import Callable

from torch import Tensor

from pipeline.losses.binning import BinnedDistance, equal_width_bins
from pipeline.losses.partners import Pairings
from pipeline.losses.projection import LEAST_ENERGY, is_channels_last, project, rows
from pipeline.losses.transport import Wasserstein

Distance = Callable[[Tensor, Tensor, Tensor, Pairings, int], Tensor]


def histogram(student: Tensor, teacher: Tensor, directions: Tensor, pairings: Pairings, groups: int) -> Tensor:
    """Squared L2 of bin masses, mass ordered by projection. Features (B, C, H, W), directions (K, 3): (P, K, B)."""
    return _binned(student, teacher, directions, pairings, groups, released=False)


def released(student: Tensor, teacher: Tensor, directions: Tensor, pairings: Pairings, groups: int) -> Tensor:
    """Squared L2 of the masses of runs of the raster order, the last run dropped: (P, K, B)."""
    return _binned(student, teacher, directions, pairings, groups, released=True)


def wasserstein(student: Tensor, teacher: Tensor, directions: Tensor, pairings: Pairings, groups: int) -> Tensor:
    """The exact Wasserstein-1 distance of the projected densities, in positions: (P, K, B). groups: not used."""
    t = project(directions, student.shape[1:], student.device).flatten(1)  # (K, N)
    ours, theirs = (_density(features.flatten(1)) for features in (student, teacher))
    distance: Tensor = Wasserstein.apply(ours, theirs, t, pairings)
    return distance


DISTANCES: dict[str, Distance] = {"histogram": histogram, "wasserstein": wasserstein, "released": released}


def _binned(
    student: Tensor, teacher: Tensor, directions: Tensor, pairings: Pairings, groups: int, released: bool
) -> Tensor:
    last = is_channels_last(student)
    bins = equal_width_bins(directions, student.shape[1:], groups, released, last, student.device)
    kept = groups - 1 if released else groups
    ours, theirs = (rows(features, last) for features in (student, teacher))
    distance: Tensor = BinnedDistance.apply(ours, theirs, bins, pairings, len(directions), kept)
    return distance


def _density(features: Tensor) -> Tensor:
    energy = features.square()  # (B, N)
    return energy / energy.sum(1, keepdim=True).clamp_min(LEAST_ENERGY)
