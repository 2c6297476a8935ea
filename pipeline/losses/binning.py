"""Sums of a feature's energy over bins along random directions: `histogram` and `released` (Le & Woo, 2022, Fig. 4).

Which bin a position falls in depends on the direction and the shape alone. So the masses of all images, directions
and bins are one product of a sparse 0/1 matrix (K * g, N) with the energies (N, B); the gradient is one with its
transpose.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.losses.projection import LEAST_ENERGY, is_channels_last, project


class Bins(NamedTuple):
    """Which of g bins each of N positions falls in, for K directions, and the same read the other way round."""

    bin: Tensor  # (N, K) int32: bin of a position, plus k * g
    order: Tensor  # (K * N,) int32: the positions, bin after bin
    starts: Tensor  # (K * g,) int32: where in `order` each bin begins


@lru_cache(maxsize=16)
def _extents(shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The largest (c, x, y) of a shape (C, H, W). Kept: a GPU would be waited for while it is copied."""
    return torch.tensor([shape[0] - 1, shape[2] - 1, shape[1] - 1], dtype=dtype).to(device)


def equal_width_bins(directions: Tensor, shape: torch.Size, groups: int, released: bool, last: bool) -> Bins:
    """The bins of `histogram` or `released`. last: positions are numbered (H, W, C), as channels_last features lie."""
    device, count, positions = directions.device, len(directions), shape.numel()
    extent = directions.abs() @ _extents(shape, directions.dtype, device)
    scaled = directions * (groups / extent.clamp_min(torch.finfo(extent.dtype).tiny))[:, None]
    bin = torch.empty(positions, count, dtype=torch.int32, device=device)
    order = torch.empty(count, positions, dtype=torch.int32, device=device)
    starts = torch.empty(count, groups, dtype=torch.int32, device=device)
    # One direction at a time stays in a CPU's cache; a GPU wants all of them at once.
    step = 1 if device.type == "cpu" else count
    for first in range(0, count, step):
        k = slice(first, first + step)
        # Small integers: their stable sort is a radix sort, five times faster than sorting projections.
        small = torch.int16 if step * groups < 2**15 else torch.int32
        bins = project(scaled[k], shape).clamp_max_(groups - 1).to(small)
        if released:
            bins = _runs(bins, groups)
        bins = (bins.permute(0, 2, 3, 1) if last else bins).flatten(1)  # (k, N)
        # All directions in one sort, told apart by their bins: a GPU would sort them one after the other.
        bins = bins + groups * torch.arange(step, device=device, dtype=small)[:, None]
        ordered, index = bins.flatten().sort(stable=True)
        edges = torch.arange(step * groups, device=device, dtype=small)
        bin[:, k] = bins.t()
        order[k] = index.remainder_(positions).view(step, positions)
        starts[k] = torch.searchsorted(ordered, edges).view(step, groups)
    before = torch.arange(count, device=device, dtype=torch.int32) // step * step  # directions in earlier sorts
    return Bins(bin.add_(before * groups), order.flatten(), starts.add_(before[:, None] * positions).flatten())


def _runs(bins: Tensor, groups: int) -> Tensor:
    """The bins (K, C, H, W) of `histogram` -> those of `released`: as full, but filled in raster order."""
    counts = torch.zeros(len(bins), groups, dtype=torch.int64, device=bins.device)
    flat = bins.flatten(1).long()
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    starts = counts.cumsum(1)[:, :-1] + 1  # a run goes up to and with the position at the bin's end
    steps = torch.zeros(len(bins), flat.shape[1] + 1, dtype=torch.int32, device=bins.device)
    steps.scatter_add_(1, starts, torch.ones_like(starts, dtype=torch.int32))
    return steps[:, :-1].cumsum(1, dtype=torch.int32).to(bins.dtype).view_as(bins)


class _BinnedEnergy(torch.autograd.Function):
    """Sums of a^2 over bins, a (B, N) -> (K * g, B): sums of whole rows of all images, forward and backward."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, bin: Tensor, order: Tensor, starts: Tensor) -> Tensor:
        ctx.save_for_backward(a, bin)
        energy = torch.square(a.t(), out=a.new_empty(a.shape[::-1]))  # (N, B)
        return F.embedding_bag(order, energy, starts, mode="sum")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        a, bin = ctx.saved_tensors
        slope = F.embedding_bag(bin, grads[0].contiguous(), mode="sum")  # (N, B)
        return torch.mul(slope.t(), a, out=torch.empty_like(a)).mul_(2), None, None, None


def bin_masses(features: Tensor, bins: Bins, directions: int) -> Tensor:
    """The mass of each bin: features (B, C, H, W) -> (K, g, B); the g masses of a direction sum to 1."""
    rows = (features.permute(0, 2, 3, 1) if is_channels_last(features) else features).flatten(1)
    energy = _BinnedEnergy.apply(rows, *bins).unflatten(0, (directions, -1))  # (K, g, B)
    return energy / energy[:1].sum(1, keepdim=True).clamp_min(LEAST_ENERGY)
