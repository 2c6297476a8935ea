"""Test frames through a cell's trained models, once: the scores of every frame, and a summary of them."""

import json
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
from pipeline.evaluation.summary import finite, summarise
from pipeline.evaluation.thresholds import carried
from pipeline.params.cells import tested_on
from pipeline.params.sections import Evaluation, Loader
from pipeline.work.errors import UserError
from pipeline.work.files import whole


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
        results[quality] = summarise(tested[quality], card.pooled, settings)
        recalls, counts = zip(*(one.recalls[quality] for one in found), strict=True)
        right = sum(recall * count for recall, count in zip(recalls, counts, strict=True))
        results[quality]["frame"]["knn_r1"] = right / sum(counts)
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
