"""Intervals of every model, and paired tests of ADD against every other method over the same videos."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from pipeline.evaluation.draws import UNITS, Draws
from pipeline.evaluation.metrics import by_video
from pipeline.evaluation.statistics import LEVEL, Difference, Floats, Scored, holm, interval, paired, within
from pipeline.params.cells import ABLATIONS, ADD
from pipeline.params.sections import Evaluation
from pipeline.reporting.results import Level, Model, Results, Task
from pipeline.work.errors import UserError

MEASURES: dict[str, Callable[[Scored, Floats], Floats]] = {
    "auc": Scored.auc,
    "acc": Scored.acc,
    "above_target": Scored.above_target,
}
# p values come in steps of 2 / resamples, and Holm multiplies them by the size of the grid.
FINER = 10
MEAN = "all (mean)"  # in place of a manipulation: the mean of a measure over the manipulations


@dataclass(frozen=True)
class Comparison:
    """ADD minus another method, per frame, over the same videos. `corrected` is p by Holm within its family."""

    task: Task
    add: Model
    other: Model
    measure: str
    values: tuple[float, float]  # ADD's, the other's
    videos: Difference
    people: Difference
    corrected: float = float("nan")

    def first(self, few_people: bool) -> Difference:
        """The difference with the interval that comes first: over people where few were tested."""
        return self.people if few_people else self.videos

    def statement(self, few_people: bool, margin: float) -> str:
        """What the test says: ADD is better or worse, differs by less than the margin, or neither is shown.

        The margin concerns AUC: for other measures nothing is said of equivalence.
        """
        found = self.first(few_people)
        if found.low != found.low:
            return ""
        said = []
        if self.corrected < LEVEL:
            said.append("better" if self.videos.value > 0 else "worse")
        if self.measure == "auc" and within(found.low, found.high, margin):
            said.append(f"differs by less than {margin:g}")
        return ", ".join(said) or "cannot be told apart"


class Comparisons:
    """Resamples drawn once for a compression, so that every model meets the same draws."""

    def __init__(self, results: Results, evaluation: Evaluation) -> None:
        self._results, self._evaluation = results, evaluation
        self._scored: dict[tuple[Model, Task, Level], Scored | None] = {}
        self._draws: dict[tuple[str, str], Draws] = {}

    def interval(
        self, model: Model, task: Task, level: Level, measure: str, unit: str = "video"
    ) -> tuple[float, float] | None:
        """The 95 % interval of a model's mean over seeds. unit: what is drawn, `video` or `person`."""
        values = self._values(model, task, measure, unit, level)
        return None if values is None else interval(values[1:])

    @cached_property
    def against_add(self) -> list[Comparison]:
        """For each measure the tasks and their mean. Holm corrects within a measure: the tasks, and the means apart."""
        rows = list(self._compared())
        corrected: dict[int, float] = {}
        for measure in MEASURES:
            for mean in (False, True):
                family = [
                    i for i, r in enumerate(rows) if r.measure == measure and (r.task.manipulation == MEAN) == mean
                ]
                corrected |= dict(zip(family, holm([rows[i].videos.p for i in family]), strict=True))
        return [replace(row, corrected=corrected[i]) for i, row in enumerate(rows)]

    def _compared(self) -> Iterator[Comparison]:
        tasks = self._results.tasks()
        models = self._results.models()
        for compression in dict.fromkeys(task.compression for task in tasks):
            block = [task for task in tasks if task.compression == compression]
            groups: list[tuple[Task, Sequence[Task]]] = [(task, [task]) for task in block]
            if len(block) > 1:
                groups.append((Task(MEAN, compression), block))
            for shown, members in groups:
                for add, other in opponents(models):
                    for measure in MEASURES:
                        over = {unit: self._pair(add, other, members, measure, unit) for unit in UNITS}
                        if over["video"] is None or over["person"] is None:
                            continue
                        first, second = over["video"]
                        if measure == "above_target" and np.isnan(first[0]):
                            continue  # fakes without a known target
                        values = (float(first[0]), float(second[0]))
                        yield Comparison(
                            shown, add, other, measure, values, paired(first, second), paired(*over["person"])
                        )

    def _pair(
        self, add: Model, other: Model, tasks: Sequence[Task], measure: str, unit: str
    ) -> tuple[Floats, Floats] | None:
        sides = []
        for model in (add, other):
            values = [self._values(model, task, measure, unit) for task in tasks]
            known = [value for value in values if value is not None]
            if len(known) < len(tasks):
                return None  # a missing cell: shown as missing, never averaged over
            sides.append(np.mean(known, axis=0))
        return sides[0], sides[1]

    def _values(self, model: Model, task: Task, measure: str, unit: str, level: Level = "frame") -> Floats | None:
        scored = self._score(model, task, level)
        if scored is None:
            return None
        return MEASURES[measure](scored, self._drawn(task.compression, unit).at(scored.videos))

    def _score(self, model: Model, task: Task, level: Level) -> Scored | None:
        key = (model, task, level)
        if key not in self._scored:
            runs = [self._results.at(cell, task.compression) for cell in self._results.of(model, task)]
            runs = [by_video(run).assign(frame=0) for run in runs] if level == "video" else runs
            try:
                self._scored[key] = Scored.of(runs) if runs else None
            except ValueError as error:
                raise UserError(f"{model.label} on {task.label}: its seeds {error}; run evaluate again") from None
        return self._scored[key]

    def _drawn(self, compression: str, unit: str) -> Draws:
        """Draws of all videos of all tasks: a real video serves several tasks and must be drawn alike in each."""
        if (compression, unit) not in self._draws:
            videos = pd.concat([self._results.at(cell, compression) for cell in self._results.summaries])
            how = (FINER * self._evaluation.bootstrap, self._evaluation.seed)
            self._draws[compression, unit] = Draws.of(videos, unit, *how)
        return self._draws[compression, unit]


def opponents(models: Sequence[Model]) -> list[tuple[Model, Model]]:
    """ADD on each backbone against the methods on it; detectors with a network of their own meet the first ADD."""
    students = [model for model in models if model.method == ADD]
    others = [model for model in models if model.method != ADD and model.method not in ABLATIONS]
    backbones = {model.backbone for model in students}
    pairs = [(add, other) for add in students for other in others if other.backbone == add.backbone]
    return pairs + [(students[0], other) for other in others if students and other.backbone not in backbones]
