"""The bootstrap over videos against DeLong's test (DeLong et al. 1988), where every video has one score.

There both estimate the same: the spread of an AUC, and of a paired difference of two, over drawn reals and drawn fakes.
"""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from pipeline.evaluation.draws import draw
from pipeline.evaluation.statistics import Scored, interval, paired

COUNT = 70


def delong(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUCs (K,) of K tests, scores (K, N), and their covariance (K, K), by the paper's equations 4 to 6.

    V10 is, for each fake, the share of reals below it, and V01, for each real, the share of fakes above it.
    """
    fakes, reals = scores[:, labels == 1], scores[:, labels == 0]
    psi = (fakes[:, :, None] > reals[:, None]) + 0.5 * (fakes[:, :, None] == reals[:, None])
    v10, v01 = psi.mean(2), psi.mean(1)
    return psi.mean((1, 2)), np.cov(v10) / fakes.shape[1] + np.cov(v01) / reals.shape[1]


def tables(seed: int, gain: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two detectors' scores of the same videos, one frame each; they have half of their noise in common."""
    random = np.random.default_rng(seed)
    label = np.arange(2 * COUNT) % 2
    names = [f"v{number:03d}" for number in range(2 * COUNT)]
    base = pd.DataFrame({"set": np.where(label, "fake", "original"), "video": names, "person": names, "frame": 0})
    shared = random.normal(0, 1, 2 * COUNT)
    first, second = (shared + random.normal(0, 1, 2 * COUNT) + (1 + more) * label for more in (gain, 0))
    return tuple(base.assign(label=label, score=score) for score in (first, second))  # type: ignore[return-value]


@pytest.mark.parametrize(("seed", "gain"), [(0, 0.0), (1, 0.4), (2, 0.9)])
def test_intervals_and_paired_tests_agree_with_delongs(seed: int, gain: float) -> None:
    first, second = tables(seed, gain)
    order = first.sort_values(["set", "video"], ignore_index=True)
    both = np.stack([table.sort_values(["set", "video"])["score"].to_numpy() for table in (first, second)])
    aucs, covariance = delong(order["label"].to_numpy(), both)
    scored = [Scored.of([table]) for table in (first, second)]
    videos = scored[0].videos
    draws = draw(videos["set"], videos["set"] + "/" + videos["video"], 4000, seed=0)
    values = [one.auc(draws) for one in scored]
    for k in (0, 1):
        assert values[k][0] == pytest.approx(aucs[k])
        deviation = np.sqrt(covariance[k, k])
        assert values[k][1:].std() == pytest.approx(deviation, rel=0.1)
        low, high = interval(values[k][1:])
        assert (low, high) == pytest.approx((aucs[k] - 1.96 * deviation, aucs[k] + 1.96 * deviation), abs=0.012)
    found = paired(*values)
    deviation = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert found.detectable == pytest.approx(2.8 * deviation, rel=0.1)
    assert found.p == pytest.approx(2 * norm.sf(abs(aucs[0] - aucs[1]) / deviation), abs=0.04)


def test_the_oracle_is_the_mann_whitney_statistic_by_hand() -> None:
    aucs, covariance = delong(np.array([1, 1, 0, 0]), np.array([[0.9, 0.4, 0.4, 0.1], [0.9, 0.8, 0.2, 0.1]]))
    # Of four pairs three are right and one is tied; V10 = (1, .75), V01 = (.75, 1).
    assert aucs.tolist() == [0.875, 1.0]
    assert covariance[0, 0] == pytest.approx(0.03125 / 2 + 0.03125 / 2) and covariance[1].tolist() == [0, 0]
