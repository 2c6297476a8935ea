"""What fit joins: which crops of whom each network sees, in which mode, and that every number of params gets through.

The crops tell what they are (tests/aids/coded.py), so a wrong quality, person, window, flip or mode shows.
"""

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn

from pipeline.crops.folds import fold
from pipeline.detectors import card
from pipeline.detectors.device import seed_everything
from pipeline.losses import registry
from pipeline.losses.feature import FeatureMatching
from pipeline.params.cells import Cell
from pipeline.params.schema import Params, load
from pipeline.training import fitting
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.classification import Classification
from pipeline.training.distillation import Distillation
from pipeline.work.errors import UserError
from tests.aids import coded
from tests.aids.coded import Watching
from tests.aids.report_fixture import write_params

CELL = Cell("at", "mobilenet_v2", "faceswap", "c40", 0)
TEACHER = Cell("teacher", "mobilenet_v2", "faceswap", "raw", 0)
SMALL = {
    "model": {"image_size": coded.SIZE, "pretrained": True}, "crop.size": coded.STORED, "split.validation": 1,
    "tracking.enabled": False, "train.epochs": 2, "train.batch_size": 4, "train.freeze_stages": 0,
    "train.validations_per_epoch": 3, "train.lr": 0.01, "grid.baselines": [],
    "stress.methods": [], "stress.degradations": [], "cross.methods": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coded.write_shards(tmp_path_factory.mktemp("coded"))


def distillation() -> Distillation:
    seed_everything(0)
    return Distillation(Watching(), Watching(), {"feature": (1.0, FeatureMatching("feature", (0, 1, 1, 1)))}, "c40")


def classification(quality: str) -> Classification:
    seed_everything(0)
    return Classification(Watching(), quality)


def fit(task: Any, shards: Path, folder: Path, cell: Cell = CELL, number: int = 0, **changes: Any) -> pd.DataFrame:
    """Train by changed params, as a stage would; the history."""
    params = load(write_params(folder, **SMALL | changes))
    fitting.fit(task, cell, number, params.train, {}, params, shards, folder / "model")
    return pd.read_csv(folder / "model" / card.HISTORY)


def roles(folder: Path, number: int = 0) -> dict[str, set[str]]:
    params = load(folder / "params.yaml")
    return {role: coded.people(buckets) for role, buckets in fold(params, number)._asdict().items()}


# ---------------------------------------------------------------- who sees what


@pytest.mark.parametrize("number", [0, 1])
def test_the_teacher_sees_raw_crops_and_the_student_the_same_ones_compressed(
    shards: Path, tmp_path: Path, number: int
) -> None:
    task = distillation()
    history = fit(task, shards, tmp_path, number=number)
    student, teacher = task.student, task.teacher
    ours, theirs = student.seen(training=True), teacher.seen(training=False)
    assert {one.quality for one in theirs} == {"raw"} and not teacher.seen(training=True)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert {one.quality for one in ours} == {"c40"}
    assert [(one.crop, one.window) for one in ours] == [(one.crop, one.window) for one in theirs]
    who = roles(tmp_path, number)
    assert {one.person for one in ours} == who["train"] and {one.set for one in ours} == {"original", "faceswap"}
    assert {one.flipped for one in ours} == {True, False} and len({one.window for one in ours}) > 10
    # All that is trained on is seen in training mode, though there are validations in mid-epoch.
    steps = 2 * (len(who["train"]) * 2 * coded.FRAMES // 4)
    assert len(ours) == 4 * steps and len(history) == 2 * 3 and list(history["step"])[-1] == steps
    unseen = student.seen(training=False)
    assert {one.person for one in unseen} == who["val"] and {one.quality for one in unseen} == {"c40"}
    middle = (coded.STORED - coded.SIZE) // 2
    assert {one.window for one in unseen} == {(middle, middle, False)}
    assert len(unseen) == len(history) * len(who["val"]) * 2 * coded.FRAMES
    assert not who["test"] & {one.person for one in [*ours, *unseen, *theirs]}


@pytest.mark.parametrize("quality", ["raw", "c23", "c40"])
def test_a_classifier_sees_its_own_quality_in_training_and_in_validation(
    shards: Path, tmp_path: Path, quality: str
) -> None:
    task = classification(quality)
    cell = Cell("teacher", "mobilenet_v2", "reenactment", quality, 0)
    fit(task, shards, tmp_path, cell, number=1)
    for training in (True, False):
        seen = task.student.seen(training)
        assert {one.quality for one in seen} == {quality} and {one.set for one in seen} == {"original", "reenactment"}
        assert {one.person for one in seen} == roles(tmp_path, 1)["train" if training else "val"]
    kept = card.Card.model_validate_json((tmp_path / "model" / card.CARD).read_text())
    assert (kept.quality, kept.fold, kept.manipulation, kept.image_size) == (quality, 1, "reenactment", coded.SIZE)
    assert {role: coded.people(names) for role, names in kept.buckets.items()} == roles(tmp_path, 1)


@pytest.mark.parametrize("method", ["mixed", "qad"])
def test_a_quality_agnostic_model_sees_every_quality(shards: Path, tmp_path: Path, method: str) -> None:
    params = load(write_params(tmp_path, **SMALL))
    seed_everything(0)
    task, _ = registry.agnostic(method, Watching(), params)
    fit(task, shards, tmp_path, Cell(method, "mobilenet_v2", "faceswap", "all", 0))
    student: Any = task.student
    for training in (True, False):
        assert {one.quality for one in student.seen(training)} == {"raw", "c23", "c40"}


def test_without_validation_people_nothing_is_validated_and_the_last_weights_are_kept(
    shards: Path, tmp_path: Path
) -> None:
    task = classification("raw")
    history = fit(task, shards, tmp_path, TEACHER, **{"split.validation": 0})
    assert not task.student.seen(training=False) and "val_acc" not in history
    assert {one.person for one in task.student.seen(training=True)} == roles(tmp_path)["train"]


@pytest.mark.parametrize(("flip", "flipped"), [(0.0, {False}), (1.0, {True})])
def test_flips_never_and_always(shards: Path, tmp_path: Path, flip: float, flipped: set[bool]) -> None:
    task = classification("c40")
    fit(task, shards, tmp_path, **{"train.horizontal_flip": flip})
    assert {one.flipped for one in task.student.seen(training=True)} == flipped


def test_paired_batches_hold_a_fake_beside_its_target(shards: Path, tmp_path: Path) -> None:
    task = classification("c40")
    fit(task, shards, tmp_path, **{"train.paired": True})
    for batch in (batch for batch in task.student.batches if batch[0].training):
        for fake, real in zip(batch[::2], batch[1::2], strict=True):
            assert (fake.set, real.set) == ("faceswap", "original")
            assert (fake.person, fake.frame, fake.window) == (real.person, real.frame, real.window)


def test_a_teacher_of_any_seed_sees_other_batches_than_one_of_another(shards: Path, tmp_path: Path) -> None:
    """From the same weights: it is the cell's seed that the loader draws by."""
    first = classification("c40")
    again, other = copy.deepcopy(first), copy.deepcopy(first)
    for task, seed in ((first, 3), (again, 3), (other, 4)):
        fit(task, shards, tmp_path, Cell("mobilenet_v2", "mobilenet_v2", "faceswap", "c40", seed))
    assert first.student.batches == again.student.batches != other.student.batches


# ---------------------------------------------------------------- every number gets through

NUMBERS = {
    "lr": 0.02, "betas": [0.5, 0.999], "eps": 0.1, "weight_decay": 0.5, "schedule": "constant", "pct_start": 0.9,
    "cycle_momentum": True, "warmup_epochs": 1, "epochs": 3, "batch_size": 6, "validations_per_epoch": 1,
    "horizontal_flip": 0.0, "paired": True, "freeze_stages": 1, "amp": "bf16",
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, nn.Module]:
    folder = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(folder))
        task = distillation()
        return fit(task, shards, folder), task.student


def test_the_same_training_gives_the_same_bits(
    plain: tuple[pd.DataFrame, nn.Module], shards: Path, tmp_path: Path
) -> None:
    task = distillation()
    pd.testing.assert_frame_equal(fit(task, shards, tmp_path), plain[0])
    assert coded.same_weights(task.student, plain[1])


@pytest.mark.parametrize("name", NUMBERS)
def test_each_number_of_the_recipe_changes_the_training(
    plain: tuple[pd.DataFrame, nn.Module], shards: Path, tmp_path: Path, name: str
) -> None:
    task = distillation()
    history = fit(task, shards, tmp_path, **{f"train.{name}": NUMBERS[name]})
    assert not history.equals(plain[0])
    if name != "validations_per_epoch":
        assert not coded.same_weights(task.student, plain[1])


def test_adam_is_set_up_as_the_recipe_says(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    adam = torch.optim.Adam

    def noted(parameters: Any, **settings: Any) -> torch.optim.Adam:
        made.append(settings)
        return adam(parameters, **settings)

    monkeypatch.setattr(torch.optim, "Adam", noted)
    wanted = {"lr": 0.03, "betas": [0.8, 0.99], "eps": 1e-5, "weight_decay": 0.25}
    fit(classification("c40"), shards, tmp_path, **{f"train.{name}": value for name, value in wanted.items()})
    (settings,) = made
    assert {name: settings[name] for name in wanted} == wanted | {"betas": (0.8, 0.99)}


# ---------------------------------------------------------------- what a killed training goes on from


def paths(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where each training that follows keeps its checkpoint."""
    found: list[Path] = []

    class Noted(Checkpoint):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            found.append(self.path)

    monkeypatch.setattr(fitting, "Checkpoint", Noted)
    return found


def test_only_the_very_same_training_goes_on(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another seed, fold, recipe, section of params, teacher or shard has a checkpoint of its own; none is left."""
    found = paths(monkeypatch)
    params = load(write_params(tmp_path, **SMALL | {"train.epochs": 1, "train.validations_per_epoch": 1}))
    longer = params.train.model_copy(update={"lr": 0.5})
    teacher = tmp_path / "teacher"
    teacher.write_text("a")

    def one(
        cell: Cell = CELL, number: int = 0, recipe: Any = params.train, beta: int = 1, where: Path = shards
    ) -> Path:
        settings = {"beta": beta}
        fitting.fit(classification("c40"), cell, number, recipe, settings, params, where, tmp_path / "m", (teacher,))
        return found[-1]

    first = one()
    assert first == one()
    other_seed = Cell("at", "mobilenet_v2", "faceswap", "c40", 1)
    others = [one(cell=other_seed), one(number=1), one(recipe=longer), one(beta=2)]
    moved = coded.write_shards(tmp_path / "moved")
    index = pd.read_parquet(moved / "faceswap/index.parquet")
    index.assign(donor="somebody").to_parquet(moved / "faceswap/index.parquet", index=False)
    others.append(one(where=moved))
    teacher.write_text("b")
    others.append(one())
    assert len({first, *others}) == 1 + len(others)
    assert not list((tmp_path / ".scratch").iterdir())


def test_a_killed_fit_goes_on_to_the_same_model(
    plain: tuple[pd.DataFrame, nn.Module], shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in mid-epoch, after a validation: the same rows and weights as without."""
    monkeypatch.setattr("pipeline.training.trainer.CHECKPOINT_SECONDS", 0.0)
    rows = iter(range(100))

    def killed(run: Any, row: Any) -> None:
        if next(rows) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_watch", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(distillation(), shards, tmp_path)
    assert not (tmp_path / "model").exists()
    seed_everything(77)
    task = Distillation(Watching(), Watching(), {"feature": (1.0, FeatureMatching("feature", (0, 1, 1, 1)))}, "c40")
    task.teacher.load_state_dict(distillation().teacher.state_dict())
    pd.testing.assert_frame_equal(fit(task, shards, tmp_path), plain[0])
    assert coded.same_weights(task.student, plain[1])


class Hostile:
    """Unpickled, it would leave a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_a_checkpoint_that_somebody_else_wrote_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint, mark = Checkpoint({}, []), tmp_path / "mark"
    checkpoint.save({"state": Hostile(mark)})
    assert checkpoint.load() is None and not mark.exists()
    assert "cannot resume" in capsys.readouterr().err


# ---------------------------------------------------------------- validation


def test_val_loss_is_the_cross_entropy_of_the_true_class() -> None:
    frames = pd.DataFrame({"label": [0, 0, 1, 1, 1], "score": [0.1, 0.8, 0.9, 0.3, 0.5]})
    found = fitting.validation(frames)
    assert found["val_loss"] == pytest.approx(log_loss(frames["label"], frames["score"]))
    assert found["val_acc"] == pytest.approx(3 / 5)  # a score of 0.5 says fake
    assert found["val_auc"] == pytest.approx(roc_auc_score(frames["label"], frames["score"]))
    sure = fitting.validation(pd.DataFrame({"label": [0, 1], "score": [1.0, 0.0]}))
    assert sure["val_loss"] == pytest.approx(16.118, abs=1e-3)  # -log 1e-7: never infinite


def test_a_wrong_val_loss_would_show_in_the_history(shards: Path, tmp_path: Path) -> None:
    """Against scores that are worked out from the same network, by hand."""
    task = classification("c40")
    history = fit(task, shards, tmp_path, **{"train.epochs": 1, "train.validations_per_epoch": 1})
    who = roles(tmp_path)["val"]
    right = []
    for person in who:
        for label, name in enumerate(("original", "faceswap")):
            for frame in range(coded.FRAMES):
                image = coded.picture(person, name, frame, "c40")[4:36, 4:36].astype("float32") / 127.5 - 1
                with torch.inference_mode():
                    logits = task.student(torch.from_numpy(image).permute(2, 0, 1)[None]).logits
                right.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor([label]))))
    assert history["val_loss"].iloc[-1] == pytest.approx(sum(right) / len(right), rel=1e-4)


# ---------------------------------------------------------------- before and after


def test_a_fold_without_people_is_told_before_the_training(shards: Path, tmp_path: Path) -> None:
    task = classification("c40")
    short = coded.write_shards(tmp_path / "short")
    index = pd.read_parquet(short / "faceswap/index.parquet")
    index[index["bucket"] != "b1"].to_parquet(short / "faceswap/index.parquet", index=False)
    with pytest.raises(UserError, match=r"faceswap: no fakes in bucket b1 \(dan\), which fold 0 validates on"):
        fit(task, short, tmp_path)
    assert not task.student.batches


def test_params_of_the_file_are_what_the_training_records(shards: Path, tmp_path: Path) -> None:
    params: Params = load(write_params(tmp_path, **SMALL))
    fit(classification("c40"), shards, tmp_path)
    summary = pd.read_json(tmp_path / "model" / card.SUMMARY, typ="series")
    assert (summary["steps"], summary["epochs_run"], summary["selection"]) == (6, 2, params.train.select)
    assert summary["selected_step"] == 6 and not summary["stopped_early"]
