"""Test frames through trained models, once: the scores of every frame, and the measures and thresholds from them."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.crops.shards import read_index
from pipeline.detectors.card import HISTORY, SUMMARY, Card, load
from pipeline.detectors.device import device
from pipeline.detectors.scoring import Scores, score
from pipeline.evaluation import metrics
from pipeline.evaluation.calibration import TEST, VALIDATION
from pipeline.evaluation.frames import frames_of
from pipeline.evaluation.neighbours import knn_recall
from pipeline.evaluation.thresholds import carried
from pipeline.params.cells import tested_on
from pipeline.params.sections import Evaluation, Loader
from pipeline.work.errors import UserError
from pipeline.work.files import whole

UNITS = {"video": ["set", "video"], "person": ["person"]}  # what the bootstraps draw


def evaluate(
    model: Path,
    folds: Sequence[int],
    compressions: Sequence[str],
    shards: Path,
    settings: Evaluation,
    loading: Loader,
    out: Path,
) -> dict[str, Any]:
    """Score the test people of each fold with that fold's model; write out.json and out.parquet; give back the json.

    A teacher, trained on raw, is tested on raw and on every compression: the gap that ADD is to close; so is a
    quality-agnostic model. Scores of all folds are pooled, so that each person is tested once. Frames of validation
    people, with role `val`, are scored too where a fold has any: for thresholds and calibration, never for a measure.
    """
    found = [_fold(model / f"fold{fold}", fold, compressions, shards, settings, loading) for fold in folds]
    card = found[0].card
    qualities = tested_on(card.quality, compressions)
    scored = pd.concat([one.scored for one in found], ignore_index=True)
    tested, chosen_on = (
        {quality: scored[(scored["quality"] == quality) & (scored["role"] == role)] for quality in qualities}
        for role in (TEST, VALIDATION)
    )
    results = {}
    for quality in qualities:
        results[quality] = summarise(tested[quality], settings) | _by_manipulation(tested[quality], card, settings)
        recalls, counts = zip(*(one.recalls[quality] for one in found), strict=True)
        pooled = sum(recall * count for recall, count in zip(recalls, counts, strict=True)) / sum(counts)
        results[quality]["frame"]["knn_r1"] = pooled
    one = tested[qualities[0]]
    summary = {
        "method": card.method,
        "backbone": card.backbone,
        "manipulation": card.manipulation,
        "compression": card.quality,
        "seed": card.seed,
        "folds": list(folds),
        "results": results,
        "thresholds": carried(tested, chosen_on),
        "training": [one.training for one in found],
        "counts": {"frames": len(one), "videos": len(metrics.by_video(one)), "persons": one["person"].nunique()},
    }
    _write(scored, summary, out)
    return summary


class _Fold(NamedTuple):
    """What one fold has: how it was trained, its scores, and by quality knn R@1 with its number of queries."""

    card: Card
    training: dict[str, Any]
    scored: pd.DataFrame
    recalls: dict[str, tuple[float, int]]


def _fold(
    folder: Path, fold: int, compressions: Sequence[str], shards: Path, settings: Evaluation, loading: Loader
) -> _Fold:
    detector, card = load(folder)
    training = {"fold": fold, **_training(folder)}
    tables, recalls = [], {}
    for quality in tested_on(card.quality, compressions):
        test, gallery = (_scores(detector, card, role, quality, shards, settings, loading) for role in (TEST, "train"))
        labels, known = test.frames["label"].to_numpy(), gallery.frames["label"].to_numpy()
        recall = knn_recall(test.embeddings, labels, gallery.embeddings, known, device())
        recalls[quality] = (recall, len(labels))
        tables.append(test.frames.assign(quality=quality, fold=fold, role=TEST))
        if card.buckets[VALIDATION]:
            validation = _scores(detector, card, VALIDATION, quality, shards, settings, loading).frames
            tables.append(validation.assign(quality=quality, fold=fold, role=VALIDATION))
    return _Fold(card, training, pd.concat(tables, ignore_index=True), recalls)


def summarise(frames: pd.DataFrame, settings: Evaluation) -> dict[str, Any]:
    """Measures per frame and per video, with intervals over videos and over people; per fold; per person."""
    levels = {"frame": frames, "video": metrics.by_video(frames)}
    draws = (settings.bootstrap, settings.seed)
    return {
        **{level: metrics.measure(table) for level, table in levels.items()},
        "interval": {level: metrics.intervals(t, UNITS["video"], *draws) for level, t in levels.items()},
        "interval_persons": {level: metrics.intervals(t, UNITS["person"], *draws) for level, t in levels.items()},
        "per_fold": {str(fold): metrics.measure(table) for fold, table in frames.groupby("fold")},
        "persons": {
            str(person): {
                "frames": len(table),
                "videos": len(metrics.by_video(table)),
                **{name: value for name, value in metrics.measure(table).items() if name in ("acc", "auc")},
            }
            for person, table in frames.groupby("person")
        },
    }


def _by_manipulation(frames: pd.DataFrame, card: Card, settings: Evaluation) -> dict[str, Any]:
    """A pooled task's detector on the fakes of each manipulation, against all reals."""
    if not card.pooled:
        return {}
    parts = {name: frames[frames["set"].isin(["original", name])] for name in card.pooled}
    draws = (settings.bootstrap, settings.seed)
    return {
        "manipulations": {
            name: {
                level: {
                    **metrics.measure(table),
                    "interval": metrics.intervals(table, UNITS["video"], *draws),
                    "interval_persons": metrics.intervals(table, UNITS["person"], *draws),
                }
                for level, table in (("frame", part), ("video", metrics.by_video(part)))
            }
            for name, part in parts.items()
        }
    }


def _scores(
    detector: Any, card: Card, role: str, quality: str, shards: Path, settings: Evaluation, loading: Loader
) -> Scores:
    folders = [shards / name for name in ("original", *card.manipulations)]
    index = read_index(folders, card.buckets[role])
    return score(detector, frames_of(index, quality, card, settings, loading), quality, device())


def _training(folder: Path) -> dict[str, Any]:
    try:
        summary = json.loads((folder / SUMMARY).read_text())
        history = pd.read_csv(folder / HISTORY)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: missing; train the model again") from None
    return {**summary, "history": history.astype(object).where(history.notna(), None).to_dict("records")}


def _write(frames: pd.DataFrame, summary: dict[str, Any], out: Path) -> None:
    columns = ["role", "quality", "fold", "set", "video", "person", "bucket", "target", "frame", "label", "score"]
    with whole(out.with_name(out.name + ".parquet")) as part:
        frames[columns].to_parquet(part, index=False)
    with whole(out.with_name(out.name + ".json")) as part:
        part.write_text(json.dumps(finite(summary), indent=1) + "\n")


def finite(value: Any) -> Any:
    """JSON has no nan: a measure that does not exist is null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
