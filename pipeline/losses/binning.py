"""Squared L2 distances of a feature's energy over bins along random directions: `histogram` and `released`.

    E_j = sum over the positions of bin j of A^2,   m = E / ||A||_F^2,   d = sum_j (m_S - m_T)^2

(Le & Woo, AAAI 2022, Fig. 4.) Which bin a position falls in depends on the direction and the shape alone. So the
energies of all images, directions and bins are one product of a sparse 0/1 matrix (K * g, N) with A^2 (N, B); the
gradient is one with its transpose.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.losses.constants import multiples
from pipeline.losses.partners import Pairings
from pipeline.losses.projection import LEAST_ENERGY, at_once, largest, project


class Bins(NamedTuple):
    """Which of g bins each of N positions falls in, for K directions, and the same read the other way round."""

    bin: Tensor  # (N, K) int32: bin of a position, plus k * g
    order: Tensor  # (K * N,) int32: the positions, bin after bin
    starts: Tensor  # (K * g,) int32: where in `order` each bin begins


def equal_width_bins(
    directions: Tensor, shape: torch.Size, groups: int, released: bool, last: bool, device: torch.device | None = None
) -> Bins:
    """The bins of `histogram` or `released`. directions (K, 3), device: as for `project`.

    last: positions are numbered (H, W, C), as channels_last features lie.
    """
    device = device or directions.device
    count, positions = len(directions), shape.numel()
    extent = directions.abs() @ largest(shape, directions)
    scaled = directions * (groups / extent.clamp_min(torch.finfo(extent.dtype).tiny))[:, None]
    bin = torch.empty(positions, count, dtype=torch.int32, device=device)
    order = torch.empty(count, positions, dtype=torch.int32, device=device)
    starts = torch.empty(count, groups, dtype=torch.int32, device=device)
    step = at_once(device, count)
    # Small integers: their stable sort is a radix sort, five times faster than sorting projections.
    small = torch.int16 if step * groups < 2**15 else torch.int32
    firsts, edges = multiples(step, groups, small, device), multiples(step * groups, 1, small, device)
    for first in range(0, count, step):
        k = slice(first, first + step)
        bins = project(scaled[k], shape, device, last).clamp_max_(groups - 1).to(small).flatten(1)  # (k, N)
        if step > 1:
            bins += firsts[:, None]  # one sort tells all directions apart: a GPU would sort one after the other
        ordered, index = bins.flatten().sort(stable=True)
        torch.searchsorted(ordered, edges, out_int32=True, out=starts[k].view(-1))
        if released:
            bins = _runs(starts[k], shape, last)
            order[k] = _raster(shape, last, device)
        elif step == 1:
            order[first] = index
        else:
            torch.remainder(index.view(step, positions), positions, out=order[k])
        bin[:, k] = bins.t()
    if step < count:
        bin += multiples(count, groups, torch.int32, device)
        starts += multiples(count, positions, torch.int32, device)[:, None]
    return Bins(bin, order.flatten(), starts.flatten())


def _runs(begins: Tensor, shape: torch.Size, last: bool) -> Tensor:
    """The bins of `released`, (k, N): runs of the raster order, as full as the bins of `histogram`.

    begins: (k, g), where these begin in their order, and afterwards where the runs do.
    """
    count, positions = len(begins), shape.numel()
    begins[:, 1:] += 1  # a run goes up to and with the position at the bin's end
    lengths = F.pad(begins.flatten(), (0, 1), value=count * positions).diff()
    runs = torch.repeat_interleave(lengths, output_size=count * positions).view(count, *shape)
    return (runs.permute(0, 2, 3, 1) if last else runs).flatten(1)


@lru_cache(maxsize=16)
def _raster(shape: torch.Size, last: bool, device: torch.device) -> Tensor:
    """The numbers of the positions of a shape (C, H, W) in raster order: (N,) int32."""
    channels, height, width = shape
    numbers = torch.arange(shape.numel(), dtype=torch.int32, device=device)
    return numbers.view(height, width, channels).permute(2, 0, 1).flatten() if last else numbers


def bin_masses(features: Sequence[Tensor], bins: Bins, directions: int) -> tuple[Tensor, Tensor]:
    """m, of which the g of a direction sum to 1, and the ||A||_F^2 that it was divided by.

    features: n of (B, N), positions numbered as in bins: (K, g, n * B) and (1, 1, n * B), one after the other.
    """
    images, positions = features[0].shape
    energy = features[0].new_empty(positions, len(features) * images)
    for some, place in zip(features, energy.split(images, 1), strict=True):
        torch.square(some.t(), out=place)
    binned = F.embedding_bag(bins.order, energy, bins.starts, mode="sum").unflatten(0, (directions, -1))
    whole = binned[:1].sum(1, keepdim=True).clamp_min_(LEAST_ENERGY)
    return binned.div_(whole), whole


class BinnedDistance(torch.autograd.Function):
    """ours, theirs (B, N): features. d for each pairing, direction and image: (P, K, B). Gradient to ours alone.

    kept: of the g bins those that count, from the first on.
    """

    @staticmethod
    def forward(
        ctx: Any, ours: Tensor, theirs: Tensor, bins: Bins, pairings: Pairings, directions: int, kept: int
    ) -> Tensor:
        images = len(ours)
        masses, whole = bin_masses((ours, theirs), bins, directions)
        one, other = (half[:, :kept] for half in masses.split(images, 2))  # (K, g, B)
        difference = _differences(one, other, pairings)
        ctx.save_for_backward(ours, bins.bin, masses[..., :images], whole[..., :images], difference, pairings.ours)
        return difference.square().sum(2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        ours, bin, masses, whole, difference, images = ctx.saved_tensors
        # The 2 of d (m_S - m_T)^2 and that of d A^2 at once, where it is small.
        slope = _to_students(difference * (4 * grads[0])[:, :, None], images)  # dL/dm: (K, g, B)
        slope = F.pad(slope, (0, 0, 0, masses.shape[1] - slope.shape[1])) if slope.shape != masses.shape else slope
        # m = E / W with W = sum_j E_j of the first direction: dL/dE = dL/dm / W, and there - sum dL/dm m / W besides.
        through = (masses / whole).mul_(slope).sum((0, 1), keepdim=True).mul_(whole > LEAST_ENERGY)
        slope.div_(whole)[:1].sub_(through)
        begins = multiples(*bin.shape, bin.dtype, bin.device)
        slope = F.embedding_bag(bin.flatten(), slope.flatten(0, 1), begins, mode="sum")  # dL/dA^2: (N, B)
        return torch.mul(slope.t(), ours, out=torch.empty_like(ours)), None, None, None, None, None


def _differences(ours: Tensor, theirs: Tensor, pairings: Pairings) -> Tensor:
    """Of the masses (K, g, B) of each pairing: (P + Q, K, g, B)."""
    count = len(pairings.theirs)
    found = ours.new_empty(count + (0 if pairings.ours is None else len(pairings.ours)), *ours.shape)
    torch.sub(ours, _chosen(theirs, pairings.theirs), out=found[:count])
    if pairings.ours is not None:
        torch.sub(_chosen(ours, pairings.ours), theirs, out=found[count:])
    return found


def _chosen(masses: Tensor, images: Tensor) -> Tensor:
    """(K, g, B) -> (n, K, g, B) of the images (n, B)."""
    return masses.index_select(2, images.flatten()).unflatten(2, images.shape).permute(2, 0, 1, 3)


def _to_students(slopes: Tensor, images: Tensor | None) -> Tensor:
    """Sum of (P + Q, K, g, B) at the student images of the pairings, of which the last Q are images: (K, g, B)."""
    count = len(slopes) - (0 if images is None else len(images))
    *others, found = slopes[:count].unbind()
    for other in reversed(others):
        found += other
    if images is not None:
        found.index_add_(2, images.flatten(), slopes[count:].permute(1, 2, 0, 3).flatten(2))
    return found
