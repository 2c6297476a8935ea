"""The multi-view distances in loop form, written straight from the paper and from a description of the released code.

One direction after the other, each sorted, permuted and summed anew under autograd: slow, and easy to read. The oracle
of tests/losses/test_slices.py and the other side of benchmarks/losses.py.
"""

import torch
from torch import Tensor

from pipeline.losses.partners import Pairings


def density(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, N): A^2 / ||A||_F^2."""
    flat = features.flatten(1)
    return flat.square() / flat.square().sum(1, keepdim=True)


def projection(direction: Tensor, shape: torch.Size) -> Tensor:
    """<theta, (c, x, y)> of each position, x the column, y the row: (N,)."""
    channels, height, width = shape
    c, y, x = torch.meshgrid(torch.arange(channels), torch.arange(height), torch.arange(width), indexing="ij")
    return (torch.stack([c, x, y], -1).reshape(-1, 3).double().to(direction.device) @ direction).flatten()


def histogram_masses(p: Tensor, t: Tensor, groups: int) -> Tensor:
    """Order the mass by projection, cut it at g - 1 equal steps of t: (B, N), (N,) -> (B, g)."""
    t, order = t.sort()
    edges = t[0] + (t[-1] - t[0]) * torch.arange(1, groups, device=t.device) / groups
    ends = torch.searchsorted(t, edges)
    summed = torch.cat([torch.zeros_like(p[:, :1]), p[:, order].cumsum(1)], 1)
    ends = torch.cat([ends.new_zeros(1), ends, ends.new_tensor([len(t)])])
    return summed[:, ends[1:]] - summed[:, ends[:-1]]


def released_masses(p: Tensor, t: Tensor, groups: int) -> Tensor:
    """The ends of the bins on sorted t are applied to the raster order, and the last bin is dropped: (B, g - 1)."""
    t = t.sort().values
    edges = t[0] + (t[-1] - t[0]) * torch.arange(1, groups, device=t.device) / groups
    ends = torch.searchsorted(t, edges)
    summed = p.cumsum(1)[:, ends]  # up to and with the position at the end
    return torch.diff(summed, dim=1, prepend=torch.zeros_like(summed[:, :1]))


def wasserstein_cdf(p: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    t, order = t.sort()
    return p[:, order].cumsum(1)[:, :-1], t.diff().to(p.dtype)


def pick(values: Tensor, images: Tensor | None) -> Tensor:
    return values if images is None else values[images]


def distances(
    kind: str, student: Tensor, teacher: Tensor, directions: Tensor, pairings: Pairings, groups: int
) -> Tensor:
    """What pipeline.losses.slices.DISTANCES[kind] returns: (P, K, B)."""
    rows = []
    others = () if pairings.ours is None else pairings.ours
    pairs = [(None, None), *((None, images) for images in pairings.theirs[1:]), *((images, None) for images in others)]
    for direction in directions.to(student.device):
        ours, theirs = density(student), density(teacher)
        t = projection(direction, student.shape[1:])
        if kind == "wasserstein":
            (ours, gaps), (theirs, _) = wasserstein_cdf(ours, t), wasserstein_cdf(theirs, t)
            rows.append(torch.stack([((pick(ours, s) - pick(theirs, v)).abs() * gaps).sum(1) for s, v in pairs]))
        else:
            masses = histogram_masses if kind == "histogram" else released_masses
            ours, theirs = masses(ours, t, groups), masses(theirs, t, groups)
            rows.append(torch.stack([(pick(ours, s) - pick(theirs, v)).square().sum(1) for s, v in pairs]))
    return torch.stack(rows, 1)
