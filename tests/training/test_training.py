"""The training loop on toys: learning, warm-up, freezing, selection, early stop, and resuming to the same bits."""

import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.detectors.backbones.base import Backbone
from pipeline.detectors.device import seed_everything
from pipeline.detectors.scoring import score
from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.multiview import MultiViewAttention
from pipeline.params.recipes import Train
from pipeline.params.schema import load
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.classification import Classification
from pipeline.training.distillation import Distillation
from pipeline.training.history import Outcome, Row
from pipeline.training.optimization import resolve
from pipeline.training.terms import Terms
from pipeline.training.trainer import Trainer
from pipeline.work.errors import UserError
from tests.aids.toys import Batches, Toy

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def in_a_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def recipe(**changes: Any) -> Train:
    params = load(Path(__file__).parents[2] / "params.yaml")
    base = {
        "epochs": 3,
        "validations_per_epoch": 3,
        "lr": 0.02,
        "freeze_stages": 0,
        "select": "last",
        "warmup_epochs": 0,
    }
    return Train.model_validate(params.train.model_dump() | base | changes)


def distillation() -> Distillation:
    seed_everything(0)
    multiview = MultiViewAttention(directions=2, groups=3, layer_weights=(0, 1, 1, 0), seed=0)
    distillers = {"frequency": (1.0, FrequencyAttention()), "multiview": (16.0, multiview)}
    return Distillation(Toy(), Toy(), distillers, "c40")


def train(task: Any, validate: Any = None, loader: Batches | None = None, **changes: Any) -> tuple[Trainer, Outcome]:
    trainer = Trainer(task, recipe(**changes), loader or Batches(), CPU)
    return trainer, trainer.run(validate, Checkpoint(changes, []), lambda row: None, "toy")


def test_it_learns_and_writes_a_history() -> None:
    seed_everything(0)
    _, outcome = train(Classification(Toy(), "raw"), epochs=8)
    assert outcome.history[-1]["train_loss"] < 0.5 * outcome.history[0]["train_loss"]
    assert [row["step"] for row in outcome.history[:3]] == [2, 4, 6]
    assert outcome.history[-1]["epoch"] == 8


@pytest.mark.parametrize("channels_last", [True, False])
def test_it_goes_on_after_a_real_validation(channels_last: bool) -> None:
    """Also where weights are stored otherwise than for scoring, or have one row and column alone, as in F3Net."""

    class Validation(Batches):
        def __iter__(self) -> Iterator[Any]:
            for batch in self.epoch(0):
                yield SimpleNamespace(images=batch.images, meta=[{"label": int(label)} for label in batch.labels])

    def validate(model: Backbone) -> Row:
        frames = score(model, Validation(), "raw", CPU).frames
        hits = (frames["score"] >= 0.5) == (frames["label"] == 1)
        return {"val_acc": float(hits.mean()), "val_loss": 1.0}

    toy = Toy()
    toy.body.append(nn.Conv2d(5, 5, 1, groups=5))
    _, outcome = train(Classification(toy, "raw"), validate, epochs=8, channels_last=channels_last)
    assert outcome.history[-1]["val_acc"] > 0.8


def test_distillation_names_its_terms_and_leaves_the_teacher_alone() -> None:
    task = distillation()
    before = {name: value.clone() for name, value in task.teacher.state_dict().items()}
    _, outcome = train(task)
    assert {"train_loss", "train_cross_entropy", "train_frequency"} <= outcome.history[-1].keys()
    for name, value in task.teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
    row = outcome.history[-1]
    terms = [value for name, value in row.items() if name.startswith("train_") and name != "train_loss"]
    assert row["train_loss"] == pytest.approx(sum(terms), rel=1e-4)


