"""What the stress stage left, as curves: AUC at each point of a degradation, and where detection fails on the way."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluation.draws import UNITS
from pipeline.evaluation.statistics import DRAWS, FEW_PEOPLE, SUMMARY, Floats
from pipeline.params.cells import ADD, RAW, TEACHER, Cell
from pipeline.params.degradations import CODECS
from pipeline.params.schema import Params
from pipeline.reporting.failing import Failing, fails_from
from pipeline.work.errors import UserError
from pipeline.work.files import read_parquet

H264 = re.compile(r"h264-(\d+)")
KEYS = ["manipulation", "method", "backbone", "compression"]


@dataclass(frozen=True, order=True)
class Line:
    """A trained model over its seeds: one line of the figures. compression: what it was trained on."""

    method: str
    backbone: str
    compression: str


@dataclass(frozen=True)
class Stressed:
    """What the stress stage left of all methods.

    points: a record for each line, manipulation and point. aucs: (records, 1 + resamples), in the same order; the first
    column is the sample itself. encodings: bits a pixel by set and degradation. left_out: videos that are missing, by
    cause. lacking: frames that not every point has. thresholds: as evaluation.thresholds.carried gives them.
    """

    points: pd.DataFrame
    aucs: Floats
    encodings: pd.DataFrame
    left_out: pd.DataFrame
    lacking: pd.DataFrame
    thresholds: pd.DataFrame
    folders: dict[str, Path]  # of each method: a table of scores a cell
    unit: str  # what the intervals draw: person where few people were tested, else video
    fails_below: float
    crf: dict[str, int]
    pools: dict[str, tuple[str, ...]]  # of tasks of several manipulations: these

    @cached_property
    def lines(self) -> list[Line]:
        """Teachers first, ADD last."""
        found = {Line(*row) for row in self.points[KEYS[1:]].itertuples(index=False)}
        return sorted(
            found, key=lambda one: (one.method != TEACHER, one.method == ADD, one.method != one.backbone, one)
        )

    @property
    def over(self) -> str:
        """What the intervals are over, in words."""
        return "people" if self.unit == "person" else "videos"

    def label(self, line: Line) -> str:
        """The method as other tables name it, with its backbone only where it runs on several."""
        several = len({one.backbone for one in self.lines if one.method == line.method}) > 1
        name = f"{line.method} ({line.backbone})" if several and line.method != line.backbone else line.method
        return f"{name}, trained on {line.compression}"

    @cached_property
    def tasks(self) -> list[str]:
        """The tasks of the points: single manipulations, then pooled tasks."""
        return list(dict.fromkeys(self.points["manipulation"]))

    @property
    def manipulations(self) -> list[str]:
        """The tasks without the pooled ones, which would count their fakes twice in a mean over manipulations."""
        return [name for name in self.tasks if name not in self.pools]

    @cached_property
    def rate_factors(self) -> dict[str, int]:
        """The points of the H.264 curve and their rate factors, ascending; raw is lossless: 0."""
        encoded = {name: int(match[1]) for name in self.points["point"] if (match := H264.fullmatch(name))}
        # Where the same factor was encoded for this curve, a data set's own version is no second point.
        given = {name: crf for name, crf in self.crf.items() if crf not in encoded.values()}
        known = {RAW: 0} | {name: crf for name, crf in given.items() if name in set(self.points["point"])} | encoded
        return dict(sorted(known.items(), key=lambda pair: pair[1]))

    def row(self, line: Line, manipulation: str, point: str) -> int | None:
        """The place of a record in points and aucs."""
        wanted = (manipulation, line.method, line.backbone, line.compression, point)
        return self._places.get(wanted)

    def value(self, line: Line, manipulation: str, point: str, measure: str) -> tuple[float, float, float] | None:
        """A measure (auc, tpr_at_5) and the ends of its interval; None where it was not measured."""
        place = self.row(line, manipulation, point)
        if place is None:
            return None
        record = self.points.iloc[place]
        ends = (record[f"{measure}_{self.unit}_{end}"] for end in ("low", "high"))
        return (float(record[measure]), *(float(end) for end in ends))  # type: ignore[return-value]

    def bits(self, manipulation: str, degradation: str) -> float | None:
        """Bits a pixel of a task's videos, reals and fakes."""
        table = self.encodings
        sets = ["original", *self.pools.get(manipulation, (manipulation,))]
        mine = table[(table["degradation"] == degradation) & table["set"].isin(sets)]
        return float(mine["bits_per_pixel"].mean()) if len(mine) == len(sets) else None

    def scores(self, cell: Cell, point: str) -> pd.DataFrame:
        """The test frames of a cell at one point: set, video, person, fold, label, score."""
        columns = ["set", "video", "person", "fold", "label", point]
        table = read_parquet(self.folders[cell.family] / f"{cell.name}.parquet", columns)
        return table[columns].rename(columns={point: "score"})

    def fails(self, line: Line, manipulations: Sequence[str]) -> Failing | None:
        """Where the line's AUC, a mean over manipulations, falls below the level.

        By the points that it was measured at on each of the manipulations; None where these are fewer than two.
        """
        places = {point: [self.row(line, name, point) for name in manipulations] for point in self.rate_factors}
        measured = {point: [row for row in rows if row is not None] for point, rows in places.items()}
        measured = {point: rows for point, rows in measured.items() if len(rows) == len(manipulations)}
        if len(measured) < 2:
            return None
        curves = np.mean([self.aucs[list(rows)] for rows in zip(*measured.values(), strict=True)], axis=0)
        factors = np.array([self.rate_factors[point] for point in measured], float)
        return Failing(fails_from(factors, curves, self.fails_below), float(factors[0]), float(factors[-1]))

    @cached_property
    def _places(self) -> dict[tuple[str, ...], int]:
        keys = self.points[[*KEYS, "point"]].itertuples(index=False, name=None)
        return {tuple(map(str, key)): place for place, key in enumerate(keys)}


