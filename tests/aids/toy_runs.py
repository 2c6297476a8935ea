"""The training loop on toys: its recipe, a distillation, and one training."""

from pathlib import Path
from typing import Any

import torch

from pipeline.detectors.device import seed_everything
from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.multiview import MultiViewAttention
from pipeline.params.recipes import Train
from pipeline.params.schema import load
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.distillation import Distillation
from pipeline.training.history import Outcome
from pipeline.training.trainer import Trainer
from tests.aids.toys import Batches, Toy

CPU = torch.device("cpu")


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
