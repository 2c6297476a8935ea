"""A run in miniature, from drawn faces to shipped detectors: every step the pipeline's own, the networks untrained.

Their backbone is a toy of five units unless another is named: what is tested is what surrounds it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.crops.cropping import crop_set
from pipeline.detectors import card as cards
from pipeline.detectors.backbones import registry
from pipeline.evaluation.evaluation import evaluate
from pipeline.faces.detection import detect_set
from pipeline.faces.sampled import Search
from pipeline.params.schema import Params, load
from pipeline.serving.export.exporting import export
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.videos.sampling import sample
from pipeline.videos.writing import transcode
from tests.aids import report_fixture as made_up
from tests.aids import toys
from tests.aids.clips import faces, raw_set

SETS = {"original": 0, "faceswap": 1}
SIZES = {
    "manipulations": ["faceswap"], "sets": ["original", "faceswap"], "forge.manipulations": ["faceswap"],
    "compressions": ["c40"], "folds": [0, 1], "sample.frames": 3, "crop.size": 48, "model.image_size": 40,
    "evaluation.bootstrap": 100, "tracking.enabled": False, "export.task": "faceswap", "workers": 1,
    "verdict.frames": 6, "verdict.min_size": 20,
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """Where things lie. detectors: the folder with raw/ and c40/, of which c40/ alone has an ONNX file."""

    root: Path
    params: Params
    backbone: str

    @property
    def detectors(self) -> Path:
        return self.root / f"models/export/add-{self.backbone}-faceswap"

    def video(self, name: str, quality: str = "raw") -> Path:
        part = "raw/original" if quality == "raw" else f"compressed/original/{quality}"
        return self.root / "data" / part / f"{name}.mp4"

    def cell(self, quality: str) -> str:
        """The name of the tested cell that the detector of this quality comes from."""
        return f"{'teacher' if quality == 'raw' else 'add'}-{self.backbone}-faceswap-{quality}-s0"

    def scores(self, cell: str) -> pd.DataFrame:
        return pd.read_parquet(self.root / f"reports/cells/{cell}.parquet")


def make(root: Path, onnx: bool, backbone: str = "toy") -> Run:
    params = load(made_up.write_params(root, **SIZES))
    run = Run(root, params, backbone)
    for name, label in SETS.items():
        _crops(root / "data", name, label, params)
    for method, quality in (("teacher", "raw"), ("add", "c40")):
        name = f"{backbone}-faceswap-{quality}-s0"
        for fold in params.folds:
            _network(root / f"models/{method}/{name}/fold{fold}", method, quality, fold, run)
        cell = root / f"reports/cells/{method}-{name}"
        model, shards = root / f"models/{method}/{name}", root / "data/shards"
        evaluate(model, params.folds, params.compressions, shards, params.evaluation, params.loader, cell)
        written = params.export.model_copy(update={"onnx": onnx and quality != "raw"})
        out = run.detectors / quality
        export(model, cell, shards, root / "data/raw/original", out, params.model_copy(update={"export": written}))
    return run


@contextmanager
def toys_known() -> Iterator[None]:
    """Let the registry of backbones know the toy."""
    module = ModuleType("pipeline.detectors.backbones.toy")
    module.__file__ = toys.__file__  # work.resume reads the code of every module
    module.build = lambda name, pretrained, classes: toys.Toy()  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.FAMILIES, "toy", "toy")
        patch.setitem(sys.modules, module.__name__, module)
        yield


def _crops(data: Path, name: str, label: int, params: Params) -> None:
    """Four people in as many buckets; the fakes are their faces in another colour."""
    people = {
        f"v{n}{'-fake' * label}": {"person": f"p{n}", "bucket": f"b{n % 2}", "label": label, "target": f"v{n}" * label}
        for n in range(4)
    }
    raw = raw_set(data / "raw" / name, people, frames=8, shown=lambda count, n: faces(count, 20 * n + 60 * label))
    (data / "compressed" / name / "c40").mkdir(parents=True)
    for video in people:
        transcode(raw / f"{video}.mp4", data / f"compressed/{name}/c40/{video}.mp4", 40)
    (data / f"compressed/{name}/c40/rejected.csv").write_text("set,video,frame,stage,cause\n")
    frames = sample(name, read_manifest(raw), read_rejected(raw), params.sample.frames, 0)
    search = Search(**params.faces.model_dump())
    detect_set(raw, frames, data / "faces" / name, search, workers=1)
    compressed = {"c40": data / f"compressed/{name}/c40"}
    crop_set(frames, data / "faces", raw, compressed, data / "shards" / name, params.crop.size, 100, workers=1)


def _network(folder: Path, method: str, quality: str, fold: int, run: Run) -> None:
    torch.manual_seed(fold)
    model = registry.build(run.backbone).eval()
    with torch.no_grad():  # or untrained scores would all be alike, whatever the pixels
        weight, bias = model.head.parameters()
        weight *= 20
        bias.zero_()
    folder.mkdir(parents=True)
    side, buckets = run.params.model.image_size, {"train": (f"b{1 - fold}",), "val": (), "test": (f"b{fold}",)}
    about = {"method": method, "backbone": run.backbone, "manipulation": "faceswap", "quality": quality, "seed": 0}
    cards.save(model, cards.Card(**about, fold=fold, buckets=buckets, image_size=side, mean=0.5, std=0.5), folder)
    (folder / cards.SUMMARY).write_text("{}")
    (folder / cards.HISTORY).write_text("step,train_loss\n1,1\n")


def noise(count: int, side: int = 96) -> list[np.ndarray]:
    """Frames without a face."""
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (side, side, 3), dtype=np.uint8) for _ in range(count)]
