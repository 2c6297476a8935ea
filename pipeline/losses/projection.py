"""Where a direction sees the positions of a feature, and how features lie in memory (Le & Woo, AAAI 2022, Eq. 6)."""

from functools import lru_cache

import torch
from torch import Tensor

# P = A^2 / ||A||_F^2 divides by no less than this, so that gradients are finite where a feature is all zero. It is the
# square of the least norm that torch.nn.functional.normalize divides by.
LEAST_ENERGY = 1e-24


@lru_cache(maxsize=16)
def _indices(shape: torch.Size, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """The indices along c, then x, then y of a shape (C, H, W), in one row: the axis of each (0, 1, 2), and its value.

    Two tensors (C + W + H,). Kept, as a copy to a GPU would be waited for.
    """
    lengths = (shape[0], shape[2], shape[1])
    axes = torch.cat([torch.full((length,), axis) for axis, length in enumerate(lengths)])
    values = torch.cat([torch.arange(length, dtype=dtype) for length in lengths])
    return axes.to(device), values.to(device)


def largest(shape: torch.Size, like: Tensor) -> Tensor:
    """The largest (c, x, y) of a shape (C, H, W)."""
    return torch.tensor([shape[0] - 1, shape[2] - 1, shape[1] - 1]).to(like)


def project(directions: Tensor, shape: torch.Size, device: torch.device | None = None, last: bool = False) -> Tensor:
    """t = <theta, (c, x, y)> of every position, x the column and y the row, shifted so that the least t is 0.

    directions: (K, 3), best on the CPU, where they are drawn: small tensors are computed there in less time than it
    takes to launch a GPU's kernels. device: of the result, by default theirs. For a shape (C, H, W): (K, C, H, W), or
    with last (K, H, W, C).
    """
    device = device or directions.device
    channels, height, width = shape
    least = (directions * largest(shape, directions)).clamp_max(0)
    axes, values = _indices(shape, directions.dtype, device)
    both = torch.stack([directions, least]).to(device, non_blocking=True).index_select(2, axes)
    along_c, along_x, along_y = (both[0] * values - both[1]).split((channels, width, height), 1)
    plane = along_y[:, :, None] + along_x[:, None, :]  # (K, H, W)
    return along_c[:, None, None] + plane[..., None] if last else along_c[:, :, None, None] + plane[:, None]


def at_once(device: torch.device, directions: int) -> int:
    """How many directions to compute together: on a CPU one, whose tensors stay in its cache; on a GPU all."""
    return 1 if device.type == "cpu" else directions


def is_channels_last(features: Tensor) -> bool:
    """Whether features (B, C, H, W) lie in memory as (B, H, W, C)."""
    return features.is_contiguous(memory_format=torch.channels_last) and not features.is_contiguous()


def rows(features: Tensor, last: bool) -> Tensor:
    """(B, C, H, W) -> (B, N), positions numbered in the order (C, H, W), or with last (H, W, C)."""
    return (features.permute(0, 2, 3, 1) if last else features).flatten(1)
