"""The one training loop: teachers, classifiers and distilled students, by the recipe of docs/method.md."""

import copy
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from pipeline.detectors.backbones.base import Backbone
from pipeline.params.recipes import Train
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.guard import TOTAL, check_steps, hold_back
from pipeline.training.history import Means, Outcome, Row, State
from pipeline.training.optimization import adam, autocast, resolve, schedule
from pipeline.training.resuming import held, resume
from pipeline.training.terms import Terms
from pipeline.work.progress import progress

CHECKPOINT_SECONDS = 20.0
Validate = Callable[[Backbone], Mapping[str, float]]  # at least val_acc, val_loss


class Batch(Protocol):
    images: Mapping[str, Tensor]  # quality -> (B, 3, S, S)
    labels: Tensor  # (B,)


class Loader(Protocol):
    def __len__(self) -> int: ...

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]: ...


class Task(Protocol):
    """What is trained: a module with a student, whose forward gives the named terms of one batch."""

    student: Backbone
    epoch: int  # from 0, told by the loop

    def __call__(self, images: Mapping[str, Tensor], labels: Tensor, warmup: bool = False) -> Terms: ...


class Trainer:
    """One training: optimizer, schedule, warm-up, validation, early stop, resume."""

    def __init__(self, task: Any, recipe: Train, loader: Loader, device: torch.device) -> None:
        recipe = resolve(recipe, device)
        self.task, self.recipe, self.loader, self.device = task, recipe, loader, device
        self.student: Backbone = task.student
        memory_format = torch.channels_last if recipe.channels_last else torch.contiguous_format
        task.to(device=device, memory_format=memory_format)
        self.frozen = [module for stage in self.student.stages()[: recipe.freeze_stages] for module in stage]
        for module in self.frozen:
            module.requires_grad_(False)
        self.parameters = [parameter for parameter in task.parameters() if parameter.requires_grad]
        self.optimizer = adam(self.parameters, recipe)
        self.scheduler = schedule(self.optimizer, recipe, recipe.epochs * len(loader))
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.amp == "fp16")
        if recipe.compiled:
            for network in (task.student, getattr(task, "teacher", None)):
                if network is not None:
                    network.compile()  # in place: the names of the weights stay
        # torch warns where fp16 skips the optimizer's step and the schedule goes on; skipped steps are counted and told
        warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler\.step\(\)` before")
        self.best_weights: dict[str, Tensor] | None = None
        self.state = State()

    def run(
        self, validate: Validate | None, checkpoint: Checkpoint, watch: Callable[[Row], None], what: str
    ) -> Outcome:
        """Train to the end, or to the early stop. `watch` gets each row of the history as it comes.

        Raises UserError where a loss is not finite; the checkpoint then keeps the last good state.
        """
        if resume(self, checkpoint):
            for row in self.state.history:
                watch(row)
        state, recipe = self.state, self.recipe
        marks = self._marks()
        bar = progress(self._steps(), recipe.epochs * len(self.loader) - state.step, what, "step")
        means, saved = Means(), -math.inf
        for terms in bar:
            means.add(terms)
            if state.batch not in marks:
                continue
            row = {"step": float(state.step), "epoch": state.step / len(self.loader), "lr": self._rate()}
            check_steps(means.steps, state.step - len(means.steps))
            row |= means.take()
            if recipe.amp == "fp16":
                row["skipped"] = float(state.skipped)
            if validate:
                row |= self._validate(validate)
            state.history.append(row)
            watch(row)
            if recipe.schedule == "plateau" and (validate or state.batch == len(self.loader)):
                self.scheduler.step(row.get("val_loss", row["train_loss"]))
            if state.stopped:
                break
            if time.monotonic() - saved >= CHECKPOINT_SECONDS:
                checkpoint.save(held(self))
                saved = time.monotonic()
        return self._finish(checkpoint, what)

    def _finish(self, checkpoint: Checkpoint, what: str) -> Outcome:
        state = self.state
        selected = state.step
        if self.recipe.select == "best" and self.best_weights is not None:
            self.student.load_state_dict(self.best_weights)
            selected = state.best_step
        if state.stopped:
            print(f"{what}: stopped early at step {state.step}; the best was step {state.best_step}", file=sys.stderr)
        if state.skipped:
            left = f"fp16 left out {state.skipped} of {state.step} steps, whose gradients were too large for it"
            print(f"{what}: {left} (train.amp=bf16 leaves out none)", file=sys.stderr, flush=True)
        self.student.eval()
        return Outcome(state.history, selected, state.stopped)

    def _marks(self) -> set[int]:
        """The numbers of batches done in an epoch after which a row is written: `validations_per_epoch` of them."""
        batches, rows = len(self.loader), self.recipe.validations_per_epoch
        return {max(1, round(batches * (row + 1) / rows)) for row in range(rows)}

    def _steps(self) -> Iterator[Terms]:
        state = self.state
        while state.epoch < self.recipe.epochs:
            self._train_mode()
            for batch in self.loader.epoch(state.epoch, skip=state.batch):
                terms = self._step(batch)
                state.batch += 1
                state.step += 1
                yield terms
            state.epoch, state.batch = state.epoch + 1, 0

    @property
    def _warmup(self) -> bool:
        return self.state.epoch < self.recipe.warmup_epochs

    def _train_mode(self) -> None:
        self.task.epoch = self.state.epoch
        self.task.train()
        for module in self.frozen:
            module.eval()  # else their running statistics would still change
        for parameter in self.parameters:
            parameter.requires_grad_(not self._warmup)
        if self._warmup:
            self.student.head.requires_grad_(True)

    def _step(self, batch: Batch) -> Terms:
        recipe = self.recipe
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        images = {
            quality: pixels.to(self.device, non_blocking=True, memory_format=layout)
            for quality, pixels in batch.images.items()
        }
        labels = batch.labels.to(self.device, non_blocking=True)
        with autocast(recipe, self.device):
            terms = self.task(images, labels, self._warmup)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.stack([value.float() for value in terms.losses.values()]).sum()
        told = Terms({TOTAL: total.detach()} | {name: v.detach() for name, v in terms.losses.items()}, terms.measures)
        self._backward(total, told)
        if recipe.schedule != "plateau":
            self.scheduler.step()
        return told

    def _backward(self, total: Tensor, told: Terms) -> None:
        """Take the gradient and step the weights; no loss that is not finite moves a weight."""
        if self.recipe.fused and not self.scaler.is_enabled():
            hold_back(self.optimizer, total)
        else:
            check_steps([told], self.state.step)  # waits for the device; fp16 does so anyway, for its scale
        self.scaler.scale(total).backward()
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        # fp16 skips a step whose gradients overflow. The schedule goes on, as it counts batches.
        self.state.skipped += self.scaler.get_scale() < scale

    def _validate(self, validate: Validate) -> Mapping[str, float]:
        state = self.state
        self.student.eval()
        found = validate(self.student)
        if found["val_acc"] > state.best:
            state.best, state.best_step, state.stale = found["val_acc"], state.step, 0
            self.best_weights = copy.deepcopy(self.student.state_dict())
        else:
            state.stale += 1
            # Early stop only where the best is kept: with `select: last` training runs its full length.
            state.stopped = self.recipe.select == "best" and state.stale >= self.recipe.patience
        self._train_mode()
        return found

    def _rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])
