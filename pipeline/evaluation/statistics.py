"""Intervals and paired tests by bootstrap over videos or people, whose draws pipeline.evaluation.draws makes.

A resample is a vector c of how often each video was drawn. The AUC under it is a quadratic form, c M c over the number
of frame pairs, where M counts the pairs that are in the right order. So a thousand resamples cost one matrix product of
the size of the videos. summary.intervals weighs every frame instead, which takes minutes for the paper's grid, not
seconds; the tests hold one to the other.
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
    """What one model scored on the V test videos of one task, as counts of frames that a resample adds up.

    videos: a row each (set, video, person), sorted by set and video.
    fakes, reals: (V,) frames of each class.
    correct: (V,) frames on the right side of 0.5.
    outranks: (V, V) pairs of a frame of the row's fake and a frame of the column's real in which the fake scores
    higher. beside: (V,) a fake's frames for which the same frame of its own target is there. above: (V,) those of them
    that score higher than the target's frame. In pairs a tie counts one half. What depends on scores is a mean over
    seeds.
    """

    videos: pd.DataFrame
    fakes: Floats
    reals: Floats
    correct: Floats
    outranks: Floats
    beside: Floats
    above: Floats

    @classmethod
    def of(cls, runs: Sequence[pd.DataFrame]) -> "Scored":
        """runs: a table a seed with the same frames (set, video, person, frame, label, score).

        Without a column `target` no fake has a target beside it. Raises ValueError where the frames differ.
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
            correct += np.bincount(number, (score >= THRESHOLD) == (label == 1), count) / len(tables)
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
        """Accuracy at 0.5 under each row of draws (R, V)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (draws @ self.correct) / (draws @ (self.fakes + self.reals))

    def above_target(self, draws: Floats) -> Floats:
        """The share of fakes' frames that score above the same frame of their own target, by draws (R, V): (R,).

        Both show the same person, pose and light, so it varies less than AUC. It also says less: that a fake scores
        above its own target does not mean that one threshold serves all people. NaN without targets.
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
    """Row numbers of fakes' frames, and of the same frames of their own targets, for those that have one."""
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
