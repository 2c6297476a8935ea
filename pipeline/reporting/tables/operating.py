"""The table of what matters in use: TPR at few false alarms, scores as probabilities, thresholds chosen elsewhere."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluation.draws import Draws
from pipeline.evaluation.operating import balanced_under, under
from pipeline.evaluation.statistics import Floats, interval
from pipeline.evaluation.thresholds import at
from pipeline.params.cells import Cell
from pipeline.params.schema import Params
from pipeline.reporting.results import Level, Model, Results, Spread, Task, spread
from pipeline.reporting.robustness import Stressed
from pipeline.reporting.tables.measures import between
from pipeline.reporting.tables.table import NOTHING, Entry, Table, decimal, percent

MEASURES = ("tpr_at_1", "tpr_at_5", "brier", "log_loss", "balanced_acc")
PROBABILITIES = ("brier", "log_loss")  # the rest are shares
LEVELS: tuple[Level, ...] = ("frame", "video")
CELL = ("method", "backbone", "manipulation", "compression", "seed")
Record = dict[str, Any]
Draw = Callable[[pd.DataFrame], Floats]  # frames or videos -> how often each of the videos, sorted, was drawn: (R, V)


@dataclass(frozen=True)
class _Found:
    """A measure over seeds, and the 95 % interval of its mean."""

    over_seeds: Spread
    low: float
    high: float

    def text(self, name: str) -> str:
        form, digits, scale = (decimal, 3, 1.0) if name in PROBABILITIES else (percent, 1, 100.0)
        return f"{form(self.over_seeds.mean, self.over_seeds.deviation)} {between(self.low, self.high, digits, scale)}"


def table(results: Results, stressed: Stressed | None, params: Params) -> Table:
    """Two rows a task and method, per frame and per video; in the CSV they are one."""
    rows, values = [], []
    carried_from: set[str] = set()
    unit = "person" if results.few_people else "video"

    def draw(frames: pd.DataFrame) -> Floats:
        """The same way for every model that was tested on these videos."""
        return Draws.of(frames, unit, params.evaluation.bootstrap, params.evaluation.seed).counts

    for task in results.tasks():
        weaker = _weakest(task, params)
        for model in (model for model in results.models(ablations=True) if results.named(model, task)):
            record: Record = {"manipulation": task.manipulation, "compression": task.compression}
            record |= {"method": model.method, "backbone": model.backbone, "interval_over": unit}
            for level in LEVELS:
                found = _measured(results, model, task, level, draw)
                found["balanced_acc_chosen"] = _chosen(results, model, task, level, draw)
                found["balanced_acc_carried"] = _carried(results, stressed, model, task, level, weaker, draw)
                if weaker and found["balanced_acc_carried"]:
                    carried_from.add(weaker)
                shown = [NOTHING if one is None else one.text(name) for name, one in found.items()]
                words = [task.manipulation, task.compression, results.label(model), level]
                rows.append([Entry(text) for text in (*words, *shown)])
                for name, one in found.items():
                    record |= {f"{level}_{name}": None if one is None else one.over_seeds.mean}
                    record |= {f"{level}_{name}_sd": None if one is None else one.over_seeds.deviation}
                    record |= {f"{level}_{name}_low": None if one is None else one.low}
                    record |= {f"{level}_{name}_high": None if one is None else one.high}
                record[f"{level}_carried_from"] = weaker
            values.append(record)
    where = "validation people" if params.split.validation or len(params.folds) == 1 else "the other folds' test people"
    few = ", on the few frames a video of the stress stage" if params.stress.frames else ""
    best_at = ", ".join(sorted(carried_from))
    carried = f"; carried: at the one that was best there at {best_at}{few}" if carried_from else ""
    over = "people, who are few" if results.few_people else "videos"
    return Table(
        "operating",
        "At few false alarms, as probabilities, and at thresholds that were not fitted here",
        "TPR % is the share of fakes that are found where at most 1 % or 5 % of the reals are called fake; where reals "
        "are few that is none or one of them, and a single video moves it. Brier score and log loss judge the "
        "scores as probabilities (lower is better). Balanced ACC at 0.5; chosen: at the threshold that was best on "
        f"{where} at the same quality{carried}. ± is the standard deviation over seeds, brackets are 95 % intervals "
        f"over {over}; thresholds stay as they were chosen.",
        ["manipulation", "quality", "method", "per", "at 1 %", "at 5 %", "Brier", "log loss", "at 0.5", "chosen",
         "carried"],
        rows,
        pd.DataFrame(values),
        groups=[("", 4), ("TPR %", 2), ("probabilities", 2), ("balanced ACC %", 3)],
        left=4,
        folded=len(rows) > 30,
    )  # fmt: skip


def _weakest(task: Task, params: Params) -> str | None:
    """The weakest compression of all, if it is weaker than the task's; else None."""
    own = params.crf.get(task.compression, 0)
    weaker = [name for name in params.compressions if params.crf[name] < own]
    return min(weaker, key=lambda name: params.crf[name], default=None)


def _measured(results: Results, model: Model, task: Task, level: Level, draw: Draw) -> dict[str, _Found | None]:
    runs = [at(level, results.at(cell, task.compression)) for cell in results.of(model, task)]
    drawn = [under(run, draw(run)) for run in runs]
    return {name: _found(results.spread(model, task, level, name), [one[name] for one in drawn]) for name in MEASURES}


def _chosen(results: Results, model: Model, task: Task, level: Level, draw: Draw) -> _Found | None:
    pairs = [
        (results.at(cell, task.compression), record)
        for cell in results.of(model, task)
        for record in results.summaries[cell].get("thresholds", ())
        if _is(record, level, task.compression, task.compression)
    ]
    return _at_cuts(pairs, level, draw)


def _carried(
    results: Results,
    stressed: Stressed | None,
    model: Model,
    task: Task,
    level: Level,
    weaker: str | None,
    draw: Draw,
) -> _Found | None:
    if stressed is None or weaker is None:
        return None
    records: Iterable[Record] = stressed.thresholds.to_dict("records")  # type: ignore[assignment]
    pairs = [
        (stressed.scores(cell, task.compression), record)
        for cell in results.of(model, task)
        for record in records
        if Cell(*(record[name] for name in CELL)) == cell and _is(record, level, weaker, task.compression)
    ]
    return _at_cuts(pairs, level, draw)


def _at_cuts(pairs: Sequence[tuple[pd.DataFrame, Record]], level: Level, draw: Draw) -> _Found | None:
    """Balanced accuracy at the thresholds of a record of evaluation.thresholds.carried; frames and record a seed."""
    drawn = []
    for frames, record in pairs:
        run = at(level, frames)
        cuts = {int(fold): float("nan") if cut is None else float(cut) for fold, cut in record["cuts"].items()}
        drawn.append(balanced_under(run, cuts, draw(run)))
    return _found(spread(record["balanced_acc"] for _, record in pairs), drawn)


def _found(over_seeds: Spread | None, drawn: Sequence[Floats]) -> _Found | None:
    return None if over_seeds is None else _Found(over_seeds, *interval(np.mean(drawn, axis=0)[1:]))


def _is(record: Record, level: str, chosen_at: str, used_at: str) -> bool:
    return (record["level"], record["chosen_at"], record["used_at"]) == (level, chosen_at, used_at)
