"""The training loop on toys: learning, warm-up, freezing, selection, early stop, precision."""

import math
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.detectors.backbones.base import Backbone
from pipeline.detectors.device import seed_everything
from pipeline.detectors.scoring import score
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.classification import Classification
from pipeline.training.history import Row
from pipeline.training.optimization import resolve
from pipeline.training.trainer import Trainer
from tests.aids.toy_runs import CPU, distillation, recipe, train
from tests.aids.toys import Batches, Toy


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
