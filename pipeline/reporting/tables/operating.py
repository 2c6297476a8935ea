"""What a user of the scores meets: few false alarms, scores as probabilities, thresholds that were chosen elsewhere."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from pipeline.params.schema import Params
from pipeline.reporting.results import Level, Model, Results, Spread, Task, spread
from pipeline.reporting.robustness import Stressed
from pipeline.reporting.tables.table import Entry, Table, decimal, percent

MEASURES = ("tpr_at_1", "tpr_at_5", "brier", "log_loss", "balanced_acc")
HEADER = ("TPR % at 1 %", "TPR % at 5 %", "Brier", "log loss", "at 0.5", "chosen", "carried")
LEVELS: tuple[Level, ...] = ("frame", "video")


def table(results: Results, stressed: Stressed | None, params: Params) -> Table:
    """A row a task and method; per frame and per video."""
    rows, values = [], []
    carried_from: set[str] = set()
    for task in results.tasks():
        weaker = _weakest(task, params)
        for model in (model for model in results.models(ablations=True) if results.named(model, task)):
            row = [Entry(task.manipulation), Entry(task.compression), Entry(results.label(model))]
            record: dict[str, Any] = {"manipulation": task.manipulation, "compression": task.compression}
            record |= {"method": model.method, "backbone": model.backbone}
            for level in LEVELS:
                found = {name: results.spread(model, task, level, name) for name in MEASURES}
                found["balanced_acc_chosen"] = _chosen(results, model, task, level)
                found["balanced_acc_carried"] = _carried(stressed, model, task, level, weaker)
                if weaker and found["balanced_acc_carried"]:
                    carried_from.add(weaker)
                for name, value in found.items():
                    row.append(Entry(_show(name, value)))
                    record |= {f"{level}_{name}": None if value is None else value.mean}
                    record |= {f"{level}_{name}_sd": None if value is None else value.deviation}
                record[f"{level}_carried_from"] = weaker
            rows.append(row)
            values.append(record)
    where = "validation people" if params.split.validation or len(params.folds) == 1 else "the other folds' test people"
    few = ", on the few frames a video of the stress stage" if params.stress.frames else ""
    best_at = ", ".join(sorted(carried_from))
    carried = f"; carried: at the one that was best there at {best_at}{few}" if carried_from else ""
    return Table(
        "operating",
        "At few false alarms, as probabilities, and at thresholds that were not fitted here",
        "TPR % is the share of fakes that are found where at most 1 % or 5 % of the reals are called fake; where reals "
        "are few that is none or one of them, and a single video moves it. Brier score and log loss judge the "
        "scores as probabilities (lower is better). Balanced ACC at 0.5; chosen: at the threshold that was best on "
        f"{where} at the same quality{carried}. ± is the standard deviation over seeds.",
        ["manipulation", "quality", "method", *HEADER, *HEADER],
        rows,
        pd.DataFrame(values),
        groups=[("", 3), *((text, span) for level in LEVELS
                           for text, span in ((f"per {level}", 4), (f"balanced ACC % per {level}", 3)))],
        left=3,
        folded=len(rows) > 30,
    )  # fmt: skip


def _weakest(task: Task, params: Params) -> str | None:
    """The weakest compression that is weaker than the task's."""
    own = params.crf.get(task.compression, 0)
    weaker = [name for name in params.compressions if params.crf[name] < own]
    return min(weaker, key=lambda name: params.crf[name], default=None)


def _chosen(results: Results, model: Model, task: Task, level: Level) -> Spread | None:
    return spread(
        record["balanced_acc"]
        for cell in results.of(model, task)
        for record in results.summaries[cell].get("thresholds", ())
        if _is(record, level, task.compression, task.compression)
    )


def _carried(stressed: Stressed | None, model: Model, task: Task, level: Level, weaker: str | None) -> Spread | None:
    if stressed is None or weaker is None:
        return None
    keys = {"method": model.method, "backbone": model.backbone} | {
        "manipulation": task.manipulation, "compression": task.compression
    }  # fmt: skip
    records: Iterable[dict[str, Any]] = stressed.thresholds.to_dict("records")  # type: ignore[assignment]
    return spread(
        record["balanced_acc"]
        for record in records
        if all(record[key] == value for key, value in keys.items()) and _is(record, level, weaker, task.compression)
    )


def _is(record: dict[str, Any], level: str, chosen_at: str, used_at: str) -> bool:
    return (record["level"], record["chosen_at"], record["used_at"]) == (level, chosen_at, used_at)


def _show(name: str, value: Spread | None) -> str:
    if value is None:
        return decimal(None)
    return (decimal if name in ("brier", "log_loss") else percent)(value.mean, value.deviation)
