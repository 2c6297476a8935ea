"""From a trained and tested cell to a folder that can be shipped: networks, calibration, card, hashes."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.crops.shards import read_crops, read_index
from pipeline.crops.sharpness import sharpness
from pipeline.detectors import card as cards
from pipeline.evaluation.calibration import VALIDATION, fit, held_out
from pipeline.evaluation.metrics import by_video
from pipeline.params.cells import RAW
from pipeline.params.schema import Params
from pipeline.serving.export import modelcard, onnx_file
from pipeline.serving.shipped import ABOUT, MODEL_CARD, ONNX, Detector, Preparation, Seen, read, seal
from pipeline.videos.manifests import read_manifest
from pipeline.work.errors import UserError
from pipeline.work.files import whole_folder

CROPS = 400  # of the training people, whose sharpness is measured
TRIED = 32  # of these, on which the ONNX file is compared with torch
VALIDATED = "validation people"
CROSSED = "test people of all folds, each scored by a network that never saw them"


def export(model: Path, cell: Path, shards: Path, raw: Path, out: Path, params: Params) -> Detector:
    """Leave in `out` what pipeline.serving.shipped tells of; it is there whole or not at all.

    model: the folder with the models of all folds; cell: the files that evaluate left of it, without suffix; shards,
    raw: the folders of all sets' shards, and of the real videos with their manifest. Raises: UserError where the cell
    was not evaluated, or has no people to calibrate on.
    """
    found = [cards.load(model / f"fold{fold}")[1] for fold in params.folds]
    card = found[0]
    summary, scores = _read(cell)
    at = scores[scores["quality"] == card.quality]
    known = held_out(at)
    own = bool((known["role"] == VALIDATION).any())
    if not own and known["fold"].nunique() < 2:
        raise UserError(
            f"{cell}: no people to calibrate a verdict on: train several `folds`, or set split.validation to 1 or more"
        )
    rates = (params.verdict.false_alarms, params.verdict.misses)
    index = read_index([shards / name for name in ("original", *card.manipulations)])
    trained = index[index["bucket"].isin({bucket for one in found for bucket in one.buckets["train"]})]
    crops = _crops(trained, card.quality)
    about = Detector(
        name=out.parent.name,
        method="teacher" if card.quality == RAW else card.method,
        backbone=card.backbone,
        task=card.manipulation,
        manipulations=card.manipulations,
        quality=card.quality,
        crf=0 if card.quality == RAW else params.crf[card.quality],
        seed=card.seed,
        folds=params.folds,
        preparation=Preparation(
            max_side=params.faces.max_side,
            enlarge=params.faces.enlarge,
            crop_size=params.crop.size,
            image_size=card.image_size,
            mean=card.mean,
            std=card.std,
        ),
        verdict=params.verdict,
        video=fit(by_video(known), *rates),
        image=fit(known, *rates),
        calibrated_on=VALIDATED if own else CROSSED,
        seen=Seen(face=_ends(trained["size"]), sharpness=_ends([sharpness(crop) for crop in crops])),
        people=int(trained["person"].nunique()),
        source=params.source,
        results=modelcard.results(summary, card.quality, at, params),
    )
    with whole_folder(out) as part:
        for fold in params.folds:
            target = part / f"fold{fold}"
            target.mkdir()
            for name in (cards.WEIGHTS, cards.CARD):
                shutil.copyfile(model / f"fold{fold}" / name, target / name)
        (part / ABOUT).write_text(about.model_dump_json(indent=1) + "\n")
        if params.export.onnx:
            onnx_file.write(part / ONNX, part, about, crops[:: max(len(crops) // TRIED, 1)][:TRIED])
        (part / MODEL_CARD).write_text(modelcard.write(about, read_manifest(raw), summary, params), encoding="utf-8")
        seal(part)
    return about


def registered(folder: Path, params: Params) -> str:
    """Put an exported detector into MLflow's registry, under the name that params give; its address there."""
    from pipeline.tracking.registering import register

    about = read(folder)
    name = f"{params.export.registered_as}-{about.quality}"
    side = about.preparation.image_size
    example = np.zeros((2, 3, side, side), np.float32)
    tags = {"stage": "export", "method": about.method, "task": about.task, "quality": about.quality}
    return register(folder / ONNX, name, example, tags, params.tracking)


def _read(cell: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    summary, scores = (cell.with_name(f"{cell.name}.{kind}") for kind in ("json", "parquet"))
    try:
        return dict(json.loads(summary.read_text())), pd.read_parquet(scores)
    except (OSError, ValueError) as error:
        raise UserError(f"{summary}: cannot be read ({error}); run evaluate again") from None


def _crops(index: pd.DataFrame, quality: str) -> np.ndarray:
    """Some crops of the index, evenly spread: (N, size, size, 3) RGB."""
    rows = index.iloc[np.linspace(0, len(index) - 1, min(CROPS, len(index))).astype(int)]
    return np.stack([read_crops(row, [quality])[quality] for _, row in rows.iterrows()])


def _ends(values: Sequence[float] | pd.Series) -> tuple[float, float]:
    low, high = np.percentile(np.asarray(values, float), [1, 99])
    return round(float(low), 3), round(float(high), 3)
