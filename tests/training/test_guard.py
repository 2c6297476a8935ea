"""The explosion guard names what blew up, and no weight is written from it."""

from typing import Any

import pytest
import torch

from pipeline.detectors.device import seed_everything
from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.multiview import MultiViewAttention
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.classification import Classification
from pipeline.training.guard import check_finite
from pipeline.training.terms import Terms
from pipeline.training.trainer import Trainer
from pipeline.work.errors import UserError
from tests.aids.toy_runs import CPU, distillation, recipe
from tests.aids.toys import Batches, Toy
from tests.losses.test_frequency import features, labels


def test_finite_terms_pass() -> None:
    check_finite(Terms({"frequency": torch.tensor(1e7)}, {"frequency_w_max": torch.tensor(2.0)}), 3)


def test_an_exploded_frequency_loss_is_named_with_its_layer_and_weight() -> None:
    calm, wild = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 1e3)
    terms = FrequencyAttention(1.0, (0, 1, 1))(features(calm, calm, wild), features(calm, calm, calm), labels(2))
    with pytest.raises(UserError, match=r"^loss frequency is not finite in stage3 at step 41, max w inf: .*gamma"):
        check_finite(terms, 41)


def test_a_poisoned_feature_is_found_in_the_multi_view_loss() -> None:
    calm, poisoned = torch.ones(2, 4, 2, 2), torch.full((2, 4, 2, 2), float("nan"))
    terms = MultiViewAttention(layer_weights=(1, 1))(features(calm, poisoned), features(calm, calm), labels(2))
    with pytest.raises(UserError, match=r"^loss multiview_match, .* is not finite in stage2 at step 7: "):
        check_finite(terms, 7)


def test_a_loss_without_layers_is_named() -> None:
    with pytest.raises(UserError, match=r"^loss cross_entropy is not finite at step 0: "):
        check_finite(Terms({"cross_entropy": torch.tensor(float("inf"))}), 0)


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
