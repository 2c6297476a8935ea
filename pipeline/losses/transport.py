"""Exact Wasserstein-1 distances of projected densities: `wasserstein` (Le & Woo, AAAI 2022, Eq. 5, 7, 8).

On one line W1 is the area between the two distribution functions. With positions in the order of their projections
t_1 <= ... <= t_N, and P their masses,

    CDF_r = P_1 + ... + P_r,    W1 = sum_r (t_{r+1} - t_r) |CDF_r of the student - CDF_r of the teacher|

The gradient is written by hand in `Wasserstein`. The order of the positions is found once for all images, and kept for
the backward pass; the distribution functions are computed again there, some directions at a time, so that where
K * N * B is large nothing of that size is held.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.losses.partners import Pairings
from pipeline.losses.projection import at_once

# Directions are taken together up to so many values of all images.
MOST_VALUES = 2**25


class Wasserstein(torch.autograd.Function):
    """ours, theirs (B, N): masses; t (K, N): projections. W1 in units of t: (P, K, B).

    The gradient goes to ours alone. With G = dL/dW1 of each pairing p and direction k it is

        dL/dCDF_r = sum_p G_pk sign(CDF_S - CDF_T)_pkr (t_{r+1} - t_r)
        dL/dP_r   = sum of dL/dCDF_r' over r' >= r        for the mass at r is in every CDF from r on
    """

    @staticmethod
    def forward(ctx: Any, ours: Tensor, theirs: Tensor, t: Tensor, pairings: Pairings) -> Tensor:
        ordered, orders = t.sort(1)
        gaps = F.pad(ordered.diff(), (0, 1)).to(ours.dtype)
        distances = []
        work = _Work(ours, theirs, pairings, len(t))
        for order, gap in zip(orders.split(work.step), gaps.split(work.step), strict=True):
            work.sum_along(order)
            areas = [difference.abs_().transpose(0, 1) @ gap[:, :, None] for _, difference in work.differences()]
            distances.append(torch.stack(areas).squeeze(3))  # (P, k, B)
        ctx.save_for_backward(ours, theirs, orders, gaps, *pairings)
        return torch.cat(distances, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        ours, theirs, orders, gaps, *pairings = ctx.saved_tensors
        total = torch.zeros_like(ours)
        work = _Work(ours, theirs, Pairings(*pairings), len(orders))
        held = torch.empty_like(work.result), torch.empty_like(work.result)
        places = torch.arange(work.step * ours.shape[1], device=ours.device)
        for first in range(0, len(orders), work.step):
            k = slice(first, first + work.step)
            order = orders[k]
            work.sum_along(order)
            slope, below = (_begin(memory, len(ours), *order.shape) for memory in held)  # (B, k, N)
            slope.zero_()  # dL / dCDF_S
            weights = grads[0][:, k].transpose(1, 2)[..., None]  # (P, B, k, 1)
            for (images, difference), weight in zip(work.differences(), weights, strict=True):
                signs = difference.sign_()
                if images is None:
                    slope.addcmul_(signs, weight)
                else:
                    slope.index_add_(0, images, signs.mul_(weight))
            slope.mul_(gaps[k])
            # dL/dP, as all of the row less what lies before r: x_r - cumsum_r + cumsum_N.
            torch.cumsum(slope, 2, out=below)
            slope.sub_(below).add_(below[..., -1:])
            # Back to where the positions are, those of all k directions in one row.
            ranks = torch.empty_like(order).scatter_(1, order, places[: order.numel()].view_as(order))
            found = torch.index_select(slope.flatten(1), 1, ranks.flatten(), out=below.flatten(1)).view_as(below)
            total += found.sum(1) if len(order) > 1 else found[:, 0]
        return total, None, None, None


class _Work:
    """The distribution functions along some directions, in memory taken once: fresh tensors would double the time."""

    def __init__(self, ours: Tensor, theirs: Tensor, pairings: Pairings, directions: int) -> None:
        self.step = min(at_once(ours.device, directions), max(MOST_VALUES // ours.numel(), 1))
        self.masses, self.pairings = torch.cat([ours, theirs]), pairings  # (2B, N)
        self.both = ours.new_empty(2 * self.step * ours.numel())
        self.result = ours.new_empty(self.step * ours.numel())

    def sum_along(self, order: Tensor) -> None:
        """order: (k, N), the positions in the order of each of k directions."""
        rows = _begin(self.both, len(self.masses), order.numel())
        torch.index_select(self.masses, 1, order.flatten(), out=rows)
        self.ours, self.theirs = rows.view(-1, *order.shape).cumsum_(2).chunk(2)  # (B, k, N) each

    def differences(self) -> Iterator[tuple[Tensor | None, Tensor]]:
        """For each pairing its student images, None for all in their places, and CDF_S - CDF_T.

        The differences are (B, k, N), each good until the next.
        """
        result = _begin(self.result, *self.ours.shape)
        for number, images in enumerate(self.pairings.theirs):
            theirs = self.theirs.index_select(0, images) if number else self.theirs
            yield None, torch.sub(self.ours, theirs, out=result)
        for images in () if self.pairings.ours is None else self.pairings.ours:
            yield images, torch.sub(self.ours.index_select(0, images), self.theirs, out=result)


def _begin(memory: Tensor, *shape: int) -> Tensor:
    """So much of the memory as the shape takes."""
    return memory[: math.prod(shape)].view(shape)
