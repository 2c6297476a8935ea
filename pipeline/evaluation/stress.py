"""Trained models on degraded crops of the people that they are tested on: how detection dies as compression grows.

Nothing is trained or chosen by these scores. Every cell of a method scores the same frames raw, at each compression of
data/shards and under each degradation of data/stressed: these are the points of its curves.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.crops.shards import ENCODING
from pipeline.evaluation import metrics
from pipeline.evaluation.degraded import Indexes, at, comparable, degraded_frames, points_of, scores
from pipeline.evaluation.draws import UNITS, Draws
from pipeline.evaluation.statistics import DRAWS, SUMMARY, Floats, Scored, interval
from pipeline.evaluation.summary import finite
from pipeline.evaluation.thresholds import carried
from pipeline.params.cells import RAW, Cell, expected, pooled
from pipeline.params.schema import Params
from pipeline.work.errors import UserError
from pipeline.work.files import read_parquet, whole_folder
from pipeline.work.progress import progress

BLOCK = 100  # draws at a time: the weights of all frames under all draws may be large


def stress(method: str, models: Path, shards: Path, stressed: Path, out: Path, params: Params) -> dict[str, Any]:
    """Score every cell of a method at every point and write the folder `out`; give back its summary.

    models, shards: the folders that training and crop left; stressed: <set>/<degradation> of degrade.
    <cell>.parquet has a row for each frame that every point has, and a column of probabilities of fake a point.
    summary.json has a record for each cell (but for its seeds) and point, with measures per frame and their intervals;
    draws.npz has, in the same order, the resampled AUCs (records, units, 1 + resamples): the same draws for every
    method, so that methods can be paired.
    """
    cells = [cell for cell in (*expected(params), *pooled(params)) if cell.family == method]
    made, wanted, indexes = _made(stressed, params), degraded_frames(stressed, params), Indexes()
    # All videos of all sets: a real video serves several tasks and is drawn alike in each.
    draws = {unit: Draws.of(wanted, unit, params.evaluation.bootstrap, params.evaluation.seed) for unit in UNITS}
    points: list[dict[str, Any]] = []
    thresholds: list[dict[str, Any]] = []
    lacking: list[dict[str, Any]] = []
    resampled: list[list[Floats]] = []
    with whole_folder(out) as part:
        groups: dict[Cell, list[pd.DataFrame]] = {}
        for cell in progress(cells, len(cells), f"stress {method}", "model"):
            tested, validation = scores(cell, models, shards, stressed, wanted, indexes, params)
            tested, missed = comparable(tested)
            tested.to_parquet(part / f"{cell.name}.parquet", index=False)
            groups.setdefault(cell.seedless, []).append(tested)
            thresholds += [_named(cell) | {"seed": cell.seed} | row for row in _carried(tested, validation, params)]
            lacking += [{"manipulation": cell.manipulation} | row for row in missed]
        for cell, runs in groups.items():
            for point in points_of(runs[0]):
                record, aucs = _measured([at(run, point) for run in runs], draws)
                points.append(_named(cell) | {"point": point, "models": len(runs) * len(params.folds)} | record)
                resampled.append(aucs)
        found = {"method": method, "points": points, "thresholds": thresholds, "lacking": lacking, **made}
        summary: dict[str, Any] = finite(found)
        np.savez_compressed(part / DRAWS, auc=np.array(resampled, np.float32))
        (part / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def _named(cell: Cell) -> dict[str, Any]:
    names = ("method", "backbone", "manipulation", "compression")
    return {name: getattr(cell, name) for name in names}


def _carried(tested: pd.DataFrame, validation: pd.DataFrame, params: Params) -> list[dict[str, Any]]:
    qualities = (RAW, *params.compressions)
    return carried(*({name: at(table, name) for name in qualities} for table in (tested, validation)))


def _measured(runs: Sequence[pd.DataFrame], draws: Mapping[str, Draws]) -> tuple[dict[str, Any], list[Floats]]:
    """Means over seeds at one point with intervals over videos and over people, and the AUCs under all draws."""
    scored = Scored.of(runs)
    found = {
        "auc": [scored.auc(draws[unit].at(scored.videos)) for unit in UNITS],
        "tpr_at_5": [_recall(runs, draws[unit]) for unit in UNITS],
    }
    people = runs[0]["person"].nunique()
    record: dict[str, Any] = {"frames": len(runs[0]), "videos": len(scored.videos), "people": people}
    for name, by_unit in found.items():
        record[name] = float(by_unit[0][0])
        for unit, values in zip(UNITS, by_unit, strict=True):
            low, high = interval(values[1:])
            record |= {f"{name}_{unit}_low": low, f"{name}_{unit}_high": high}
    return record, found["auc"]


def _recall(runs: Sequence[pd.DataFrame], draws: Draws) -> Floats:
    """TPR at 5 % false alarms under each draw, mean over seeds: (1 + R,)."""
    found = []
    for run in runs:
        weights = draws.at(run)
        labels, scores = run["label"].to_numpy(float), run["score"].to_numpy(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = [metrics.MEASURES["tpr_at_5"](labels, scores, part) for part in _blocks(weights, BLOCK)]
        found.append(np.concatenate(parts))
    return np.asarray(np.mean(found, axis=0))


def _blocks(values: Floats, size: int) -> Iterator[Floats]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _made(stressed: Path, params: Params) -> dict[str, list[dict[str, Any]]]:
    """What degrade left: bits a pixel of each set and degradation, and how many videos are missing, by cause."""
    bits, lost = [], []
    for name in params.sets:
        for degradation in params.stress.degradations:
            folder, about = stressed / name / degradation, {"set": name, "degradation": degradation}
            if not (folder / ENCODING).exists():
                raise UserError(f"{folder}: not made; run `dvc repro degrade`")
            table = pd.read_csv(folder / ENCODING).dropna(subset=["bytes"])
            if len(table):
                pixels = (table["frames"] * table["width"] * table["height"]).sum()
                bits.append(about | {"bits_per_pixel": float(8 * table["bytes"].sum() / pixels)})
            rejected = read_parquet(folder / "rejected.parquet", ("stage", "cause"))
            causes = rejected.query("stage == 'degrade'").groupby("cause").size()
            lost += [about | {"cause": str(cause), "videos": int(count)} for cause, count in causes.items()]
    return {"encodings": bits, "left_out": lost}
