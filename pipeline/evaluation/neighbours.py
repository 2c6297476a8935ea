"""knn R@1: whether the nearest known frame in a detector's embedding is of the same class."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.floating]
BLOCK = (1024, 16_384)  # queries and gallery vectors at a time: distances of 67 MB


def knn_recall(
    query: Matrix,
    query_labels: NDArray[Any],
    gallery: Matrix,
    gallery_labels: NDArray[Any],
    device: torch.device,
    block: tuple[int, int] = BLOCK,
) -> float:
    """The share of queries (Q, D) whose nearest gallery vector (G, D) has their label.

    Squared Euclidean, not normalised; of equally near ones the first. In blocks: the whole distance matrix of
    FaceForensics++ is 7 GB; the gallery alone lies on the device as a whole.
    """
    known = torch.from_numpy(gallery).to(device)
    found = [_nearest(torch.from_numpy(part).to(device), known, block[1]) for part in _parts(query, block[0])]
    return float((gallery_labels[torch.cat(found).cpu().numpy()] == query_labels).mean())


def _parts(query: Matrix, size: int) -> list[Matrix]:
    return [query[start : start + size] for start in range(0, len(query), size)]


def _nearest(query: Tensor, gallery: Tensor, size: int) -> Tensor:
    """The rows of the nearest gallery vectors: (B, D), (G, D) -> (B,)."""
    least = query.new_full((len(query),), torch.inf)
    nearest = torch.zeros(len(query), dtype=torch.int64, device=query.device)
    for start in range(0, len(gallery), size):
        part = gallery[start : start + size]
        # |q - g|^2 less |q|^2, which is the same for all g
        distance, row = torch.addmm(part.square().sum(1), query, part.t(), alpha=-2).min(1)
        closer = distance < least
        least, nearest = torch.where(closer, distance, least), torch.where(closer, row + start, nearest)
    return nearest
