"""A run whose crops are even greys, fakes brighter than reals, and whose models score a crop by its brightness."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from pipeline.crops.shards import DEGRADED, ENCODING, ShardWriter
from pipeline.detectors import card as models
from pipeline.detectors.backbones.base import Backbone
from pipeline.detectors.backbones.features import Features
from pipeline.evaluation.cross import cross
from pipeline.evaluation.evaluation import evaluate
from pipeline.evaluation.stress import stress
from pipeline.params.cells import Cell, expected
from pipeline.params.schema import Params, load
from tests.aids import report_fixture as made_up

SIZE, WINDOW = 40, 32
SETS = {"original": 0, "faceswap": 1, "reenactment": 1}
PEOPLE = [f"p{number}" for number in range(12)]
BUCKETS = ["b0", "b1", "b2"]
TESTED = [name for number, name in enumerate(PEOPLE) if number % 3 < 2]  # in folds 0 and 1
# How much brighter fakes are at each quality: detection dies with the rate factor.
GAPS = {"raw": 60, "c23": 40, "c40": 25, "h264-45": 12, "h264-51": 0, "vp9-30": 30, "vp9-60": 5, "jpeg-20": 15}
DEGRADATIONS = [name for name in GAPS if "-" in name]
Greys = dict[tuple[str, str, int, str], int]


class Brightness(Backbone):
    """The probability of fake rises with the mean of the images; a model of fold 1 has it the other way round."""

    channels = (1, 1, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    @property
    def head(self) -> nn.Module:
        return self

    def stages(self) -> list[list[nn.Module]]:
        return [[self], [], [], []]

    def forward(self, images: Tensor) -> Features:
        embedding = images.mean((1, 2, 3))[:, None]
        fake = self.gain * embedding
        return Features((images,) * 4, embedding, torch.cat([0 * fake, fake], 1))


def write(folder: Path, names: dict[str, str], greys: Greys, count: int, manipulation: str) -> None:
    """Shards of one set: names of the crops -> the quality that they show; a video a person, `count` frames each."""
    random = np.random.default_rng(len(greys))
    label = SETS[manipulation]
    with ShardWriter(folder, shard_frames=7) as writer:
        for bucket in BUCKETS:
            for person in (name for number, name in enumerate(PEOPLE) if BUCKETS[number % 3] == bucket):
                for frame in range(count):
                    files = {}
                    for name, quality in names.items():
                        key = (manipulation, person, frame, quality)
                        gap = GAPS[quality] + 20 * (manipulation == "faceswap")
                        greys.setdefault(key, int(random.integers(20, 120)) + gap * label)
                        image = np.full((SIZE, SIZE, 3), greys[key], np.uint8)
                        files[f"{name}.png"] = bytes(cv2.imencode(".png", image)[1])
                    row = {"set": manipulation, "video": person, "person": person, "frame": frame, "label": label}
                    row |= {"left": 0, "top": 0, "size": SIZE, "target": "", "donor": ""}
                    writer.write(bucket, f"{person}-{frame:06d}", files, row)


def make_run(folder: Path) -> tuple[Params, Greys]:
    """Shards with three frames a video, degraded ones with two; models of all folds; cells as evaluated."""
    changes = {"folds": [0, 1], "crop.size": SIZE, "model.image_size": WINDOW, "evaluation.bootstrap": 100}
    changes |= {"stress.degradations": DEGRADATIONS, "stress.frames": 2}
    params = load(made_up.write_params(folder, **changes))
    greys: Greys = {}
    for name in SETS:
        write(folder / "shards" / name, {one: one for one in ("raw", "c23", "c40")}, greys, 3, name)
        for degradation in DEGRADATIONS:
            place = folder / "stressed" / name / degradation
            write(place, {DEGRADED: degradation}, greys, 2, name)
            size = 100 if degradation != "jpeg-20" else None
            rows = [{"video": person, "bytes": size, "frames": 10, "width": 8, "height": 10} for person in PEOPLE]
            pd.DataFrame(rows).to_csv(place / ENCODING, index=False)
            lost = [{"set": name, "video": "p99", "frame": None, "stage": "degrade", "cause": "damaged"}]
            pd.DataFrame(lost).to_parquet(place / "rejected.parquet")
    for cell in expected(params):
        save(folder / "models", cell, params)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", lambda name: Brightness())
        for cell in expected(params):
            evaluate(folder / "models" / cell.folder, params.folds, params.compressions, folder / "shards",
                     params.evaluation, params.loader, folder / "cells" / cell.name)  # fmt: skip
        for method in params.stress.methods:
            places = (folder / name for name in ("models", "shards", "stressed"))
            stress(method, *places, folder / "cells" / f"stress-{method}", params)
        for method in params.cross.methods:
            cross(method, folder / "models", folder / "shards", folder / f"cells/cross-{method}.parquet", params)
    return params, greys


def save(folder: Path, cell: Cell, params: Params) -> None:
    """A cell's models of all folds, which know brightness; `warm_start` knows it the wrong way round."""
    for fold in params.folds:
        place = folder / cell.folder / f"fold{fold}"
        place.mkdir(parents=True)
        model = Brightness()
        model.gain.data *= 2 * (-1) ** (cell.method == "warm_start")
        about = {"method": cell.method, "backbone": cell.backbone, "manipulation": cell.manipulation}
        about |= {"quality": cell.compression, "seed": cell.seed, "fold": fold}
        about |= {"pooled": params.pool(cell.manipulation)}
        roles = {"train": BUCKETS[:fold] + BUCKETS[fold + 1 :], "val": [], "test": [BUCKETS[fold]]}
        models.save(model, models.Card(**about, buckets=roles, image_size=WINDOW, mean=0.5, std=0.5), place)
        (place / models.HISTORY).write_text("step,epoch,lr,train_loss\n1,1,0.1,0.5\n")
        (place / models.SUMMARY).write_text("{}")


def table(greys: Greys, task: str, quality: str, frames: int = 2) -> pd.DataFrame:
    rows = [
        {"set": name, "video": person, "frame": frame, "label": SETS[name], "grey": grey}
        for (name, person, frame, point), grey in greys.items()
        if point == quality and name in ("original", task) and frame < frames and person in TESTED
    ]
    return pd.DataFrame(rows)
