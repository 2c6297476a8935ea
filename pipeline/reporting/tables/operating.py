"""The table of what matters in use: TPR at few false alarms, scores as probabilities, thresholds chosen elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
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
from pipeline.params.sections import Evaluation
from pipeline.reporting.results import Level, Model, Results, Spread, Task, spread
from pipeline.reporting.robustness import Stressed
from pipeline.reporting.tables.measures import between
from pipeline.reporting.tables.table import NOTHING, Entry, Table, decimal, percent

MEASURES = ("tpr_at_1", "tpr_at_5", "brier", "log_loss", "balanced_acc")
PROBABILITIES = ("brier", "log_loss")  # the rest are shares
LEVELS: tuple[Level, ...] = ("frame", "video")
CELL = ("method", "backbone", "manipulation", "compression", "seed")
Record = dict[str, Any]


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
    measures = _Measures(results, stressed, "person" if results.few_people else "video", params.evaluation)
    for task in results.tasks():
        weaker = _weakest(task, params)
        for model in (model for model in results.models(ablations=True) if results.named(model, task)):
            record: Record = {"manipulation": task.manipulation, "compression": task.compression}
            record |= {"method": model.method, "backbone": model.backbone, "interval_over": measures.unit}
            for level in LEVELS:
                found = measures.of(model, task, level, weaker)
                if weaker and found["balanced_acc_carried"]:
                    carried_from.add(weaker)
                shown = [NOTHING if one is None else one.text(name) for name, one in found.items()]
                words = [task.manipulation, task.compression, results.label(model), level]
                rows.append([Entry(text) for text in (*words, *shown)])
                record |= _columns(level, found) | {f"{level}_carried_from": weaker}
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


def _columns(level: Level, found: Mapping[str, _Found | None]) -> Record:
    """The CSV's columns of what was found at one level."""
    record: Record = {}
    for name, one in found.items():
        record |= {f"{level}_{name}": None if one is None else one.over_seeds.mean}
        record |= {f"{level}_{name}_sd": None if one is None else one.over_seeds.deviation}
        record |= {f"{level}_{name}_low": None if one is None else one.low}
        record |= {f"{level}_{name}_high": None if one is None else one.high}
    return record


def _weakest(task: Task, params: Params) -> str | None:
    """The weakest compression of all, if it is weaker than the task's; else None."""
    own = params.crf.get(task.compression, 0)
    weaker = [name for name in params.compressions if params.crf[name] < own]
    return min(weaker, key=lambda name: params.crf[name], default=None)


@dataclass(frozen=True)
class _Measures:
    """The columns of the table, measured. unit: what the intervals draw, `video` or `person`."""

    results: Results
    stressed: Stressed | None
    unit: str
    settings: Evaluation

    def of(self, model: Model, task: Task, level: Level, weaker: str | None) -> dict[str, _Found | None]:
        """By column, None where there is none. weaker: the compression from which a threshold is carried over."""
        runs = [at(level, self.results.at(cell, task.compression)) for cell in self.results.of(model, task)]
        drawn = [under(run, self._draws(run)) for run in runs]
        spreads = {name: self.results.spread(model, task, level, name) for name in MEASURES}
        found = {name: _found(spread, [one[name] for one in drawn]) for name, spread in spreads.items()}
        found["balanced_acc_chosen"] = self._chosen(model, task, level)
        found["balanced_acc_carried"] = self._carried(model, task, level, weaker) if weaker else None
        return found

    def _chosen(self, model: Model, task: Task, level: Level) -> _Found | None:
        pairs = [
            (self.results.at(cell, task.compression), record)
            for cell in self.results.of(model, task)
            for record in self.results.summaries[cell].get("thresholds", ())
            if _is(record, level, task.compression, task.compression)
        ]
        return self._at_cuts(pairs, level)

    def _carried(self, model: Model, task: Task, level: Level, weaker: str) -> _Found | None:
        if self.stressed is None:
            return None
        records: Iterable[Record] = self.stressed.thresholds.to_dict("records")  # type: ignore[assignment]
        pairs = [
            (self.stressed.scores(cell, task.compression), record)
            for cell in self.results.of(model, task)
            for record in records
            if Cell(*(record[name] for name in CELL)) == cell and _is(record, level, weaker, task.compression)
        ]
        return self._at_cuts(pairs, level)

    def _at_cuts(self, pairs: Sequence[tuple[pd.DataFrame, Record]], level: Level) -> _Found | None:
        """Balanced accuracy at the cuts of evaluation.thresholds.carried; pairs: frames and record of a seed."""
        drawn = []
        for frames, record in pairs:
            run = at(level, frames)
            cuts = {int(fold): float("nan") if cut is None else float(cut) for fold, cut in record["cuts"].items()}
            drawn.append(balanced_under(run, cuts, self._draws(run)))
        return _found(spread(record["balanced_acc"] for _, record in pairs), drawn)

    def _draws(self, run: pd.DataFrame) -> Floats:
        """Of the videos of a run: the same for every model that was tested on them."""
        return Draws.of(run, self.unit, self.settings.bootstrap, self.settings.seed).counts


def _found(over_seeds: Spread | None, drawn: Sequence[Floats]) -> _Found | None:
    return None if over_seeds is None else _Found(over_seeds, *interval(np.mean(drawn, axis=0)[1:]))


def _is(record: Record, level: str, chosen_at: str, used_at: str) -> bool:
    return (record["level"], record["chosen_at"], record["used_at"]) == (level, chosen_at, used_at)
