"""The table of the quality-agnostic methods: one model tested on raw and on every compression."""

from typing import Any

import pandas as pd

from pipeline.params.cells import ADD, ALL_QUALITIES, RAW, TEACHER
from pipeline.params.schema import Params
from pipeline.reporting.comparison import Comparisons
from pipeline.reporting.results import Model, Results, Spread, Task
from pipeline.reporting.results import spread as spread_of
from pipeline.reporting.tables.measures import between
from pipeline.reporting.tables.table import NOTHING, Entry, Table, best, decimal, percent

SHARED = "one for all"


def tables(results: Results, comparisons: Comparisons, params: Params) -> list[Table]:
    """One table, or none where the run has no such model.

    Its other rows, for each manipulation: the teacher, and the plain baseline and ADD, which have a model for each
    quality that they were trained for.
    """
    kinds = _kinds(results)
    if not any(kind == SHARED for _, kind in kinds):
        return []
    qualities = (RAW, *params.compressions)
    rows, values = [], []
    for manipulation in dict.fromkeys(cell.manipulation for cell in results.cells):
        tasks = [Task(manipulation, quality) for quality in qualities]
        block = {kind: [_measures(results, kind[0], task) for task in tasks] for kind in kinds}
        marks = [best([m and m[0].mean for m in column], 3) for column in zip(*block.values(), strict=True)]
        for number, ((model, own), found) in enumerate(block.items()):
            row = [Entry(manipulation), Entry(results.label(model)), Entry(own)]
            record: dict[str, Any] = {"manipulation": manipulation, "method": model.method, "backbone": model.backbone}
            for task, measured, mark in zip(tasks, found, marks, strict=True):
                low, high = _interval(results, comparisons, model, task)
                auc, acc = measured or (None, None)
                row += [_show(auc, decimal, mark[number]), Entry(between(low, high)), _show(acc, percent)]
                for name, value in (("auc", auc and auc.mean), ("acc", acc and acc.mean), ("low", low), ("high", high)):
                    record[f"{task.compression}_{name}"] = value
            rows.append(row)
            values.append(record)
    over = "people, who are few" if results.few_people else "videos"
    return [
        Table(
            "agnostic",
            "One model for every quality",
            "Per frame, on people it never saw: the same model tested at each quality, beside the teacher, which was "
            "trained on raw crops, and methods that train a model for each quality. Brackets: 95 % interval over "
            f"{over}. The best AUC of each quality is bold, which does not mean that it can be told from the next.",
            ["manipulation", "method", "models", *(["AUC", "95 %", "ACC %"] * len(qualities))],
            rows,
            pd.DataFrame(values),
            groups=[("", 3), *((f"tested on {quality}", 3) for quality in qualities)],
            left=3,
        )
    ]


def _kinds(results: Results) -> list[tuple[Model, str]]:
    """The models that are rows, in their order, and what they were trained for."""
    kinds: dict[str, list[Model]] = {SHARED: [], RAW: [], "its own for each": []}
    for cell in results.cells:
        model = Model(cell.method, cell.backbone)
        if cell.compression == ALL_QUALITIES:
            kinds[SHARED].append(model)
        elif cell.method == TEACHER:
            kinds[RAW].append(model)
        elif cell.method == ADD or cell.is_baseline:
            kinds["its own for each"].append(model)
    return [(model, kind) for kind, models in kinds.items() for model in dict.fromkeys(models)]


def _measures(results: Results, model: Model, task: Task) -> tuple[Spread, Spread] | None:
    if model.method == TEACHER:
        key = (model.backbone, task.manipulation, task.compression)
        auc, acc = (spread_of([results.teacher(*key, "frame", name)]) for name in ("auc", "acc"))
    else:
        auc, acc = (results.spread(model, task, "frame", name) for name in ("auc", "acc"))
    return None if auc is None or acc is None else (auc, acc)


def _interval(results: Results, comparisons: Comparisons, model: Model, task: Task) -> tuple[float, float]:
    """The 95 % interval of the AUC per frame; NaN where the model was not tested."""
    unit = "person" if results.few_people else "video"
    if model.method != TEACHER:
        return comparisons.interval(model, task, "frame", "auc", unit) or (float("nan"), float("nan"))
    kind = "interval_persons" if results.few_people else "interval"
    for cell, summary in results.summaries.items():  # one seed: its own draws are all there is
        if (cell.method, cell.backbone, cell.manipulation) == (TEACHER, model.backbone, task.manipulation):
            low, high = summary["results"][task.compression][kind]["frame"].get("auc") or (None, None)
            return float("nan" if low is None else low), float("nan" if high is None else high)
    return float("nan"), float("nan")


def _show(spread: Spread | None, form: Any, mark: bool = False) -> Entry:
    return Entry(NOTHING if spread is None else form(spread.mean, spread.deviation), mark)
