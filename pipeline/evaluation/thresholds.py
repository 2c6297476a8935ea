"""Thresholds that are chosen on people who are not tested, and the balanced accuracy there, also at another quality."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluation.metrics import by_video

LEVELS = ("frame", "video")


def best(frames: pd.DataFrame) -> float:
    """The threshold of highest balanced accuracy, halfway between two scores; NaN where a class is missing.

    frames: columns label, score. Of several equally good ones it is the nearest to 0.5.
    """
    labels, scores = frames["label"].to_numpy(), frames["score"].to_numpy(float)
    values = np.unique(scores)
    if len(np.unique(labels)) < 2:
        return float("nan")
    cuts = np.concatenate([[values[0] - 1e-6], (values[1:] + values[:-1]) / 2, [values[-1] + 1e-6]])
    fakes, reals = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    hits = 1 - np.searchsorted(fakes, cuts) / len(fakes)
    passes = np.searchsorted(reals, cuts) / len(reals)
    worth = np.round((hits + passes) / 2, 12)
    good = cuts[worth == worth.max()]
    return float(good[np.argmin(np.abs(good - 0.5))])


def balanced(frames: pd.DataFrame, thresholds: Mapping[int, float]) -> float:
    """Balanced accuracy of frames (fold, label, score), each at its fold's threshold, folds pooled."""
    cut = frames["fold"].map(dict(thresholds)).to_numpy(float)
    guess, label = frames["score"].to_numpy(float) >= cut, frames["label"].to_numpy() == 1
    if np.isnan(cut).any() or label.all() or not label.any():
        return float("nan")
    return float((guess[label].mean() + (~guess[~label]).mean()) / 2)


def chosen(tested: pd.DataFrame, validation: pd.DataFrame) -> dict[int, float]:
    """A threshold for each fold: on its validation people, else on the test people of the other folds.

    Both have rows (fold, label, score). The other folds' test people were scored by other models of the same recipe,
    which have not seen them. NaN where there is neither.
    """
    found = {}
    for fold in sorted(set(tested["fold"])):
        own = validation[validation["fold"] == fold] if len(validation) else validation
        found[int(fold)] = best(own if len(own) else tested[tested["fold"] != fold])
    return found


def carried(tested: Mapping[str, pd.DataFrame], validation: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Balanced accuracy per frame and per video at each quality, with the thresholds (cuts, by fold) chosen at each.

    tested, validation: quality -> rows (set, video, person, frame, fold, label, score) of one model's folds.
    """
    rows = []
    for level in LEVELS:
        tables = {quality: at(level, frames) for quality, frames in tested.items()}
        cuts = {quality: chosen(table, at(level, validation[quality])) for quality, table in tables.items()}
        for chosen_at, used_at in product(tables, tables):
            worth = balanced(tables[used_at], cuts[chosen_at])
            row = {"level": level, "chosen_at": chosen_at, "used_at": used_at, "balanced_acc": worth}
            rows.append(row | {"cuts": {str(fold): cut for fold, cut in cuts[chosen_at].items()}})
    return rows


def at(level: str, frames: pd.DataFrame) -> pd.DataFrame:
    """The frames themselves (`frame`), or a row a video with its mean score (`video`); both with their fold."""
    if level == "frame" or not len(frames):
        return frames
    return pd.concat([by_video(part).assign(fold=fold) for fold, part in frames.groupby("fold")], ignore_index=True)
