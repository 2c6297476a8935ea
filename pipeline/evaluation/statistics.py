"""Intervals and paired tests by bootstrap over videos (or people): frames of one video are not independent.

A resample is a vector of how often each video was drawn. AUC is then a quadratic form in those counts, so that a
thousand resamples cost one matrix product of the size of the videos, and the paper's whole grid takes seconds where
weighing each frame (pipeline.evaluation.metrics, which the tests hold this to) takes many minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.evaluation.metrics import THRESHOLD

Floats = NDArray[np.float64]

# (z for 5 % two-sided) + (z for 80 % power): the difference that a test would find four times in five.
DETECTABLE = 2.8
LEVEL = 0.05
# Of the stress stage, here so that the report reads what it leaves without torch.
SUMMARY, DRAWS = "summary.json", "draws.npz"
MOST_LACKING = 0.1  # share of the frames: a point that lacks more is left out, or it would take them from all others
FEW_PEOPLE = 30  # with fewer, intervals over videos promise too much: people come first


def within(low: float, high: float, margin: float) -> bool:
    """Whether an interval of a difference lies within ±margin: two methods then count as equivalent.

    With a 95 % interval that is two one-sided tests at 2.5 % (Schuirmann 1987).
    """
    return -margin < low and high < margin


@dataclass(frozen=True)
class Scored:
    """The test videos of one task under one model, ready to be resampled. V videos, sorted by (set, video).

    videos: one row each, with columns set, video, person. frames, correct: (V,) counts, `correct` a mean over seeds.
    outranks: (V, V), how many frame pairs (fake of row, real of column) the scores order rightly, ties one half.
    beside, above: (V,) counts: of a fake's frames, those whose own target's same frame is there, and those of them
    that score above it, ties one half, a mean over seeds.
    """

    videos: pd.DataFrame
    fakes: Floats
    reals: Floats
    correct: Floats
    outranks: Floats
    beside: Floats
    above: Floats

    @classmethod
    def of(cls, runs: Sequence[pd.DataFrame], threshold: float = THRESHOLD) -> "Scored":
        """Per-frame scores (columns set, video, person, frame, label, score), one table a seed, of the same frames.

        Without a column target nothing lies beside anything.
        """
        tables = [run.sort_values(["set", "video", "frame"], ignore_index=True) for run in runs]
        first = tables[0]
        keys = first[["set", "video", "frame", "label"]]
        if any(not table[keys.columns].equals(keys) for table in tables[1:]):
            raise ValueError("hold different test frames")
        videos = first[["set", "video", "person"]].drop_duplicates(["set", "video"], ignore_index=True)
        number = first.groupby(["set", "video"], sort=True).ngroup().to_numpy()
        label = first["label"].to_numpy()
        count = len(videos)
        correct = np.zeros(count)
        outranks, above = np.zeros((count, count)), np.zeros(count)
        ours, theirs = _beside(first)
        for table in tables:
            score = table["score"].to_numpy(float)
            correct += np.bincount(number, (score >= threshold) == (label == 1), count) / len(tables)
            outranks += _outranks(score, label, number, count) / len(tables)
            higher = (1 + np.sign(score[ours] - score[theirs])) / 2
            above += np.bincount(number[ours], higher, count) / len(tables)
        fakes, reals = (np.bincount(number[label == k], minlength=count).astype(float) for k in (1, 0))
        beside = np.bincount(number[ours], minlength=count).astype(float)
        return cls(videos, fakes, reals, correct, outranks, beside, above)

    def auc(self, draws: Floats) -> Floats:
        """AUC under each row of draws (R, V); NaN where a resample holds one class only."""
        with np.errstate(invalid="ignore", divide="ignore"):
            pairs = (draws @ self.fakes) * (draws @ self.reals)
            return np.einsum("rv,vw,rw->r", draws, self.outranks, draws, optimize=True) / pairs

    def acc(self, draws: Floats) -> Floats:
        """Accuracy at the threshold under each row of draws (R, V)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (draws @ self.correct) / (draws @ (self.fakes + self.reals))

    def above_target(self, draws: Floats) -> Floats:
        """How often a fake's frame scores above the same frame of its own target, under each row of draws (R, V).

        The person, the pose and the light cancel out, so it is surer than AUC, and says less: no threshold serves all
        people. NaN where no target is there.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return (draws @ self.above) / (draws @ self.beside)


def interval(values: Floats) -> tuple[float, float]:
    """The 95 % percentile interval of resampled values; NaN where fewer than half of the resamples are defined."""
    defined = values[np.isfinite(values)]
    if len(defined) < len(values) / 2 or not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [100 * LEVEL / 2, 100 * (1 - LEVEL / 2)])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """A paired difference: value, 95 % interval, two-sided p, and the difference that could have been shown."""

    value: float
    low: float
    high: float
    p: float
    detectable: float


def paired(first: Floats, second: Floats) -> Difference:
    """Compare two measures under the same draws; element 0 of each is the sample itself.

    p counts the resamples on the other side of zero (Davison & Hinkley 1997, section 4.4, with one added to both).
    """
    value, resampled = float(first[0] - second[0]), (first - second)[1:]
    low, high = interval(resampled)
    defined = resampled[np.isfinite(resampled)]
    tail = min((defined <= 0).sum(), (defined >= 0).sum()) + 1
    p = min(1.0, 2 * tail / (len(defined) + 1)) if np.isfinite(low) else float("nan")
    spread = float(defined.std(ddof=1)) if len(defined) > 1 else float("nan")
    return Difference(value, low, high, float(p), DETECTABLE * spread)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) of a family of p values; NaN stays NaN and does not count."""
    p = np.asarray(values, float)
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


def _beside(frames: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows of fakes, and of the same frames of their own targets, where these are there."""
    if "target" not in frames:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    rows = frames.assign(row=np.arange(len(frames)))
    fakes, reals = (rows[rows["label"] == label] for label in (1, 0))
    pairs = fakes.merge(reals, left_on=["target", "frame"], right_on=["video", "frame"], suffixes=("", "_real"))
    return pairs["row"].to_numpy(), pairs["row_real"].to_numpy()


def _outranks(score: Floats, label: NDArray[np.integer[Any]], video: NDArray[np.integer[Any]], count: int) -> Floats:
    table = np.zeros((count, count))
    fake, owner = score[label == 1], video[label == 1]
    for real in np.unique(video[label == 0]):
        ranked = np.sort(score[(label == 0) & (video == real)])
        below = np.searchsorted(ranked, fake, "left") + np.searchsorted(ranked, fake, "right")
        table[:, real] = np.bincount(owner, below / 2, count)
    return table
