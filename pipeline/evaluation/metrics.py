"""What is measured on frames and on videos.

Plain numpy: a bootstrap weighs every frame by how often its video was drawn, so each measure takes weights of shape
(R, N), one row a resample, and R resamples cost one pass. tests/evaluation/test_metrics.py holds each to scikit-learn.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Measure = Callable[[Array, Array, Array], Array]  # labels (N,), scores (N,), weights (R, N) -> (R,)
THRESHOLD = 0.5
BINS = 15  # of the calibration error
CERTAIN = 1e-7  # how near a score comes to 0 and 1 in the log loss: as near as float32 tells them apart
ALARMS = {"tpr_at_1": 0.01, "tpr_at_5": 0.05}  # accepted rates of false alarms


def accuracy(labels: Array, scores: Array, weights: Array) -> Array:
    """ACC at 0.5: the share of frames on the right side."""
    right = (scores >= THRESHOLD) == (labels == 1)
    return weights @ right.astype(float) / weights.sum(1)


def fake_recall(labels: Array, scores: Array, weights: Array) -> Array:
    """The recall of the fake class at 0.5 (the second reading of the paper's R@1)."""
    fake = (labels == 1).astype(float)
    return weights @ (fake * (scores >= THRESHOLD)) / (weights @ fake)


def balanced_accuracy(labels: Array, scores: Array, weights: Array) -> Array:
    """The mean of the recalls of both classes: ACC where classes are not 50/50."""
    return (fake_recall(labels, scores, weights) + fake_recall(1 - labels, 1 - scores - 1e-12, weights)) / 2


def _ranked(labels: Array, scores: Array, weights: Array) -> tuple[Array, Array]:
    """Cumulative weight of fakes and of reals from the highest score down, at each distinct score: (R, D) each."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # ties count as one step
    fakes = np.cumsum(weights[:, order] * labels[order], 1)[:, last]
    reals = np.cumsum(weights[:, order] * (1 - labels[order]), 1)[:, last]
    return fakes, reals


def auc(labels: Array, scores: Array, weights: Array) -> Array:
    """Area under the ROC curve; a tie counts one half."""
    fakes, reals = _ranked(labels, scores, weights)
    steps = np.diff(reals, axis=1, prepend=0)
    middle = fakes - np.diff(fakes, axis=1, prepend=0) / 2
    return (steps * middle).sum(1) / (fakes[:, -1] * reals[:, -1])


def average_precision(labels: Array, scores: Array, weights: Array) -> Array:
    """Mean precision over the recalls, not interpolated."""
    fakes, reals = _ranked(labels, scores, weights)
    precision = fakes / np.maximum(fakes + reals, 1e-12)
    return (np.diff(fakes, axis=1, prepend=0) * precision).sum(1) / fakes[:, -1]


def equal_error_rate(labels: Array, scores: Array, weights: Array) -> Array:
    """The error where misses and false alarms are equally frequent, linear between the two nearest thresholds."""
    fakes, reals = _ranked(labels, scores, weights)
    zero = np.zeros((len(weights), 1))
    miss = 1 - np.hstack([zero, fakes / fakes[:, -1:]])
    alarm = np.hstack([zero, reals / reals[:, -1:]])
    after = np.argmax(alarm >= miss, axis=1)  # never 0: there miss is 1 and alarm 0
    row = np.arange(len(weights))
    gap, gap_before = (alarm - miss)[row, after], (miss - alarm)[row, after - 1]
    share = gap_before / (gap + gap_before)
    return alarm[row, after - 1] + share * (alarm[row, after] - alarm[row, after - 1])


def calibration_error(labels: Array, scores: Array, weights: Array) -> Array:
    """Expected calibration error of the score as a probability of fake, in 15 equal bins."""
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    error = np.zeros(len(weights))
    for index in np.unique(bins):
        here = bins == index
        error += np.abs(weights[:, here] @ (scores - labels)[here])
    return error / weights.sum(1)


def recall_at(alarms: float) -> Measure:
    """TPR at this rate of false alarms: the highest recall of fakes at a threshold where the rate is not exceeded.

    Not interpolated between thresholds. With few reals the rate may allow no false alarm at all.
    """

    def measured(labels: Array, scores: Array, weights: Array) -> Array:
        fakes, reals = _ranked(labels, scores, weights)
        passed = reals <= alarms * reals[:, -1:] + 1e-9
        return np.where(passed, fakes, 0).max(1) / fakes[:, -1]

    return measured


def brier(labels: Array, scores: Array, weights: Array) -> Array:
    """Brier score (1950): the mean squared error of the score as a probability of fake."""
    return weights @ squared_errors(labels, scores) / weights.sum(1)


def log_loss(labels: Array, scores: Array, weights: Array) -> Array:
    """Mean negative log likelihood, in nats."""
    return weights @ log_losses(labels, scores) / weights.sum(1)


def squared_errors(labels: Array, scores: Array) -> Array:
    """What the Brier score is the mean of: (N,)."""
    return np.asarray((scores - labels) ** 2)


def log_losses(labels: Array, scores: Array) -> Array:
    """What the log loss is the mean of: (N,)."""
    right = np.clip(np.where(labels == 1, scores, 1 - scores), CERTAIN, 1)
    return np.asarray(-np.log(np.minimum(right, 1 - CERTAIN)))


MEASURES: dict[str, Measure] = {
    "acc": accuracy,
    "balanced_acc": balanced_accuracy,
    "auc": auc,
    "average_precision": average_precision,
    "eer": equal_error_rate,
    "ece": calibration_error,
    "fake_recall": fake_recall,
    **{name: recall_at(alarms) for name, alarms in ALARMS.items()},
    "brier": brier,
    "log_loss": log_loss,
}
# The labels without which a measure is not defined.
NEEDS = {
    "balanced_acc": {0, 1},
    "auc": {0, 1},
    "average_precision": {1},
    "eer": {0, 1},
    "fake_recall": {1},
    **{name: {0, 1} for name in ALARMS},
}


def measure(frames: pd.DataFrame) -> dict[str, float]:
    """Every measure of a table with `label` and `score`; those that need a class that is not there are nan."""
    return {name: float(values[0]) for name, values in weighed(frames, np.ones((1, len(frames)))).items()}


def weighed(frames: pd.DataFrame, weights: Array) -> dict[str, Array]:
    """Every measure of a table with `label` and `score` under each row of weights (R, N): (R,) each.

    nan, and not computed, where the labels lack a class that the measure needs.
    """
    labels, scores = frames["label"].to_numpy(dtype=float), frames["score"].to_numpy(dtype=float)
    there = set(labels.astype(int).tolist())
    undefined = np.full(len(weights), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may lack a class that the sample has
        return {
            name: function(labels, scores, weights) if NEEDS.get(name, set()) <= there else undefined
            for name, function in MEASURES.items()
        }


def by_video(frames: pd.DataFrame) -> pd.DataFrame:
    """One row a video, its score the mean over its frames. A video is (set, video): manipulations share ids."""
    keys = ["set", "video", "person", "label"]
    return frames.groupby(keys, sort=True)["score"].mean().reset_index()
