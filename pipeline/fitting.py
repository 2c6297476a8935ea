"""From shards to a model on disk: loaders, validation, tracking, and the training between them."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pipeline import splits
from pipeline.backbones.base import Backbone
from pipeline.batches import MEAN, STD
from pipeline.checkpoint import Checkpoint
from pipeline.device import device
from pipeline.history import Outcome, Row
from pipeline.loader import TrainingLoader, evaluation_loader
from pipeline.models import HISTORY, SUMMARY, Card, save
from pipeline.params import Params
from pipeline.recipes import Train
from pipeline.scoring import score
from pipeline.shards import buckets
from pipeline.tracking import Run, track
from pipeline.training import Trainer


@dataclass(frozen=True)
class Cell:
    """What is trained: one method on one task, one seed, one fold."""

    method: str
    backbone: str
    manipulation: str
    quality: str
    seed: int
    fold: int

    def __str__(self) -> str:
        return f"{self.method} {self.backbone} {self.manipulation} {self.quality} seed {self.seed} fold {self.fold}"


def fit(task: Any, cell: Cell, recipe: Train, settings: Mapping[str, Any], params: Params, shards: Path, out: Path,
        inputs: tuple[Path, ...] = ()) -> str:  # fmt: skip
    """Train `task` on the training people of the fold, save its student into `out`, and tell the outcome in a line.

    settings: the params that shaped the task, for the record and for the checkpoint's key; inputs: files besides the
    shards that it depends on (the teacher's weights). `out` is written whole or not at all.
    """
    folders = [shards / "original", shards / cell.manipulation]
    roles = splits.fold(buckets(folders), cell.fold, params.split.validation)
    where = device()
    size, batch = params.model.image_size, recipe.batch_size
    loader = TrainingLoader(
        folders,
        buckets=roles.train,
        qualities=task.qualities,
        image_size=size,
        batch_size=batch,
        flip=recipe.horizontal_flip,
        seed=cell.seed,
        workers=params.loader.workers,
        cache_mb=params.loader.cache_mb,
        device=where,
    )
    card = Card(**vars(cell), buckets=roles._asdict(), image_size=size, mean=MEAN, std=STD)
    record = {"cell": vars(cell), "train": recipe.model_dump(), **settings}
    checkpoint = Checkpoint(record, [*(folder / "index.parquet" for folder in folders), *inputs])

    unseen = (
        ()
        if not roles.val
        else evaluation_loader(
            folders,
            buckets=roles.val,
            qualities=[cell.quality],
            image_size=size,
            batch_size=2 * batch,
            workers=params.loader.workers,
            cache_mb=params.loader.cache_mb,
            device=where,
        )
    )

    def validate(model: Backbone) -> Row:
        return validation(score(model, unseen, cell.quality, where).frames)

    with track(params.tracking, str(cell), record, {"stage": "train", **vars(cell)}) as run:
        trainer = Trainer(task, recipe, loader, where)
        outcome = trainer.run(validate if roles.val else None, checkpoint, lambda row: _watch(run, row), str(cell))
        write(task.student, card, recipe, outcome, out)
    checkpoint.clear()
    last = outcome.history[-1]
    quality = f"validation accuracy {max(row['val_acc'] for row in outcome.history):.3f}, " if roles.val else ""
    return f"{cell}: {quality}loss {last['train_loss']:.3f} after {int(last['step'])} steps"


def validation(frames: pd.DataFrame) -> Row:
    """val_acc, val_auc and val_loss (cross-entropy) of scored frames."""
    from pipeline import metrics

    found = metrics.measure(frames)
    scores = frames["score"].where(frames["label"] == 1, 1 - frames["score"]).clip(lower=1e-7)
    loss = float(-torch.log(torch.tensor(scores.to_numpy())).mean())
    return {"val_acc": found["acc"], "val_auc": found["auc"], "val_loss": loss}


def write(student: Backbone, card: Card, recipe: Train, outcome: Outcome, out: Path) -> None:
    """Leave the weights, the card, the history and a summary in `out`."""
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save(student, card, part)
    history = pd.DataFrame(outcome.history)
    history.to_csv(part / HISTORY, index=False, float_format="%.6g")
    last = outcome.history[-1]
    summary = {
        "epochs_run": last["epoch"],
        "steps": int(last["step"]),
        "selected_step": outcome.selected_step,
        "selection": recipe.select,
        "stopped_early": outcome.stopped_early,
        "parameters": sum(parameter.numel() for parameter in student.parameters()),
        "measures": {name: value for name, value in last.items() if name not in ("step", "epoch", "lr")},
    }
    (part / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)


def _watch(run: Run, row: Row) -> None:
    run.metrics({name: value for name, value in row.items() if name != "step"}, int(row["step"]))
