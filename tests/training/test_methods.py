"""Every kind of training through its stage, on drawn faces and a toy network, to a model that evaluate can test."""

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from pipeline.detectors.card import HISTORY, WEIGHTS, load
from pipeline.evaluation.evaluation import evaluate
from pipeline.params import schema
from stages import agnostic, classifier, student
from tests.aids.report_fixture import write_params, write_shards
from tests.aids.toys import Toy

SCRATCH = {
    "crop.size": 48, "model": {"image_size": 32, "pretrained": False}, "evaluation.bootstrap": 100,
    "train.epochs": 1, "train.batch_size": 24, "train.freeze_stages": 0, "train.validations_per_epoch": 2,
    "grid.baselines": [], "tracking.enabled": False,
    "stress.methods": [], "stress.degradations": [], "cross.methods": [],
    "baselines.mobilenet_v2.train": {"freeze_stages": 0},
}  # fmt: skip


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards of drawn faces, and a teacher trained on their raw crops."""
    folder = tmp_path_factory.mktemp("clone")
    write_shards(folder / "shards", ["original", "faceswap"], ["c23", "c40"])
    with pytest.MonkeyPatch.context() as patch:
        train(folder, patch, classifier, "teacher", "raw")
    return folder


def train(
    folder: Path, patch: pytest.MonkeyPatch, stage: ModuleType, method: str, compression: str, **changes: Any
) -> Path:
    """Run a stage's training in the folder, as dvc.yaml does; the model of fold 0."""
    patch.chdir(folder)
    patch.setenv("DVC_ROOT", str(folder))
    for place in ("backbones.registry", "card"):
        patch.setattr(f"pipeline.detectors.{place}.build", lambda *names: Toy())
    write_params(folder, **SCRATCH | changes)
    out = folder / "models" / method / f"mobilenet_v2-faceswap-{compression}-s0/fold0"
    names = {"method": method, "backbone": "mobilenet_v2", "manipulation": "faceswap", "compression": compression}
    teacher = folder / "models/teacher/mobilenet_v2-faceswap-raw-s0/fold0"
    paths = {"shards": folder / "shards", "out": out, "teacher": teacher}
    stage.main(argparse.Namespace(**names, **paths, seed=0, fold=0))
    return out


def test_a_quality_agnostic_model_is_tested_at_every_quality(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for method, terms in (
        ("mixed", {"train_cross_entropy"}),
        ("qad", {"train_cross_entropy", "train_hsic", "hsic_stage2"}),
    ):
        changes = {"agnostic.qad.perturbation_warmup": 0, "split.validation": 1}
        model = train(clone, monkeypatch, agnostic, method, "all", **changes)
        assert load(model)[1].quality == "all"
        history = pd.read_csv(model / HISTORY)
        assert terms | {"val_acc", "val_auc"} <= set(history) and history.notna().all(axis=None)
        params = schema.load()
        out = clone / f"cell-{method}"
        found = evaluate(
            model.parent, [0], params.compressions, clone / "shards", params.evaluation, params.loader, out
        )
        assert list(found["results"]) == ["raw", "c23", "c40"] and found["compression"] == "all"
        scores = pd.read_parquet(f"{out}.parquet").pivot(index=["set", "video", "frame"], columns="quality")["score"]
        assert scores.notna().all(axis=None) and not scores["raw"].equals(scores["c40"])


@pytest.mark.parametrize("method", ["feature", "crd", "kd"])
def test_a_distillation_trains_and_names_its_loss(clone: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    history = pd.read_csv(train(clone, monkeypatch, student, method, "c40") / HISTORY)
    assert f"train_{method}" in history and history.notna().all(axis=None)


@pytest.mark.parametrize(("method", "key"), [("add", "add.start"), ("at", "distill.at.start")])
def test_a_student_starts_where_its_params_say(
    clone: Path, monkeypatch: pytest.MonkeyPatch, method: str, key: str
) -> None:
    teacher = load_file(clone / "models/teacher/mobilenet_v2-faceswap-raw-s0/fold0" / WEIGHTS)
    still = {"train.lr": 1e-30}
    for start in ("teacher", "imagenet"):
        weights = load_file(train(clone, monkeypatch, student, method, "c40", **still, **{key: start}) / WEIGHTS)
        same = [
            torch.equal(weights[name], teacher[name])
            for name in weights
            if "running" not in name and "num_" not in name
        ]
        assert all(same) == (start == "teacher")


def test_warm_start_is_plain_training_from_the_teachers_weights(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as a distillation of no weight that starts there."""
    warm = load_file(train(clone, monkeypatch, student, "warm_start", "c40") / WEIGHTS)
    nothing = {"distill.at": {"weight": 0.0, "layer_weights": [0, 0, 0, 1], "start": "teacher", "train": {}}}
    other = load_file(train(clone, monkeypatch, student, "at", "c40", **nothing) / WEIGHTS)
    assert all(torch.equal(warm[name], other[name]) for name in warm)


def test_paired_batches_train_another_model(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, paired = (
        load_file(train(clone, monkeypatch, classifier, "baseline", "c40", **{"train.paired": value}) / WEIGHTS)
        for value in (False, True)
    )
    assert not torch.equal(plain["classifier.1.weight"], paired["classifier.1.weight"])
