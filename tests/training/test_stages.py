"""What the scripts of trainings hand to fit: the cell, its recipe and seed, and every number of its method."""

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.detectors import card
from pipeline.params.cells import Cell
from pipeline.training import fitting
from tests.aids import coded
from tests.aids.coded import Watching
from tests.aids.report_fixture import write_params
from tests.training.test_wiring import SMALL


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What stages hand to fit, in place of a training."""
    found: list[dict[str, Any]] = []

    def catch(
        task: Any, cell: Any, number: int, recipe: Any, settings: Any, params: Any, shards: Path, out: Path,
        inputs: Any = (),
    ) -> str:  # fmt: skip
        seed = torch.initial_seed()
        found.append({"task": task, "cell": cell, "fold": number, "recipe": recipe, "settings": settings})
        found[-1] |= {"shards": shards, "out": out, "inputs": inputs, "seed": seed, "params": params}
        return ""

    monkeypatch.setattr(fitting, "fit", catch)
    yield found


def stage(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, method: str, seed: int = 5, **changes: Any
) -> None:
    """Run a training stage's script in the folder up to its fit, with a toy for a network."""
    monkeypatch.chdir(folder)
    for place in ("backbones.registry", "card"):
        monkeypatch.setattr(f"pipeline.detectors.{place}.build", lambda *names: Watching())
    write_params(folder, **SMALL | changes)
    teacher = folder / "teacher"
    if not teacher.exists():
        teacher.mkdir()
        torch.manual_seed(99)
        about = {"method": "teacher", "backbone": "mobilenet_v2", "manipulation": "faceswap", "quality": "raw"}
        about |= {
            "seed": 0,
            "fold": 0,
            "buckets": {"train": ["b2"], "val": [], "test": ["b0"]},
            "image_size": coded.SIZE,
        }
        card.save(Watching(), card.Card.model_validate(about | {"mean": 0.5, "std": 0.5}), teacher)
    names = {"method": method, "backbone": "mobilenet_v2", "manipulation": "faceswap", "compression": "c40"}
    paths = {"shards": folder / "shards", "out": folder / "out", "teacher": teacher}
    import_module(f"stages.{script}").main(argparse.Namespace(**names, **paths, seed=seed, fold=2))


STAGES = [
    ("student", "add", "add"), ("student", "add_mv", "add"), ("student", "at", "distill.at"),
    ("student", "nl", "distill.nl"), ("classifier", "teacher", "teacher"),
    ("classifier", "baseline", "baselines.mobilenet_v2"), ("agnostic", "qad", "agnostic.qad"),
    ("agnostic", "mixed", "agnostic.mixed"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "method", "section"), STAGES)
def test_a_stage_trains_its_own_cell_by_its_own_recipe_from_its_own_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caught: list[Any], script: str, method: str, section: str
) -> None:
    stage(tmp_path, monkeypatch, script, method, **{f"{section}.train": {"lr": 0.123, "epochs": 7}})
    (got,) = caught
    cell: Cell = got["cell"]
    assert (cell.family, cell.backbone, cell.manipulation) == (method, "mobilenet_v2", "faceswap")
    assert (cell.compression, cell.seed, got["fold"], got["seed"]) == ("c40", 5, 2, 5)
    assert got["recipe"] == got["params"].train.model_copy(update={"lr": 0.123, "epochs": 7})
    assert got["shards"] == tmp_path / "shards" and got["out"] == tmp_path / "out"
    assert got["inputs"] == ((tmp_path / "teacher" / card.WEIGHTS,) if script == "student" else ())


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("add", {"alpha": 3.0}), ("add", {"beta": 20.0}), ("add", {"add.frequency.gamma": 0.5}),
        ("add", {"add.frequency.layer_weights": [1, 1, 1, 1]}), ("add", {"add.multiview.directions": 3}),
        ("add", {"add.multiview.distance": "released"}), ("add", {"add.multiview.groups": 3}),
        ("add", {"add.multiview.gamma": 1.0}), ("add", {"add.multiview.eta": 1.0}),
        ("add", {"add.multiview.margin": 0.5}), ("add", {"add.multiview.contrastive": False}),
        ("add", {"add.multiview.layer_weights": [1, 1, 1, 1]}),
        ("at", {"distill.at.weight": 1.0}), ("at", {"distill.at.layer_weights": [1, 1, 1, 1]}),
        ("nl", {"distill.nl.weight": 1.0}), ("nl", {"distill.nl.layer_weights": [1, 1, 1, 1]}),
        ("kd", {"distill.kd.weight": 2.0}), ("kd", {"distill.kd.temperature": 1.0}),
        ("feature", {"distill.feature.weight": 2.0}), ("feature", {"distill.feature.layer_weights": [1, 1, 1, 1]}),
        ("crd", {"distill.crd.weight": 2.0}), ("crd", {"distill.crd.temperature": 1.0}),
        ("fitnet", {"distill.fitnet.weight": 2.0}),
    ],
)  # fmt: skip
def test_each_number_of_a_method_changes_its_loss_and_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caught: list[Any], method: str, changes: dict[str, Any]
) -> None:
    """The record is part of the checkpoint's key: a killed training never goes on under another number."""
    for change in ({}, changes):
        stage(tmp_path, monkeypatch, "student", method, **change)
    generator = torch.Generator().manual_seed(0)
    images = {q: torch.rand(6, 3, 32, 32, generator=generator) for q in ("raw", "c40")}
    totals = []
    for got in caught:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(coded, "read", lambda images, training: [])
            torch.manual_seed(0)
            losses = got["task"](images, torch.tensor([0, 1, 0, 1, 1, 0])).losses
        totals.append(sum(value.item() for name, value in losses.items() if name != "cross_entropy"))
    assert totals[0] != totals[1]
    assert caught[0]["settings"] != caught[1]["settings"]


@pytest.mark.parametrize(("method", "name"), [("add", "multiview"), ("nl", "nl")])
def test_the_cells_seed_reaches_the_draws_of_the_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caught: list[Any], method: str, name: str
) -> None:
    for seed in (5, 5, 6):
        stage(tmp_path, monkeypatch, "student", method, seed)
    first, again, other = (got["task"].distillers[name].state_dict() for got in caught)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_the_student_of_a_teacher_starts_from_it_where_params_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caught: list[Any]
) -> None:
    for start in ("teacher", "imagenet"):
        stage(tmp_path, monkeypatch, "student", "add", **{"add.start": start})
    same, own = (coded.same_weights(got["task"].student, got["task"].teacher) for got in caught)
    assert same and not own
    kept = card.load(tmp_path / "teacher")[0]
    assert all(coded.same_weights(got["task"].teacher, kept) for got in caught)
