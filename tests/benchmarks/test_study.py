"""The study's choices: made on each fold's validation people alone, and carried into its own tested models."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from benchmarks import study
from pipeline.crops import folds
from pipeline.detectors.card import Card
from pipeline.params.schema import load
from pipeline.training import fitting
from pipeline.training.history import Outcome
from tests.aids.toys import Toy

SETTINGS = [{}, {"add.start": "teacher", "add.train.paired": True}, {"add.train.epochs": 10, "beta": 64}]


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tries whose best is 2, 0, 1 in the folds 0, 1, 2 by the mean of the tasks, though not by the first task."""
    monkeypatch.setattr(study, "WORK", tmp_path)
    plan = {"tuned": {"mine": {"method": "add", "tries": SETTINGS}}}
    plan["tested"] = {"mine": {"tuned": "mine"}, "alike": {"method": "warm_start", "recipe_of": "mine"}}
    monkeypatch.setattr(study, "PLAN", plan)
    best = [2, 0, 1]
    for number, group in enumerate(study.inner("mine")):
        for training in group:
            first = training.task == study.PARAMS.manipulations[0]
            value = 0.6 + 0.01 * number if first else 0.7 + 0.1 * (best[training.fold] == number)
            roles = {"train": ("b2",), "val": ("b1",), "test": ("b0",)}
            card = Card(
                method="add", backbone="toy", manipulation=training.task, quality="c40", seed=0, fold=training.fold,
                buckets=roles, image_size=16, mean=0.5, std=0.5,
            )  # fmt: skip
            row = {"step": 45.0, "epoch": 5.0, "lr": 0.1, "val_auc": value}
            fitting.write(Toy(), card, study.PARAMS.train, Outcome([row], 45, False), training.out)


@pytest.mark.usefixtures("tried")
def test_each_fold_carries_its_own_choice() -> None:
    assert study.choices("mine") == [SETTINGS[2], SETTINGS[0], SETTINGS[1]]
    chosen = {training.fold: training.settings for training in study.tested("mine")}
    assert chosen == {0: SETTINGS[2], 1: SETTINGS[0], 2: SETTINGS[1]}
    assert {(training.method, training.seed) for training in study.tested("mine", seed=1)} == {("add", 1)}


@pytest.mark.usefixtures("tried")
def test_the_control_takes_the_recipe_and_nothing_else() -> None:
    found = {training.fold: training.settings for training in study.tested("alike")}
    assert found == {0: {"distill.warm_start.train.epochs": 10}, 1: {}, 2: {"distill.warm_start.train.paired": True}}


def test_no_choice_has_seen_the_folds_test_people(tmp_path: Path) -> None:
    study.write_params(study.INNER, tmp_path / "params.yaml")
    chosen, tested = load(tmp_path / "params.yaml"), study.PARAMS
    for number in tested.folds:
        inner, outer = folds.fold(chosen, number), folds.fold(tested, number)
        assert inner.val and not outer.val
        assert {*inner.train, *inner.val} == {*outer.train} and not {*outer.train} & {*outer.test}


def test_every_setting_of_the_plan_is_one_of_params_yaml(tmp_path: Path) -> None:
    plan = YAML(typ="safe").load((study.ROOT / "benchmarks/study.yaml").read_text())
    tuned = [tried for group in plan["tuned"].values() for tried in group["tries"]]
    for settings in [*tuned, *(entry.get("settings", {}) for entry in plan["tested"].values())]:
        study.write_params(settings, tmp_path / "params.yaml")  # raises for what the schema refuses
    assert {len(group["tries"]) for name, group in plan["tuned"].items() if name != "add_chosen"} == {3}