def read(cells: Path, params: Params) -> Stressed | None:
    """What the stages of params.stress left; None where there is none of it. Raises: UserError for a damaged file."""
    folders = [folder for name in params.stress.methods if (folder := cells / f"stress-{name}").is_dir()]
    if not folders:
        return None
    summaries, draws = [], []
    for folder in folders:
        try:
            summaries.append(json.loads((folder / SUMMARY).read_text()))
            with np.load(folder / DRAWS) as arrays:
                draws.append(arrays["auc"])
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{folder}: cannot be read ({error}); run `dvc repro`") from None
    points = pd.DataFrame([record for summary in summaries for record in summary["points"]])
    unit = "person" if points["people"].max() < FEW_PEOPLE else "video"
    return Stressed(
        points,
        np.concatenate(draws)[:, UNITS.index(unit)].astype(np.float64),
        _once(summaries, "encodings", ["set", "degradation", "bits_per_pixel"]),
        _once(summaries, "left_out", ["set", "degradation", "cause", "videos"]),
        _once(summaries, "lacking", ["manipulation", "point", "lacking", "of", "compared"]),
        pd.DataFrame([record for summary in summaries for record in summary["thresholds"]]),
        {str(summary["method"]): folder for summary, folder in zip(summaries, folders, strict=True)},
        unit,
        params.report.fails_below,
        params.crf,
        {task: params.pool(task) for task in params.pooled.tasks},
    )


def _once(summaries: Sequence[dict[str, Any]], name: str, columns: list[str]) -> pd.DataFrame:
    """The summaries' records of the degraded crops, each once: they are the same for every method."""
    records = [record for summary in summaries for record in summary[name]]
    return pd.DataFrame(records, columns=columns).drop_duplicates(ignore_index=True)


def kind(point: str) -> str:
    """The kind of a point that is one step, such as h264; empty for chains and what was not degraded for the curve."""
    name, dash, _ = point.partition("-")
    return name if dash else ""


def is_codec(point: str) -> bool:
    return kind(point) in CODECS
