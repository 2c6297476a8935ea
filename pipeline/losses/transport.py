"""Exact Wasserstein-1 distances of projected densities: `wasserstein` (Le & Woo, AAAI 2022, Eq. 5, 7, 8).

On one line W1 is the area between the two distribution functions. The order of the positions is found once for all
images, and kept for the backward pass; the distribution functions are computed again there, one direction at a time, so
that nothing of size K * N * B is ever held.
"""

from collections.abc import Iterator, Sequence
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
        for row in t:
            ordered, order = row.sort()
            orders.append(order)
            gaps.append(F.pad(ordered.diff(), (0, 1)).to(ours.dtype))
            differences = _cdf_differences(ours, theirs, order, pairings)
            distances.append(torch.stack([difference.abs_() @ gaps[-1] for difference in differences]))
        ctx.save_for_backward(ours, theirs, torch.stack(orders), torch.stack(gaps))
        ctx.pairings = pairings
        return torch.stack(distances, dim=1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        ours, theirs, orders, gaps = ctx.saved_tensors
        total = torch.zeros_like(ours)
        rank = torch.empty_like(orders[0])
        for order, gap, grad in zip(orders, gaps, grads[0].unbind(1), strict=True):
            slope = torch.zeros_like(ours)  # dL / dCDF_S
            differences = _cdf_differences(ours, theirs, order, ctx.pairings)
            for (s, _), difference, weight in zip(ctx.pairings, differences, grad, strict=True):
                if s is None:
                    slope.addcmul_(difference.sign_(), weight[:, None])
                else:
                    slope.index_add_(0, s, difference.sign_().mul_(weight[:, None]))
            slope.mul_(gap)
            # Mass at position i raises the distribution function from i on: the sum of what follows, i included.
            below = slope.cumsum(1)
            slope += below[:, -1:] - below
            rank[order] = torch.arange(len(order), device=order.device)
            total += slope.index_select(1, rank)
        return total, None, None, None


def _cdf_differences(ours: Tensor, theirs: Tensor, order: Tensor, pairings: Sequence[Pairing]) -> Iterator[Tensor]:
    """CDF_S - CDF_T along one direction: (B, N) for each pairing in turn, each a tensor of its own."""
    below_ours, below_theirs = (mass.index_select(1, order).cumsum(1) for mass in (ours, theirs))
    for s, t in pairings:
        yield pick(below_ours, s, 0) - pick(below_theirs, t, 0)
