"""The seconds that a step of each training takes on this machine: one step of each kind, measured on random images."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.detectors.backbones.base import Backbone
from pipeline.detectors.backbones.registry import build
from pipeline.detectors.device import device
from pipeline.jobs.amounts import recipe
from pipeline.losses import registry
from pipeline.params.cells import RAW, TEACHER, Cell
from pipeline.params.schema import Params
from pipeline.training.classification import Classification
from pipeline.training.distillation import Distillation
from pipeline.training.optimization import adam, autocast, resolve

ON_A_CPU = 16  # images of a measured batch at most; its time is scaled to the recipe's
WARM = 2  # steps before the one that counts: the first ones choose kernels and allocate


@dataclass(frozen=True)
class Cost:
    """step, score: seconds of a step, and of scoring an image; weights: bytes of a trained model; images: of a measured
    step."""

    step: float
    score: float
    weights: int
    images: int


def measure(cell: Cell, params: Params) -> Cost:
    """Train a model like the cell's, from random weights, for a few steps. Nothing is fetched or written."""
    where = device()
    how = resolve(recipe(cell, params), where)
    images = how.batch_size if where.type == "cuda" else min(how.batch_size, ON_A_CPU)
    torch.manual_seed(0)
    student = build(cell.backbone)
    task = _task(cell, student, params, how.epochs)
    for module in (module for stage in student.stages()[: how.freeze_stages] for module in stage):
        module.requires_grad_(False)
    layout = torch.channels_last if how.channels_last else torch.contiguous_format
    task.to(where).to(memory_format=layout).train()
    size = (images, 3, params.model.image_size, params.model.image_size)
    batch = {name: torch.randn(size, device=where).to(memory_format=layout) for name in task.qualities}
    labels = torch.arange(images, device=where) % 2
    optimizer = adam([weight for weight in task.parameters() if weight.requires_grad], how)

    def step() -> None:
        with autocast(how, where):
            losses = task(batch, labels, False).losses
        optimizer.zero_grad(set_to_none=True)
        torch.stack([value.float() for value in losses.values()]).sum().backward()
        optimizer.step()

    def score() -> None:
        with torch.inference_mode():
            student(next(iter(batch.values())))

    scale = how.batch_size / images
    found = _seconds(step, where) * scale, _seconds(score, where) / images
    return Cost(*found, sum(weight.numel() * weight.element_size() for weight in student.state_dict().values()), images)


def _task(cell: Cell, student: Backbone, params: Params, epochs: int) -> Any:
    """What the cell's training computes of a batch; of a method that warms up, as in its last epoch."""
    if cell.method in registry.AGNOSTIC:
        task: Any = registry.agnostic(cell.method, student, params)[0]
        task.epoch = epochs
        return task
    if cell.method == TEACHER or cell.is_baseline:
        return Classification(student, RAW if cell.method == TEACHER else cell.compression)
    teacher = build(cell.backbone).eval()
    losses = registry.build(cell.method, cell.backbone, params, student.channels, teacher.channels, cell.seed)
    return Distillation(student, teacher, losses, cell.compression)


def _seconds(call: Callable[[], None], where: torch.device) -> float:
    """The time of one call after a few that do not count."""
    for _ in range(WARM):
        call()
    _wait(where)
    start = time.perf_counter()
    call()
    _wait(where)
    return time.perf_counter() - start


def _wait(where: torch.device) -> None:
    if where.type == "cuda":
        torch.cuda.synchronize(where)
