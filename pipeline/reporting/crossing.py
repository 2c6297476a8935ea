"""AUC of models trained on one manipulation and tested on another, from what evaluate and cross left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.evaluation.draws import Draws
from pipeline.evaluation.statistics import FEW_PEOPLE, Scored, interval
from pipeline.params.schema import Params
from pipeline.reporting.results import Model, Results
from pipeline.work.files import read_parquet

ALL = "all fakes"
KEYS = ["set", "video", "person", "frame", "label", "score"]


@dataclass(frozen=True)
class Crossed:
    """One cell of a matrix: AUC per frame, mean over seeds, with its 95 % interval over `unit`."""

    model: Model
    compression: str
    trained_on: str
    tested_on: str
    auc: float
    low: float
    high: float
    unit: str
    own: bool  # whether all of these fakes were trained on


def read(cells: Path, found: Sequence[Results], params: Params) -> list[Crossed]:
    """Every model of params.cross, trained on each task and tested on each manipulation and on all of them together.

    found: the results of single manipulations and of pooled tasks. Empty where there is one manipulation, or where the
    stage was not run. Raises: UserError for a damaged file.
    """
    tables = _tables(cells, params)
    if not tables:
        return []
    rows = []
    for (model, trained_on, _, quality), runs in _runs(tables, found).items():
        known = set(params.fakes_of(trained_on))
        for tested_on in (*params.manipulations, ALL):
            fakes = set(params.manipulations) if tested_on == ALL else {tested_on}
            tested = [run[run["set"].isin({"original"} | fakes)] for run in runs]
            if all(fakes <= set(run["set"]) for run in tested):
                rows.append(_crossed(model, quality, trained_on, tested_on, tested, fakes <= known, params))
    return rows


def _tables(cells: Path, params: Params) -> dict[str, pd.DataFrame]:
    """What the cross stage left of each method, as far as it was run."""
    methods = params.cross.methods if len(params.manipulations) > 1 else ()
    paths = {method: cells / f"cross-{method}.parquet" for method in methods}
    return {method: read_parquet(path, ["cell", "quality", *KEYS]) for method, path in paths.items() if path.exists()}


def _runs(
    tables: Mapping[str, pd.DataFrame], found: Sequence[Results]
) -> dict[tuple[Model, str, str, str], list[pd.DataFrame]]:
    """The scores on all sets, a table a seed, by model, task and quality of training, and quality of testing."""
    crossed = pd.concat(tables.values(), ignore_index=True).groupby(["cell", "quality"])
    scores = {(str(name), str(quality)): part for (name, quality), part in crossed}
    groups: dict[tuple[Model, str, str, str], list[pd.DataFrame]] = {}
    for results in found:
        for cell, summary in results.summaries.items():
            for quality in sorted(summary["results"]) if cell.family in tables else ():
                parts = [results.at(cell, quality)[KEYS]]
                parts += [scores[cell.name, quality][KEYS]] if (cell.name, quality) in scores else []
                key = (Model(cell.method, cell.backbone), cell.manipulation, cell.compression, quality)
                groups.setdefault(key, []).append(pd.concat(parts))
    return groups


def _crossed(
    model: Model,
    quality: str,
    trained_on: str,
    tested_on: str,
    runs: Sequence[pd.DataFrame],
    own: bool,
    params: Params,
) -> Crossed:
    scored = Scored.of(runs)
    few = scored.videos["person"].nunique() < FEW_PEOPLE
    how = (params.evaluation.bootstrap, params.evaluation.seed)
    aucs = scored.auc(Draws.of(scored.videos, "person" if few else "video", *how).counts)
    unit = "people" if few else "videos"
    return Crossed(model, quality, trained_on, tested_on, float(aucs[0]), *interval(aucs[1:]), unit, own)