def test_the_warm_up_moves_the_classifier_alone_and_knows_no_distillation() -> None:
    task = distillation()
    body = [p.clone() for p in task.student.body.parameters()]
    head = [p.clone() for p in task.student.head.parameters()]
    _, outcome = train(task, epochs=1, warmup_epochs=1)
    assert all(torch.equal(a, b) for a, b in zip(body, task.student.body.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(head, task.student.head.parameters(), strict=True))
    assert "train_frequency" not in outcome.history[-1]


def test_after_the_warm_up_everything_trains() -> None:
    task = distillation()
    body = [p.clone() for p in task.student.body.parameters()]
    _, outcome = train(task, epochs=2, warmup_epochs=1)
    assert not any(torch.equal(a, b) for a, b in zip(body, task.student.body.parameters(), strict=True) if a.ndim == 4)
    assert "train_frequency" in outcome.history[-1]


def test_frozen_stages_keep_weights_and_statistics() -> None:
    seed_everything(0)
    task = Classification(Toy(), "raw")
    frozen = {name: value.clone() for name, value in task.student.body[:2].state_dict().items()}
    train(task, freeze_stages=2)
    for name, value in task.student.body[:2].state_dict().items():
        assert torch.equal(value, frozen[name]), name


def scripted(accuracies: list[float]) -> Any:
    """A validation that tells these accuracies one after the other."""
    left = iter(accuracies)

    def validate(model: Any) -> Mapping[str, float]:
        assert not model.training
        return {"val_acc": next(left), "val_loss": 1.0}

    return validate


def test_the_best_weights_are_kept_and_it_stops_early() -> None:
    seed_everything(0)
    seen: list[dict[str, torch.Tensor]] = []
    told = scripted([0.5, 0.9, 0.8, 0.7, 0.9])

    def validate(model: Toy) -> Mapping[str, float]:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return told(model)

    trainer, outcome = train(Classification(Toy(), "raw"), validate, select="best", patience=3, epochs=9)
    assert outcome.stopped_early and len(outcome.history) == 5
    assert outcome.selected_step == 4
    for name, value in trainer.student.state_dict().items():
        assert torch.equal(value, seen[1][name]), name


def test_select_last_runs_to_the_end() -> None:
    seed_everything(0)
    _, outcome = train(Classification(Toy(), "raw"), scripted([0.9] + [0.1] * 8), select="last", patience=2)
    assert not outcome.stopped_early and outcome.selected_step == 18


def test_a_plateau_is_one_of_the_validation_loss_where_there_is_validation() -> None:
    """It stays as it is while the training's own falls: the rate is cut. Without validation the latter counts."""
    settings = {"schedule": "plateau", "epochs": 5, "validations_per_epoch": 3, "lr": 0.02}
    seed_everything(0)
    _, outcome = train(Classification(Toy(), "raw"), scripted([0.5] * 15), **settings)
    assert outcome.history[-1]["train_loss"] < outcome.history[0]["train_loss"]
    assert [row["lr"] for row in outcome.history[::14]] == pytest.approx([0.02, 0.002])
    _, outcome = train(Classification(Toy(), "raw"), **settings)
    assert {row["lr"] for row in outcome.history} == {0.02}


@pytest.mark.parametrize("schedule", ["one_cycle", "plateau", "constant"])
def test_a_killed_training_resumes_to_the_same_bits(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.training.trainer.CHECKPOINT_SECONDS", 0.0)
    whole_task = distillation()
    _, whole = train(whole_task, schedule=schedule)

    killed = distillation()
    checkpoint = Checkpoint({"a": 1}, [])

    def die(row: Row) -> None:
        if row["step"] == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(killed, recipe(schedule=schedule), Batches(), CPU).run(None, checkpoint, die, "toy")
    seed_everything(99)  # what a new process starts with must not matter
    fresh = distillation()
    resumed = Trainer(fresh, recipe(schedule=schedule), Batches(), CPU).run(None, checkpoint, lambda row: None, "toy")
    assert resumed.history == whole.history
    for name, value in fresh.student.state_dict().items():
        assert torch.equal(value, whole_task.student.state_dict()[name]), name


def test_an_exploding_loss_stops_with_its_name_and_keeps_the_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.training.trainer.CHECKPOINT_SECONDS", 0.0)
    checkpoint = Checkpoint({}, [])
    trainer = Trainer(distillation(), recipe(), Batches(broken_at=9), CPU)
    with pytest.raises(UserError, match="step 9"):
        trainer.run(None, checkpoint, lambda row: None, "toy")
    state = checkpoint.load()
    assert state is not None and state["state"]["step"] == 8
    assert all(torch.isfinite(value.float()).all() for value in state["student"].values())


class Exploding(Classification):
    """At its sixth batch these losses come to the others, without gradients of their own."""

    def __init__(self, **losses: float) -> None:
        super().__init__(Toy(), "raw")
        self.calls, self.losses = 0, losses
        self.before: dict[str, torch.Tensor] = {}

    def forward(self, images: Any, labels: Any, warmup: bool = False) -> Terms:
        terms = super().forward(images, labels, warmup)
        self.calls += 1
        if self.calls == 6:
            self.before = {name: value.clone() for name, value in self.student.named_parameters()}
            terms.losses |= {name: torch.tensor(value) for name, value in self.losses.items()}
        return terms


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({"frequency": torch.inf}, "loss frequency is not finite at step 5"),
        ({"a": 3e38, "b": 3e38}, "step 5: each loss is finite, their sum is not"),
    ],
)
def test_no_weight_is_written_from_a_loss_that_is_not_finite(
    fused: bool, amp: str, losses: dict[str, float], said: str
) -> None:
    seed_everything(0)
    task = Exploding(**losses)
    checkpoint = Checkpoint({}, [])
    settings = recipe(fused=fused, amp=amp, validations_per_epoch=1)
    with pytest.raises(UserError, match=said):
        Trainer(task, settings, Batches(), CPU).run(None, checkpoint, lambda row: None, "toy")
    assert task.calls == 6 and checkpoint.load() is None
    assert all(torch.equal(value, task.before[name]) for name, value in task.student.named_parameters())


