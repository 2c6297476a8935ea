"""The nearest neighbours against scikit-learn and a plain argmin, in any block, and at the paper's size on a GPU."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from pipeline.evaluation.neighbours import knn_recall

CPU = torch.device("cpu")


def test_it_is_scikit_learns_in_any_block() -> None:
    random = np.random.default_rng(0)
    gallery, query = random.normal(size=(200, 8)), random.normal(size=(70, 8))
    g_label, q_label = random.integers(0, 2, 200), random.integers(0, 2, 70)
    expected = KNeighborsClassifier(1).fit(gallery, g_label).score(query, q_label)
    for block in ((1, 1), (16, 7), (1000, 1000)):
        assert knn_recall(query, q_label, gallery, g_label, CPU, block) == pytest.approx(expected)


@pytest.mark.parametrize("block", [(1, 3), (16, 7), (1000, 1000)])
def test_of_equally_near_ones_the_first_counts(block: tuple[int, int]) -> None:
    """Small whole numbers: every distance is exact, and many are equal."""
    random = np.random.default_rng(0)
    gallery = random.integers(0, 2, (60, 4)).astype(np.float32)
    query = random.integers(0, 2, (40, 4)).astype(np.float32)
    first = ((query[:, None] - gallery[None]) ** 2).sum(2).argmin(1)
    names = np.arange(len(gallery))
    for wanted in (first, first + 1):  # each as its own label: another of the same distance would miss
        expected = float((first == wanted).mean())
        assert knn_recall(query, wanted, gallery, names, CPU, block) == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_paper_s_size_takes_less_than_two_gigabytes_of_a_gpu() -> None:
    random = np.random.default_rng(0)
    gallery, query = (random.random((rows, 2048), dtype=np.float32) for rows in (92_160, 17_920))
    query[::2] = gallery[: len(query) // 2]
    wanted = np.where(np.arange(len(query)) % 2, -1, np.arange(len(query)) // 2)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    assert knn_recall(query, wanted, gallery, np.arange(len(gallery)), torch.device("cuda")) == 0.5
    assert torch.cuda.max_memory_allocated() - before < 2 * 2**30
