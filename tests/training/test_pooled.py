"""A task of several manipulations from shards to measures: trained, saved, tested on each."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.detectors import card
from pipeline.detectors.backbones.registry import build
from pipeline.detectors.device import seed_everything
from pipeline.evaluation.evaluation import evaluate
from pipeline.evaluation.metrics import measure
from pipeline.params.cells import Cell, pooled
from pipeline.params.schema import load
from pipeline.training.classification import Classification
from pipeline.training.fitting import fit
from pipeline.work.errors import UserError
from tests.aids import report_fixture as made_up

SMALL = {
    "pooled.tasks": ["all"], "folds": [0, 1], "split.validation": 1, "model.image_size": 32, "model.pretrained": False,
    "train.freeze_stages": 0, "train.epochs": 1, "train.batch_size": 8, "train.validations_per_epoch": 1,
    "crop.size": 40, "tracking.enabled": False,
}  # fmt: skip


def test_from_shards_to_a_table_by_manipulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    params = load(made_up.write_params(tmp_path, **SMALL))
    made_up.write_shards(tmp_path / "shards", params.sets, params.compressions, size=40)
    (cell,) = (cell for cell in pooled(params) if cell.method == "mobilenet_v2")
    for fold in params.folds:
        seed_everything(0)
        task = Classification(build("mobilenet_v2"), "c40")
        out = tmp_path / f"models/{cell.folder}/fold{fold}"
        fit(task, cell, fold, params.train, {}, params, tmp_path / "shards", out)
    assert card.load(out)[1].manipulations == ("faceswap", "reenactment")
    models = tmp_path / "models" / cell.folder
    shards = tmp_path / "shards"
    evaluate(models, params.folds, params.compressions, shards, params.evaluation, params.loader, tmp_path / "cell")
    scores = pd.read_parquet(tmp_path / "cell.parquet")
    found = json.loads((tmp_path / "cell.json").read_text())["results"]["c40"]
    test = scores[scores["role"] == "test"]
    assert set(test["set"]) == set(params.sets) and set(scores["role"]) == {"test", "val"}
    for fold, rows in scores.groupby("fold"):
        assert set(rows["person"][rows["role"] == "val"]).isdisjoint(rows["person"][rows["role"] == "test"]), fold
    assert found["frame"]["auc"] == pytest.approx(measure(test)["auc"])
    for name in ("faceswap", "reenactment"):
        part = measure(test[test["set"].isin(["original", name])])
        assert found["manipulations"][name]["frame"]["auc"] == pytest.approx(part["auc"])


def test_its_cells_are_apart_from_those_of_single_manipulations(tmp_path: Path) -> None:
    params = load(made_up.write_params(tmp_path, **{"pooled.tasks": ["all"]}))
    assert [cell.name for cell in pooled(params)] == [
        "teacher-mobilenet_v2-all-raw-s0",
        "baseline-mobilenet_v2-all-c40-s0",
        "add-mobilenet_v2-all-c40-s0",
    ]
    assert pooled(load(made_up.write_params(tmp_path))) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pooled.tasks": ["every"]}, "pooled.tasks holds every, which pooled.sets does not have"),
        ({"pooled.tasks": ["all"], "pooled.sets": {"all": ["faceswap", "x"]}}, "pooled.sets.all holds x"),
        ({"pooled.tasks": ["faceswap"], "pooled.sets": {"faceswap": ["faceswap", "reenactment"]}}, "name of a set"),
        ({"export.methods": ["add"]}, "export.task all is neither in pooled.tasks nor in manipulations"),
        ({"export.methods": ["fitnet"], "export.task": "faceswap"}, "no fitnet on mobilenet_v2 is trained"),
        ({"export.methods": ["warm_start"], "pooled.tasks": ["all"]}, "no warm_start on mobilenet_v2 is trained"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        made_up.write_params(tmp_path, **changes)


def test_a_cell_of_one_manipulation_is_its_own_task() -> None:
    assert Cell("add", "mobilenet_v2", "faceswap", "c40", 0).folder == "add/mobilenet_v2-faceswap-c40-s0"