@pytest.mark.parametrize("changes", [{"fused": True}, {"compiled": True}, {"amp": "bf16"}])
def test_what_makes_it_fast_changes_no_more_than_roundings(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_ = nn.Module.compile
    compiled = []

    def without_a_compiler(module: nn.Module) -> None:
        compiled.append(type(module))
        compile_(module, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", without_a_compiler)
    _, plain = train(distillation())
    task = distillation()
    _, fast = train(task, **changes)
    assert compiled == ([Toy, Toy] if "compiled" in changes else [])
    assert set(task.student.state_dict()) == set(Toy().state_dict())
    for one, other in zip(fast.history, plain.history, strict=True):
        tolerance = 0.05 if "amp" in changes else 1e-3
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=tolerance)


@pytest.mark.parametrize(("native", "amp"), [(True, "bf16"), (False, "off")])
def test_the_device_decides_what_the_recipe_leaves_open(
    native: bool, amp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    open_ = recipe(amp="auto", fused=None)
    on_cpu, on_gpu = (resolve(open_, torch.device(place)) for place in ("cpu", "cuda"))
    assert (on_cpu.amp, on_cpu.fused, on_gpu.amp, on_gpu.fused) == ("off", False, amp, True)
    chosen = recipe(amp="fp16", fused=False)
    assert resolve(chosen, torch.device("cuda")) == chosen


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_as_a_cpu_and_waits_for_nothing_in_a_step() -> None:
    cuda = torch.device("cuda")

    class OnGpu(Batches):
        """In every step but the first, which makes what is kept, and the last, after which a row is read, no wait."""

        def epoch(self, number: int, skip: int = 0) -> Iterator[Any]:
            for index, batch in enumerate(list(super().epoch(number, skip))):
                batch.images = {quality: pixels.to(cuda) for quality, pixels in batch.images.items()}
                batch.labels = batch.labels.to(cuda)
                torch.cuda.set_sync_debug_mode("error" if 0 < index < len(self) - 1 else "default")
                yield batch
                torch.cuda.set_sync_debug_mode("default")

    def history(loader: Batches, device: torch.device) -> list[Row]:
        task = distillation()
        for network in (task.student, task.teacher):
            network.classifier[0].p = 0.0  # what dropout draws differs by device
        trainer = Trainer(task, recipe(amp="off", fused=True, validations_per_epoch=1), loader, device)
        return trainer.run(None, Checkpoint({}, []), lambda row: None, "toy").history

    try:
        pairs = zip(history(OnGpu(), cuda), history(Batches(), CPU), strict=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for one, other in pairs:
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)


def test_checkpoints_of_other_params_or_inputs_are_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "teacher"
    file.write_text("a")
    first = Checkpoint({"beta": 16}, [file])
    assert first.path == Checkpoint({"beta": 16}, [file]).path
    assert first.path != Checkpoint({"beta": 20}, [file]).path
    file.write_text("b")
    assert first.path != Checkpoint({"beta": 16}, [file]).path


def test_checkpoints_of_other_code_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Checkpoint({}, []).path
    for room, counts in (("losses", True), ("training", True), ("work", False), ("tracking", False)):
        file = tmp_path / f"{room}.py"
        file.write_text("a = 1")
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, f"pipeline.{room}.made_up", SimpleNamespace(__file__=str(file)))
            before = Checkpoint({}, []).path
            file.write_text("a = 2")
            assert ((before, Checkpoint({}, []).path) != (first, first)) == counts
            assert (before != Checkpoint({}, []).path) == counts


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["state"].update(of_tomorrow=1),
        lambda state: state["state"].pop("stale"),
        lambda state: state["student"].update({"body.0.0.weight": torch.zeros(5, 3, 5, 5)}),
        lambda state: (state.pop("cuda_random") and None) or state.pop("random"),
        lambda state: state["optimizer"]["param_groups"][0]["params"].pop(),
        lambda state: state.update(random=torch.zeros(3, dtype=torch.uint8)),
        lambda state: state.clear(),
    ],
)
def test_a_checkpoint_that_does_not_fit_starts_over(
    change: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it is taken, though its other parts fit: the same history as without it."""
    monkeypatch.setattr("pipeline.training.trainer.CHECKPOINT_SECONDS", 0.0)
    checkpoint = Checkpoint({}, [])
    Trainer(distillation(), recipe(epochs=1), Batches(), CPU).run(None, checkpoint, lambda row: None, "toy")
    state = checkpoint.load()
    assert state is not None and state["state"]["step"] == 6
    checkpoint.clear()
    fresh = Trainer(distillation(), recipe(), Batches(), CPU).run(None, checkpoint, lambda row: None, "toy")
    change(state)
    checkpoint.save(state)
    capsys.readouterr()
    again = Trainer(distillation(), recipe(), Batches(), CPU).run(None, checkpoint, lambda row: None, "toy")
    told = [line for line in capsys.readouterr().err.splitlines() if "cannot resume" in line]
    assert len(told) == 1 and told[0].endswith("training starts over")
    assert again.history == fresh.history


def test_the_random_state_of_the_one_gpu_that_trains_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of all: a machine with fewer of them could not take it up."""
    trainer = Trainer(Classification(Toy(), "raw"), recipe(), Batches(), CPU)
    assert trainer._held()["cuda_random"] is None
    asked: list[Any] = []
    trainer.device = torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: asked.append(device) or torch.ones(3))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: asked.append((state.tolist(), device)))
    trainer._restore(trainer._held())
    assert asked == [trainer.device, ([1, 1, 1], trainer.device)]


def test_steps_that_fp16_leaves_out_are_counted_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    seed_everything(0)
    trainer = Trainer(Classification(Toy(), "raw"), recipe(amp="fp16", epochs=1), Batches(), CPU)
    scale = trainer.scaler.get_scale
    trainer.scaler._init_scale = 2.0**24  # too large for the gradients of any loss in fp16
    outcome = trainer.run(None, Checkpoint({}, []), lambda row: None, "toy")
    skipped = outcome.history[-1]["skipped"]
    assert skipped == round(24 - math.log2(scale())) > 0
    assert f"toy: fp16 left out {skipped:.0f} of 6 steps" in capsys.readouterr().err
    _, outcome = train(Classification(Toy(), "raw"), amp="bf16", epochs=1)
    assert "skipped" not in outcome.history[-1]
