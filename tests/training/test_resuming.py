"""A training that was killed goes on to the same bits, and never from what is not its own."""

import copy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipeline.detectors.device import seed_everything
from pipeline.training import resuming
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.classification import Classification
from pipeline.training.history import Row
from pipeline.training.trainer import Trainer
from tests.aids.toy_runs import CPU, distillation, recipe, train
from tests.aids.toys import Batches, Toy


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


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Any]]:
    """What a training keeps after an epoch of three, and the history of one that nothing interrupts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("begun")))
        patch.setattr("pipeline.training.trainer.CHECKPOINT_SECONDS", 0.0)
        checkpoint = Checkpoint({}, [])
        Trainer(distillation(), recipe(epochs=1), Batches(), CPU).run(None, checkpoint, lambda row: None, "toy")
        state = checkpoint.load()
        checkpoint.clear()
        fresh = Trainer(distillation(), recipe(), Batches(), CPU).run(None, checkpoint, lambda row: None, "toy")
    assert state is not None and state["state"]["step"] == 6
    return state, fresh.history


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
    change: Any, begun: tuple[dict[str, Any], list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it is taken, though its other parts fit: the same history as without it."""
    checkpoint, state = Checkpoint({}, []), copy.deepcopy(begun[0])
    change(state)
    checkpoint.save(state)
    capsys.readouterr()
    again = Trainer(distillation(), recipe(), Batches(), CPU).run(None, checkpoint, lambda row: None, "toy")
    told = [line for line in capsys.readouterr().err.splitlines() if "cannot resume" in line]
    assert len(told) == 1 and told[0].endswith("training starts over")
    assert again.history == begun[1]


def test_the_random_state_of_the_one_gpu_that_trains_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of all: a machine with fewer of them could not take it up."""
    trainer = Trainer(Classification(Toy(), "raw"), recipe(), Batches(), CPU)
    assert resuming.held(trainer)["cuda_random"] is None
    asked: list[Any] = []
    trainer.device = torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: asked.append(device) or torch.ones(3))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: asked.append((state.tolist(), device)))
    resuming.restore(trainer, resuming.held(trainer))
    assert asked == [trainer.device, ([1, 1, 1], trainer.device)]
