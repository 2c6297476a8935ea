"""Where a direction sees the positions of a feature, and how features lie in memory (Le & Woo, AAAI 2022, Eq. 6)."""

import torch
from torch import Tensor

# Which student image is compared with which teacher image: indices (B,), or None for each in its place.
Pairing = tuple[Tensor | None, Tensor | None]

# Least ||A||_F^2 that P = A^2 / ||A||_F^2 divides by, so that a feature without mass has finite gradients; the least
# norm of torch.nn.functional.normalize, squared.
LEAST_ENERGY = 1e-24


def project(directions: Tensor, shape: torch.Size) -> Tensor:
    """t = <theta, (c, x, y)> of every position, x the column and y the row, shifted so that the least t is 0.

    directions (K, 3), shape (C, H, W): (K, C, H, W).
    """
    channels, height, width = (torch.arange(n, dtype=directions.dtype, device=directions.device) for n in shape)
    along_c, along_x, along_y = (
        direction[:, None] * axis - (direction * axis[-1]).clamp_max(0)[:, None]
        for direction, axis in zip(directions.unbind(1), (channels, width, height), strict=True)
    )
    plane = along_y[:, :, None] + along_x[:, None, :]  # (K, H, W)
    return along_c[:, :, None, None] + plane[:, None]  # (K, C, H, W)


def pick(values: Tensor, images: Tensor | None, dim: int) -> Tensor:
    """The chosen images along dim; None chooses each in its place."""
    return values if images is None else values.index_select(dim, images)


def is_channels_last(features: Tensor) -> bool:
    """Whether features (B, C, H, W) lie in memory as (B, H, W, C)."""
    return features.is_contiguous(memory_format=torch.channels_last) and not features.is_contiguous()
