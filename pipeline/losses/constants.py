"""Small tensors that a loss needs in each step, kept by device: to make or copy them each time would hold up a GPU."""

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """These values: (count,)."""
    return torch.tensor(values, dtype=dtype).to(device)


@lru_cache(maxsize=64)
def multiples(count: int, of: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """0, of, 2 * of, ..., (count - 1) * of: (count,)."""
    return torch.arange(0, count * of, of, dtype=dtype, device=device)


@lru_cache(maxsize=16)
def diagonal(size: int, device: torch.device) -> Tensor:
    """True where row and column are the same: (size, size)."""
    return torch.eye(size, dtype=torch.bool, device=device)
