"""From shards to a model on disk: loaders, validation, tracking, and the training between them."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pipeline.crops import folds
from pipeline.crops.shards import read_index
from pipeline.detectors.backbones.base import Backbone
from pipeline.detectors.card import HISTORY, SUMMARY, Card, save
from pipeline.detectors.device import device
from pipeline.detectors.scoring import score
from pipeline.loading.batches import MEAN, STD
from pipeline.loading.loader import TrainingLoader, evaluation_loader
from pipeline.params.cells import ALL_QUALITIES, RAW, Cell
from pipeline.params.recipes import Train
from pipeline.params.schema import Params
from pipeline.tracking.runs import Run, track
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.history import Outcome, Row
from pipeline.training.optimization import resolve
from pipeline.training.trainer import Trainer, Validate
from pipeline.work.errors import UserError
from pipeline.work.files import whole_folder


def fit(
    task: Any,
    cell: Cell,
    fold: int,
    recipe: Train,
    settings: Mapping[str, Any],
    params: Params,
    shards: Path,
    out: Path,
    inputs: tuple[Path, ...] = (),
) -> str:
    """Train `task` on the training people of the fold, save its student into `out`, and tell the outcome in a line.

    settings: the params that shaped the task, for the record and for the checkpoint's key. inputs: files that it
    depends on besides the shards (the teacher's weights). `out` is written whole or not at all.
    """
    pool = params.pool(cell.manipulation)
    folders = [shards / name for name in ("original", *params.fakes_of(cell.manipulation))]
    roles = folds.fold(params, fold)
    _complete(folders, roles, fold)
    where, size = device(), params.model.image_size
    recipe = resolve(recipe, where)  # for the record too: what was computed, not what was left open
    every = (RAW, *params.compressions)
    mixed = task.qualities == (ALL_QUALITIES,)
    loader = TrainingLoader(
        folders,
        buckets=roles.train,
        qualities=every if mixed else task.qualities,
        image_size=size,
        batch_size=recipe.batch_size,
        flip=recipe.horizontal_flip,
        seed=cell.seed,
        place=params.loader.place,
        device=where,
        mixed=mixed,
        paired=recipe.paired,
    )
    validated_on = every if cell.compression == ALL_QUALITIES else (cell.compression,)
    validate = _validation(folders, roles.val, validated_on, recipe, params)

    what = {**vars(cell), "fold": fold}
    what["quality"] = what.pop("compression")  # as the card says it: raw is one, and no compression
    card = Card(**what, pooled=pool, buckets=roles._asdict(), image_size=size, mean=MEAN, std=STD)
    record = {"cell": what, "train": recipe.model_dump(), **settings, **({"pooled": pool} if pool else {})}
    checkpoint = Checkpoint(record, [*(folder / "index.parquet" for folder in folders), *inputs])
    name = f"{cell} fold {fold}"
    with track(params.tracking, name, record, {"stage": "train", **what}) as run:
        trainer = Trainer(task, recipe, loader, where)
        outcome = trainer.run(validate, checkpoint, lambda row: _watch(run, row), name)
        write(task.student, card, recipe, outcome, out)
    checkpoint.clear()
    last = outcome.history[-1]
    best = f"validation accuracy {max(row['val_acc'] for row in outcome.history):.3f}, " if validate else ""
    return f"{name}: {best}loss {last['train_loss']:.3f} after {int(last['step'])} steps"


def _validation(
    folders: Sequence[Path], buckets: Sequence[str], qualities: Sequence[str], recipe: Train, params: Params
) -> Validate | None:
    """What scores a student on the fold's validation people at these qualities; None where there are no such people."""
    if not buckets:
        return None
    where = device()
    unseen = evaluation_loader(
        read_index(folders, buckets),
        qualities=qualities,
        image_size=params.model.image_size,
        batch_size=2 * recipe.batch_size,
        place=params.loader.place,
        device=where,
    )

    def validate(student: Backbone) -> Row:
        return validation(pd.concat([score(student, unseen, quality, where).frames for quality in qualities]))

    return validate


def _complete(folders: Sequence[Path], roles: folds.Roles, fold: int) -> None:
    """Raises: UserError where the fold's people lack the reals or a manipulation, before hours are spent."""
    index = read_index(folders, [bucket for role in roles for bucket in role])
    for role, buckets in roles._asdict().items():
        table = index[index["bucket"].isin(buckets)]
        for folder in folders:
            if buckets and not (table["set"] == folder.name).any():
                kind = "reals" if folder == folders[0] else "fakes"
                people = ", ".join(sorted(set(table["person"])))
                raise UserError(
                    f"{folder}: no {kind} in bucket {', '.join(buckets)} ({people}), "
                    f"which fold {fold} {folds.DOES[role]}: "
                    f"rejected.parquet there says why; add people, leave {fold} out of folds or lower split.buckets"
                )


def validation(frames: pd.DataFrame) -> Row:
    """val_acc, val_auc and val_loss (cross-entropy) of scored frames."""
    from sklearn.metrics import roc_auc_score  # seconds to load, and many trainings have no validation people

    labels, scores = frames["label"], frames["score"]
    accuracy = float(((scores >= 0.5) == (labels == 1)).mean())
    auc = float(roc_auc_score(labels, scores)) if labels.nunique() == 2 else math.nan
    likelihood = scores.where(labels == 1, 1 - scores).clip(lower=1e-7)
    loss = float(-torch.log(torch.tensor(likelihood.to_numpy())).mean())
    return {"val_acc": accuracy, "val_auc": auc, "val_loss": loss}


def write(student: Backbone, card: Card, recipe: Train, outcome: Outcome, out: Path) -> None:
    """Leave the weights, the card, the history and a summary in `out`."""
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
    with whole_folder(out) as part:
        save(student, card, part)
        pd.DataFrame(outcome.history).to_csv(part / HISTORY, index=False, float_format="%.6g")
        (part / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")


def _watch(run: Run, row: Row) -> None:
    run.metrics({name: value for name, value in row.items() if name != "step"}, int(row["step"]))
