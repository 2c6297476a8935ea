"""knn R@1: whether the nearest known frame in a detector's embedding is of the same class."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

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

    Distances are squared Euclidean, not normalised; of equally near vectors the first counts. Computed in blocks: the
    whole distance matrix of FaceForensics++ is 7 GB. On a CPU by numpy and not by torch: their roundings differ, and
    with them which of two nearly equal distances is the smaller.
    """
    queries = [_on(query[start : start + block[0]], device) for start in range(0, len(query), block[0])]
    least, nearest = np.full(len(query), np.inf), np.zeros(len(query), np.int64)
    for start in range(0, len(gallery), block[1]):
        known = _on(gallery[start : start + block[1]], device)
        norms = (known**2).sum(1)
        found = [_nearest(part, known, norms) for part in queries]
        row, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
        closer = distance < least
        least, nearest = np.where(closer, distance, least), np.where(closer, row + start, nearest)
    return float((gallery_labels[nearest] == query_labels).mean())


def _on(vectors: Matrix, device: torch.device) -> Any:
    """numpy's on a CPU, torch's on a GPU: what follows is written alike in both."""
    return vectors if device.type == "cpu" else torch.from_numpy(vectors).to(device)


def _nearest(query: Any, known: Any, norms: Any) -> tuple[NDArray[np.int64], Matrix]:
    """The rows of the nearest known vectors, and |q - k|^2 less |q|^2, which is the same for all k: (B,) each."""
    distance = norms - 2 * query @ known.T
    row = distance.argmin(1)
    there = distance[range(len(row)), row]
    return (row, there) if isinstance(row, np.ndarray) else (row.cpu().numpy(), there.cpu().numpy())
