"""The real graph on real faces, small: a fresh clone, `dvc repro`, and what it promises. Run by `make test`, apart."""

import json
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.aids.clone import run
from tests.aids.small import Finished
from tests.evaluation.test_elsewhere import write_shards

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(finished: Finished) -> Path:
    return finished.folder


def would_run(folder: Path, change: tuple[str, ...], value: object) -> set[str]:
    """The stages that `dvc repro` would run after one param changes."""
    file = folder / "params.yaml"
    before = file.read_text()
    params = yaml.safe_load(before)
    section = params
    for key in change[:-1]:
        section = section[key]
    section[change[-1]] = value
    file.write_text(yaml.safe_dump(params, sort_keys=False))
    try:
        changed = json.loads(run(folder, "dvc", "status", "--json"))
    finally:
        file.write_text(before)
    return set(changed)


def test_the_report_stands(clone: Path) -> None:
    page = (clone / "reports/report.html").read_text()
    assert "faceswap" in page and "<script src" not in page and "http-equiv" not in page
    assert "the point at which detection fails" in (clone / "reports/report.md").read_text()
    metrics = json.loads((clone / "reports/metrics.json").read_text())
    assert metrics and all(isinstance(value, int | float | str) or value is None for value in metrics.values())


def test_a_second_repro_runs_nothing(clone: Path) -> None:
    assert "Running stage" not in run(clone, "dvc", "repro")


def test_crops_are_pairs_and_people_stay_in_one_bucket(clone: Path) -> None:
    tables = [pd.read_parquet(clone / "data/shards" / name / "index.parquet") for name in ("original", "faceswap")]
    real, fake = tables
    assert (real["label"] == 0).all() and (fake["label"] == 1).all() and len(fake)
    assert pd.concat(tables).groupby("person")["bucket"].nunique().eq(1).all()
    merged = fake.merge(real, left_on=["target", "frame"], right_on=["video", "frame"], suffixes=("", "_real"))
    assert len(merged) == len(fake)  # a fake's frames and boxes are its target's
    assert (
        merged[["left", "top", "size"]].to_numpy() == merged[["left_real", "top_real", "size_real"]].to_numpy()
    ).all()


def test_no_model_is_tested_on_people_it_saw(clone: Path) -> None:
    cards = [json.loads(path.read_text()) for path in clone.glob("models/**/model.json")]
    assert len(cards) == 6
    for card in cards:
        roles = [set(card["buckets"][role]) for role in ("train", "val", "test")]
        assert all(roles) and len(set.union(*roles)) == sum(map(len, roles))
        name = f"{'baseline' if card['method'] == card['backbone'] else card['method']}-*"
        tested = list(clone.glob(f"reports/cells/{name}.parquet"))
        assert tested
        for scores in tested:
            table = pd.read_parquet(scores)
            assert set(table["bucket"][table["role"] == "test"]) <= roles[2]
            assert set(table["bucket"][table["role"] == "val"]) <= roles[1]


def test_one_model_for_every_quality_is_tested_on_each(clone: Path) -> None:
    scores = pd.read_parquet(clone / "reports/cells/mixed-mobilenet_v2-faceswap-all-s0.parquet")
    assert set(scores["quality"]) == {"raw", "c23", "c40"}
    assert "One model for every quality" in (clone / "reports/report.md").read_text()


def test_beta_runs_the_add_students_and_nothing_else(clone: Path) -> None:
    changed = would_run(clone, ("beta",), 20.0)
    assert {name.split("@")[0] for name in changed} == {"check", "student", "report"}


def test_a_methods_weight_runs_that_method_alone(clone: Path) -> None:
    changed = would_run(clone, ("distill", "at", "weight"), 3.0)
    assert {name.split("-")[0] for name in changed} == {"check", "distilled@at", "report"}


def test_every_training_is_an_mlflow_run(clone: Path) -> None:
    code = (
        "from mlflow import MlflowClient; c = MlflowClient('sqlite:///mlflow.db');"
        "e = c.get_experiment_by_name('add').experiment_id;"
        "print(sorted((r.data.tags['stage'], r.data.tags['method'], r.info.status) for r in c.search_runs([e])))"
    )
    found = run(clone, sys.executable, "-c", code)
    for method in ("teacher", "mobilenet_v2", "warm_start", "at", "mixed", "add"):
        assert f"('train', '{method}', 'FINISHED')" in found and f"('evaluate', '{method}', 'FINISHED')" in found


def test_other_data_are_tested_on_and_nothing_else_runs(clone: Path, tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", ["p1", "p2"], size=72)
    said = run(clone, "dvc", "exp", "run", "-S", f"elsewhere=[{{name: other, shards: {tmp_path / 'shards'}}}]")
    assert re.findall(r"Running stage '(.*)'", said) == ["check", "elsewhere@data0", "report"]
    assert "On data that no model saw: other" in (clone / "reports/report.md").read_text()
