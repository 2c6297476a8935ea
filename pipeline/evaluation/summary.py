"""What the scores of a cell's test frames amount to, by level, fold and person, with bootstrap intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluation.draws import Draws
from pipeline.evaluation.metrics import by_video, measure, weighed
from pipeline.params.sections import Evaluation

KINDS = {"interval": "video", "interval_persons": "person"}  # what is drawn for which intervals
EDGES = [(1 - 0.95) / 2, (1 + 0.95) / 2]  # of the 95 % intervals


def summarise(frames: pd.DataFrame, pooled: Sequence[str], settings: Evaluation) -> dict[str, Any]:
    """Measures per frame and per video, with intervals over videos and over people; per fold; per person.

    frames: rows (fold, set, video, person, label, score) of one quality. pooled: the manipulations of a pooled task, of
    which each is measured for itself as well, against all reals.
    """
    levels = {"frame": frames, "video": by_video(frames)}
    summary = {
        **{level: measure(table) for level, table in levels.items()},
        **{
            kind: {level: intervals(table, unit, settings) for level, table in levels.items()}
            for kind, unit in KINDS.items()
        },
        "per_fold": {str(fold): measure(table) for fold, table in frames.groupby("fold")},
        "persons": {str(person): _of_person(table) for person, table in frames.groupby("person")},
    }
    if pooled:
        parts = {name: frames[frames["set"].isin(["original", name])] for name in pooled}
        summary["manipulations"] = {
            name: {"frame": _with_intervals(part, settings), "video": _with_intervals(by_video(part), settings)}
            for name, part in parts.items()
        }
    return summary


def intervals(table: pd.DataFrame, unit: str, settings: Evaluation) -> dict[str, tuple[float, float]]:
    """95 % percentile bootstrap intervals of each measure of a table with a row a frame or a video.

    unit: what is drawn, see Draws.of; by class, so that a resample lacks none. nan where a measure is not defined.
    """
    draws = Draws.of(table, unit, settings.bootstrap, settings.seed, by_class=True)
    found = {name: values[~np.isnan(values)] for name, values in weighed(table, draws.at(table)[1:]).items()}
    none = (float("nan"), float("nan"))
    return {name: tuple(np.quantile(v, EDGES).tolist()) if len(v) else none for name, v in found.items()}


def without_auc(result: Mapping[str, Any]) -> str:
    """Why AUCs are missing from what `summarise` found, in words; else empty.

    An AUC needs both classes. That of all folds may exist although one fold tested a single class.
    """
    parts = {"all folds": result["frame"], **{f"fold {fold}": found for fold, found in result["per_fold"].items()}}
    lacking = {name: found for name, found in parts.items() if not _known(found["auc"])}
    if "all folds" in lacking:
        lacking = {"all folds": lacking["all folds"]}
    return ", ".join(
        f"{name} tested {'fakes' if _known(found['fake_recall']) else 'reals'} alone" for name, found in lacking.items()
    )


def finite(value: Any) -> Any:
    """JSON has no nan: a measure that does not exist is null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _of_person(frames: pd.DataFrame) -> dict[str, float]:
    found = measure(frames)
    return {"frames": len(frames), "videos": len(by_video(frames)), "acc": found["acc"], "auc": found["auc"]}


def _with_intervals(table: pd.DataFrame, settings: Evaluation) -> dict[str, Any]:
    return {**measure(table), **{kind: intervals(table, unit, settings) for kind, unit in KINDS.items()}}


def _known(value: float | None) -> bool:
    return value is not None and value == value
