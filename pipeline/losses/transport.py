"""Exact Wasserstein-1 distances of projected densities: `wasserstein` (Le & Woo, AAAI 2022, Eq. 5, 7, 8).

On one line W1 is the area between the two distribution functions. The order of the positions is found once for all
images, and kept for the backward pass; the distribution functions are computed again there, one direction at a time, so
that nothing of size K * N * B is ever held.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.losses.projection import Pairing, pick


class Wasserstein(torch.autograd.Function):
    """ours, theirs (B, N): masses; t (K, N): projections. W1 in units of t: (P, K, B). Gradient to ours alone."""

    @staticmethod
    def forward(ctx: Any, ours: Tensor, theirs: Tensor, t: Tensor, pairings: Sequence[Pairing]) -> Tensor:
        orders, gaps, distances = [], [], []
        work = _Work(ours, theirs)
        for row in t:
            ordered, order = row.sort()
            orders.append(order)
            gaps.append(F.pad(ordered.diff(), (0, 1)).to(ours.dtype))
            work.sum_along(order)
            distances.append(torch.stack([work.difference(pairing).abs_() @ gaps[-1] for pairing in pairings]))
        ctx.save_for_backward(ours, theirs, torch.stack(orders), torch.stack(gaps))
        ctx.pairings = pairings
        return torch.stack(distances, dim=1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        ours, theirs, orders, gaps = ctx.saved_tensors
        total, slope, below = torch.zeros_like(ours), torch.empty_like(ours), torch.empty_like(ours)
        rank = torch.empty_like(orders[0])
        work = _Work(ours, theirs)
        for order, gap, grad in zip(orders, gaps, grads[0].unbind(1), strict=True):
            work.sum_along(order)
            slope.zero_()  # dL / dCDF_S
            for pairing, weight in zip(ctx.pairings, grad, strict=True):
                signs = work.difference(pairing).sign_()
                if pairing[0] is None:
                    slope.addcmul_(signs, weight[:, None])
                else:
                    slope.index_add_(0, pairing[0], signs.mul_(weight[:, None]))
            slope.mul_(gap)
            # Mass at position i raises the distribution function from i on: the sum of what follows, i included.
            torch.cumsum(slope, 1, out=below)
            slope.sub_(below).add_(below[:, -1:])
            rank[order] = torch.arange(len(order), device=order.device)
            total.add_(torch.index_select(slope, 1, rank, out=below))
        return total, None, None, None


class _Work:
    """The distribution functions along one direction, in memory taken once: fresh tensors would double the time."""

    def __init__(self, ours: Tensor, theirs: Tensor) -> None:
        self.masses = ours, theirs
        self.ours, self.theirs, self.result = torch.empty_like(ours), torch.empty_like(theirs), torch.empty_like(ours)

    def sum_along(self, order: Tensor) -> None:
        for mass, below in zip(self.masses, (self.ours, self.theirs), strict=True):
            torch.index_select(mass, 1, order, out=below).cumsum_(1)

    def difference(self, pairing: Pairing) -> Tensor:
        """CDF_S - CDF_T: (B, N), good until the next call."""
        s, t = pairing
        return torch.sub(pick(self.ours, s, 0), pick(self.theirs, t, 0), out=self.result)
