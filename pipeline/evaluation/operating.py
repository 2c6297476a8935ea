"""TPR at few false alarms, Brier score, log loss and balanced accuracy under draws of whole videos.

The same measures as in pipeline.evaluation.metrics, computed from counts a video, not from weights a frame: a thousand
resamples of the paper's grid then take minutes. tests/evaluation/test_operating.py holds one to the other.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.evaluation.metrics import ALARMS, THRESHOLD, log_losses, squared_errors
from pipeline.evaluation.statistics import Floats


def under(frames: pd.DataFrame, draws: Floats) -> dict[str, Floats]:
    """TPR at 1 % and 5 % false alarms, Brier score, log loss and balanced accuracy at 0.5 under each draw: (R,) each.

    frames: a row a frame or a video, columns set, video, label, score. draws: (R, V), how often each of the videos, in
    the order of (set, video), was drawn. NaN where a draw, or the table, lacks a class that the measure needs.
    """
    number, labels, scores = _arrays(frames)
    errors = {"brier": squared_errors(labels, scores), "log_loss": log_losses(labels, scores)}
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = draws @ np.bincount(number)
        found = {name: draws @ np.bincount(number, values) / drawn for name, values in errors.items()}
    half = np.full(len(frames), THRESHOLD, np.float64)
    return _recalls(number, labels, scores, draws) | found | {"balanced_acc": _balanced(frames, half, draws)}


def balanced_under(frames: pd.DataFrame, cuts: Mapping[int, float], draws: Floats) -> Floats:
    """Balanced accuracy under each draw, (R,), each frame at its fold's threshold, which is the same in every draw."""
    return _balanced(frames, np.asarray(frames["fold"].map(dict(cuts)), np.float64), draws)


def _arrays(frames: pd.DataFrame) -> tuple[NDArray[np.intp], Floats, Floats]:
    number = np.asarray(frames.groupby(["set", "video"], sort=True).ngroup(), np.intp)
    return number, np.asarray(frames["label"], np.float64), np.asarray(frames["score"], np.float64)


def _balanced(frames: pd.DataFrame, cuts: Floats, draws: Floats) -> Floats:
    number, labels, scores = _arrays(frames)
    right = np.where(np.isnan(cuts), np.nan, (scores >= cuts) == (labels == 1))
    recalls = []
    for one in (labels == 0, labels == 1):
        all_of, found = (np.bincount(number[one], of, draws.shape[1]) for of in (None, right[one]))
        with np.errstate(invalid="ignore", divide="ignore"):
            recalls.append(draws @ found / (draws @ all_of))
    return np.asarray((recalls[0] + recalls[1]) / 2)


def _recalls(number: NDArray[np.intp], labels: Floats, scores: Floats, draws: Floats) -> dict[str, Floats]:
    """TPR at each rate of ALARMS: (R,).

    The threshold lies just above the highest score of a real at which more reals than accepted would be called fake.
    """
    real, fake = labels == 0, labels == 1
    if real.all() or fake.all():
        return dict.fromkeys(ALARMS, np.full(len(draws), np.nan))
    levels, level = np.unique(-scores[real], return_inverse=True)  # L scores of reals, from the highest down
    place = np.searchsorted(levels, -scores[fake], side="right")  # how many of them a fake does not exceed
    reals = _counts(number[real], level, (draws.shape[1], len(levels)))  # (V, L) with scores as high or higher
    fakes = _counts(number[fake], place, (draws.shape[1], len(levels) + 1))  # (V, L + 1)
    some = reals[:, -1] > 0
    passed = draws[:, some] @ reals[some]  # (R, L)
    found = {}
    for name, alarms in ALARMS.items():
        stop = (passed <= alarms * passed[:, -1:] + 1e-9).sum(1)  # (R,) levels that may pass
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.einsum("rv,vr->r", draws, fakes[:, stop]) / (draws @ fakes[:, -1])
        found[name] = np.where(passed[:, -1] > 0, share, np.nan)
    return found


def _counts(row: NDArray[np.intp], column: NDArray[np.intp], shape: tuple[int, int]) -> Floats:
    """How many of the pairs (row, column) are in each row, up to each column: cumulative counts of this shape."""
    counts = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1]).reshape(shape)
    return np.cumsum(counts, 1).astype(float)
