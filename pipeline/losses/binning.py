"""Squared L2 distances of a feature's energy over bins along random directions: `histogram` and `released`.

For each image and each direction k, with j = 1..g bins (Le & Woo, AAAI 2022, Fig. 4):

    E_kj = sum of A_i^2 over the positions i in bin j of direction k        the bin's energy
    m_kj = E_kj / W,  W = ||A||_F^2                                         its mass; the g masses sum to 1
    d_k  = sum_j (m_kj of the student - m_kj of the teacher)^2              the distance

Which bin a position falls in depends on the direction and the shape alone, not on the image. So the energies of all
images, directions and bins are one product: E (K * g, B) = S A^2, where S (K * g, N) is sparse, 1 where the position is
in the bin and else 0, and A^2 is (N, B). torch's embedding_bag computes it: a bag is a row of S. The gradient is a
product with the transpose of S. It is written by hand in `BinnedDistance`, which gives the formulas.
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
    """Which of g bins each of N positions falls in, for K directions: S by its columns (bin), and by its rows."""

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
    """The masses m (K, g, n * B) of n features (B, N), one after the other, and their W (1, 1, n * B).

    Positions are numbered as in bins. W is the sum of the first direction's bins, which hold every position as those of
    each direction do; it is not less than LEAST_ENERGY.
    """
    images, positions = features[0].shape
    energy = features[0].new_empty(positions, len(features) * images)
    for some, place in zip(features, energy.split(images, 1), strict=True):
        torch.square(some.t(), out=place)
    binned = F.embedding_bag(bins.order, energy, bins.starts, mode="sum").unflatten(0, (directions, -1))
    whole = binned[:1].sum(1, keepdim=True).clamp_min_(LEAST_ENERGY)
    return binned.div_(whole), whole


class BinnedDistance(torch.autograd.Function):
    """The distances d of each pairing, direction and image: features ours, theirs (B, N) -> (P, K, B).

    kept: how many of the g bins count, from the first on. The gradient goes to ours alone. With G = dL/dd it is

        s_kj     = dL/dm_kj = sum_p 2 G_pk (m_S - m_T)_pkj        over the pairings p that the student's image is in
        dL/dE_kj = s_kj / W - [k = 1] Z / W                       as m = E / W and W = sum_j E_1j; Z = sum_kj s_kj m_kj
        dL/dA_i  = 2 A_i sum_k dL/dE_kj(i)                        j(i) is the bin of position i along direction k

    Where W is held at LEAST_ENERGY it is a constant, and the term with Z falls away. tests/losses/test_slices.py holds
    this to finite differences and to autograd, which takes more kernels for it: on a GPU their launches are what takes
    the time (docs/gpu.md).
    """

    @staticmethod
    def forward(
        ctx: Any, ours: Tensor, theirs: Tensor, bins: Bins, pairings: Pairings, directions: int, kept: int
    ) -> Tensor:
        images = len(ours)
        masses, whole = bin_masses((ours, theirs), bins, directions)
        one, other = (half[:, :kept] for half in masses.split(images, 2))  # (K, g, B)
        difference = _differences(one, other, pairings)  # m_S - m_T: (P, K, g, B)
        ctx.save_for_backward(ours, bins.bin, masses[..., :images], whole[..., :images], difference, pairings.ours)
        return difference.square().sum(2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        ours, bin, masses, whole, difference, images = ctx.saved_tensors
        # 4 G, not 2 G: the 2 of dL/dA as well, here where the tensor is small.
        slope = _to_students(difference * (4 * grads[0])[:, :, None], images)  # s: (K, g, B)
        slope = F.pad(slope, (0, 0, 0, masses.shape[1] - slope.shape[1])) if slope.shape != masses.shape else slope
        through_whole = (masses / whole).mul_(slope).sum((0, 1), keepdim=True).mul_(whole > LEAST_ENERGY)
        slope.div_(whole)[:1].sub_(through_whole)  # dL/dE: (K, g, B)
        begins = multiples(*bin.shape, bin.dtype, bin.device)
        slope = F.embedding_bag(bin.flatten(), slope.flatten(0, 1), begins, mode="sum")  # sum over k: (N, B)
        return torch.mul(slope.t(), ours, out=torch.empty_like(ours)), None, None, None, None, None


def _differences(ours: Tensor, theirs: Tensor, pairings: Pairings) -> Tensor:
    """m_S - m_T of each pairing, of masses (K, g, B): (P + Q, K, g, B)."""
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
