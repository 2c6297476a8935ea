"""The tables of this run's results: main, more measures, the teacher's gap."""

from typing import Any

import pandas as pd

from pipeline.params.cells import RAW, TEACHER
from pipeline.reporting.comparison import Comparisons
from pipeline.reporting.results import Level, Model, Results, Spread, Task, mean_of
from pipeline.reporting.tables.measures import NAMES, between, edges, form, over
from pipeline.reporting.tables.table import MISSING, NOTHING, Entry, Table, best, decimal, percent, signed

Column = tuple[Level, str]
MAIN: tuple[Column, ...] = (
    ("frame", "acc"),
    ("frame", "auc"),
    ("frame", "knn_r1"),
    ("frame", "fake_recall"),
    ("video", "acc"),
    ("video", "auc"),
)
MORE: tuple[Column, ...] = tuple(
    (level, name) for level in ("frame", "video") for name in ("balanced_acc", "average_precision", "eer", "ece")
)


def main(results: Results, comparisons: Comparisons) -> Table:
    """Manipulation x compression x method: mean and spread over seeds, AUC with its interval over videos."""
    rows, values = [], []
    units, ends_of = ("person", "video") if results.few_people else ("video",), edges(results.few_people)
    for task in results.tasks():
        models = [model for model in results.models(ablations=True) if results.named(model, task)]
        block = {model: [results.spread(model, task, *column) for column in MAIN] for model in models}
        marks = [best([mean_of(found[i]) for found in block.values()], 3) for i in range(len(MAIN))]
        for number, (model, found) in enumerate(block.items()):
            seeds = len(results.of(model, task))
            record: dict[str, Any] = _key(task, model) | {"seeds": seeds}
            row = [
                Entry(task.manipulation),
                Entry(task.compression),
                Entry(results.label(model)),
                Entry(str(seeds or MISSING)),
            ]
            for (level, name), spread, mark in zip(MAIN, found, marks, strict=True):
                row.append(Entry(_show(name, spread), mark[number]))
                record |= _values(level, name, spread)
                if name == "auc":
                    for unit in units:
                        ends = comparisons.interval(model, task, level, name, unit) or (float("nan"), float("nan"))
                        row.append(Entry(between(*ends)))
                        stem = f"{level}_auc{'_people' * (unit == 'person')}"
                        record |= dict(zip((f"{stem}_low", f"{stem}_high"), ends, strict=True))
            rows.append(row)
            values.append(record)
    return Table(
        "main",
        "Every method, tested on people it never saw",
        "Higher is better; the best of each task is bold, which does not mean that it can be told from the next "
        "(see the paired tests). ± is the standard deviation over seeds, brackets the 95 % intervals "
        f"{over(results.few_people)}.",
        ["manipulation", "quality", "method", "seeds", "ACC %", "AUC", *ends_of, "R@1 (kNN) %", "fake recall %",
         "ACC %", "AUC", *ends_of],
        rows,
        pd.DataFrame(values),
        groups=[("", 4), ("per frame", 4 + len(ends_of)), ("per video", 2 + len(ends_of))],
        left=3,
    )  # fmt: skip


def more(results: Results) -> Table:
    """The measures beyond the paper's."""
    rows, values = [], []
    for task in results.tasks():
        for model in (model for model in results.models(ablations=True) if results.named(model, task)):
            found = [results.spread(model, task, *column) for column in MORE]
            shown = [Entry(_show(name, spread)) for (_, name), spread in zip(MORE, found, strict=True)]
            rows.append([Entry(task.manipulation), Entry(task.compression), Entry(results.label(model)), *shown])
            record: dict[str, Any] = _key(task, model)
            for (level, name), spread in zip(MORE, found, strict=True):
                record |= _values(level, name, spread)
            values.append(record)
    return Table(
        "more",
        "More measures",
        "Balanced ACC matters where the classes are not 50/50; AP is average precision (higher is better); EER the "
        "equal error rate and ECE the expected calibration error (lower is better).",
        ["manipulation", "quality", "method", *(NAMES[name] for _, name in MORE)],
        rows,
        pd.DataFrame(values),
        groups=[("", 3), ("per frame", len(MORE) // 2), ("per video", len(MORE) // 2)],
        left=3,
        folded=True,
    )


def gap(results: Results, compressions: tuple[str, ...]) -> Table:
    """The raw teachers on raw and on compressed crops."""
    rows, values = [], []
    for cell in [cell for cell in results.cells if cell.method == TEACHER]:
        raw = results.teacher(cell.backbone, cell.manipulation, RAW, "frame", "auc")
        for quality in (RAW, *compressions):
            acc = results.teacher(cell.backbone, cell.manipulation, quality, "frame", "acc")
            auc = results.teacher(cell.backbone, cell.manipulation, quality, "frame", "auc")
            video = results.teacher(cell.backbone, cell.manipulation, quality, "video", "auc")
            lost = None if quality == RAW or raw is None or auc is None else auc - raw
            words = [
                cell.manipulation,
                cell.backbone,
                quality if cell in results.summaries else f"{quality}: {MISSING}",
            ]
            rows.append([Entry(text) for text in (*words, percent(acc), decimal(auc), signed(lost), decimal(video))])
            values.append(
                {"manipulation": cell.manipulation, "backbone": cell.backbone, "tested_on": quality}
                | {"frame_acc": acc, "frame_auc": auc, "frame_auc_lost": lost, "video_auc": video}
            )
    return Table(
        "gap",
        "What compression takes from a detector trained on raw crops",
        "The same frames of the same unseen people, once uncompressed and once compressed: the loss of AUC is the gap "
        "that ADD is to close.",
        ["manipulation", "backbone", "tested on", "ACC %", "AUC", "against raw", "AUC per video"],
        rows,
        pd.DataFrame(values),
        left=3,
    )


def _show(name: str, spread: Spread | None) -> str:
    if spread is None:
        return NOTHING
    return form(name)(spread.mean, spread.deviation)


def _key(task: Task, model: Model) -> dict[str, Any]:
    return {"manipulation": task.manipulation, "compression": task.compression} | {
        "method": model.method,
        "backbone": model.backbone,
    }


def _values(level: str, name: str, spread: Spread | None) -> dict[str, float | None]:
    deviation = None if spread is None else spread.deviation
    return {f"{level}_{name}": mean_of(spread), f"{level}_{name}_sd": deviation}
