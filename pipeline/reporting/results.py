"""Reading what evaluate left: the cells that the params name, and nothing else that lies in the folder."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

import pandas as pd

from pipeline.evaluation.calibration import TEST
from pipeline.evaluation.statistics import FEW_PEOPLE
from pipeline.params.cells import ABLATIONS, ADD, ALL_QUALITIES, TEACHER, Cell, expected
from pipeline.params.schema import Params
from pipeline.work.errors import UserError

Level = Literal["frame", "video"]


@dataclass(frozen=True, order=True)
class Model:
    """A method on a backbone: one row of the tables, over seeds."""

    method: str
    backbone: str

    @property
    def label(self) -> str:
        return self.method if self.is_baseline else f"{self.method} ({self.backbone})"

    @property
    def is_baseline(self) -> bool:
        """Whether it is a plain classifier, trained on compressed crops without a teacher."""
        return self.method == self.backbone


@dataclass(frozen=True, order=True)
class Task:
    """A manipulation at a compression: one block of the tables."""

    manipulation: str
    compression: str

    @property
    def label(self) -> str:
        return f"{self.manipulation} {self.compression}"


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over n seeds; the deviation is NaN for one seed."""

    mean: float
    deviation: float
    n: int


@dataclass(frozen=True)
class Results:
    """The cells of this run, in the order of the params; `summaries` and `scores` hold those that were found."""

    cells: list[Cell]
    summaries: dict[Cell, dict[str, Any]]
    scores: dict[Cell, pd.DataFrame]

    @property
    def missing(self) -> list[Cell]:
        return [cell for cell in self.cells if cell not in self.summaries]

    @cached_property
    def few_people(self) -> bool:
        """Whether so few people were tested that intervals over them come before those over videos."""
        tested = (table.loc[table["role"] == TEST, "person"] for table in self.scores.values())
        return len({person for people in tested for person in people.unique()}) < FEW_PEOPLE

    def models(self, ablations: bool = False) -> list[Model]:
        """Every method and backbone of the run but the teachers, ADD last of its backbone; ablations on demand."""
        ordered = sorted(self.cells, key=lambda cell: (cell.method in ABLATIONS, cell.method == ADD))
        found = dict.fromkeys(Model(c.method, c.backbone) for c in ordered if c.method != TEACHER)
        return [model for model in found if ablations or model.method not in ABLATIONS]

    def label(self, model: Model) -> str:
        """The model's short name: with its backbone only where the method runs on several."""
        several = len({cell.backbone for cell in self.cells if cell.method == model.method}) > 1
        return model.label if several else model.method

    def tasks(self) -> list[Task]:
        """Each manipulation and compression that models were trained for; a quality-agnostic one is tested on these.

        Where a run has no others, its tasks are all that it was tested on.
        """
        trained = [c for c in self.cells if c.method != TEACHER and c.compression != ALL_QUALITIES]
        agnostic = {c: found for c, found in self.summaries.items() if c.compression == ALL_QUALITIES}
        tested = [(c, quality) for c, found in agnostic.items() for quality in found["results"]]
        pairs = [(c, c.compression) for c in trained] or tested
        return list(dict.fromkeys(Task(cell.manipulation, quality) for cell, quality in pairs))

    def of(self, model: Model, task: Task) -> list[Cell]:
        """The found cells of a model and a task: one for each seed."""
        return [cell for cell in self.summaries if _is(cell, model, task)]

    def named(self, model: Model, task: Task) -> bool:
        """Whether the params name this cell at all, found or missing."""
        return any(_is(cell, model, task) for cell in self.cells)

    def at(self, cell: Cell, quality: str) -> pd.DataFrame:
        """The scores of a cell on test crops of one quality."""
        table = self.scored(cell, quality)
        return table[table["role"] == TEST]

    def scored(self, cell: Cell, quality: str) -> pd.DataFrame:
        """The same, and the scores of validation people (role `val`), whom no measure counts."""
        table = self.scores[cell]
        return table[table["quality"] == quality]

    def spread(self, model: Model, task: Task, level: Level, measure: str) -> Spread | None:
        """A measure over seeds; None where no seed has it."""
        found = (self.summaries[c]["results"].get(task.compression, {}) for c in self.of(model, task))
        return spread(result[level].get(measure) for result in found if level in result)

    def teacher(self, backbone: str, manipulation: str, quality: str, level: Level, measure: str) -> float | None:
        """The raw teacher of a task, tested on crops of the given quality."""
        for cell, summary in self.summaries.items():
            if (cell.method, cell.backbone, cell.manipulation) == (TEACHER, backbone, manipulation):
                value = summary["results"].get(quality, {}).get(level, {}).get(measure)
                return None if value is None else float(value)
        return None


def _is(cell: Cell, model: Model, task: Task) -> bool:
    """Whether a cell is of the model, and trained for the task."""
    same = (cell.method, cell.backbone, cell.manipulation) == (model.method, model.backbone, task.manipulation)
    return same and cell.compression in (task.compression, ALL_QUALITIES)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean and deviation of the values that exist."""
    known = [float(value) for value in values if value is not None and value == value]
    if not known:
        return None
    return Spread(fmean(known), stdev(known) if len(known) > 1 else float("nan"), len(known))


def mean_of(found: Spread | None) -> float | None:
    """The mean over seeds; None where no seed has the measure."""
    return None if found is None else found.mean


def read(folder: Path, params: Params, cells: list[Cell] | None = None) -> Results:
    """Read the cells that the params name, or those given. Other files in the folder are left alone.

    Raises UserError where a file is damaged, or where not one cell is there.
    """
    summaries: dict[Cell, dict[str, Any]] = {}
    scores: dict[Cell, pd.DataFrame] = {}
    cells = expected(params) if cells is None else cells
    for cell in cells:
        summary, table = folder / f"{cell.name}.json", folder / f"{cell.name}.parquet"
        if not (summary.exists() and table.exists()):
            continue
        try:
            summaries[cell] = json.loads(summary.read_text())
            scores[cell] = pd.read_parquet(table)
        except (ValueError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{summary.with_suffix('')}: cannot be read ({reason}); run evaluate again") from None
    if not summaries:
        raise UserError(f"{folder}: holds none of the {len(cells)} cells that params.yaml names; run `dvc repro`")
    return Results(cells, summaries, scores)
