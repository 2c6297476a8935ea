"""Trained models on degraded crops of the people that they are tested on: how detection dies as compression grows.

Nothing is trained or chosen by these scores. Every cell of a method scores the same frames raw, at each compression of
data/shards and under each degradation of data/stressed: these are the points of its curves.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.crops.shards import DEGRADED, ENCODING, INDEX, read_index
from pipeline.detectors.card import Card, load
from pipeline.detectors.device import device
from pipeline.detectors.scoring import score
from pipeline.evaluation import metrics
from pipeline.evaluation.evaluation import finite
from pipeline.evaluation.frames import frames_of
from pipeline.evaluation.statistics import DRAWS, SUMMARY, UNITS, Floats, Scored, draw, interval
from pipeline.evaluation.thresholds import carried
from pipeline.loading.batches import Draw
from pipeline.loading.loader import EvaluationLoader
from pipeline.params.cells import RAW, Cell, expected, pooled
from pipeline.params.schema import Params
from pipeline.videos.sampling import thin
from pipeline.work.errors import UserError
from pipeline.work.files import whole_folder
from pipeline.work.progress import progress

KEYS = ["set", "video", "frame"]
FRAMES = ["fold", "set", "video", "person", "bucket", "target", "frame", "label"]
Place = tuple[Path, str]  # a folder of folders of shards, and the name of the crops in them


def stress(method: str, models: Path, shards: Path, stressed: Path, out: Path, params: Params) -> dict[str, Any]:
    """Score every cell of a method at every point and write the folder `out`; give back its summary.

    models, shards: the folders that training and crop left; stressed: <set>/<degradation> of degrade.
    <cell>.parquet has a row a frame and a column of probabilities of fake a point. summary.json has a record for each
    cell (but for its seeds) and point, with measures per frame and their intervals; draws.npz has, in the same order,
    the resampled AUCs (records, units, 1 + resamples): the same draws for every method, so that methods can be paired.
    """
    cells = [cell for cell in (*expected(params), *pooled(params)) if cell.family == method]
    made, wanted = _made(stressed, params), _frames(stressed, params)
    draws = {unit: _draws(wanted, unit, params) for unit in UNITS}
    points: list[dict[str, Any]] = []
    thresholds: list[dict[str, Any]] = []
    resampled: list[list[Floats]] = []
    with whole_folder(out) as part:
        groups: dict[Cell, list[pd.DataFrame]] = {}
        for cell in progress(cells, len(cells), f"stress {method}", "model"):
            tested, validation = _scores(cell, models, shards, stressed, wanted, params)
            tested.to_parquet(part / f"{cell.name}.parquet", index=False)
            seedless = Cell(cell.method, cell.backbone, cell.manipulation, cell.compression, 0)
            groups.setdefault(seedless, []).append(tested)
            thresholds += [_named(cell) | {"seed": cell.seed} | row for row in _carried(tested, validation, params)]
        for cell, runs in groups.items():
            for point in [name for name in runs[0].columns if name not in FRAMES]:
                record, aucs = _measured([_at(run, point) for run in runs], draws)
                points.append(_named(cell) | {"point": point, "models": len(runs) * len(params.folds)} | record)
                resampled.append(aucs)
        summary = {"method": method, "points": points, "thresholds": thresholds, **made}
        np.savez_compressed(part / DRAWS, auc=np.array(resampled, np.float32))
        (part / SUMMARY).write_text(json.dumps(finite(summary), indent=1) + "\n")
    return summary


def _named(cell: Cell) -> dict[str, Any]:
    names = ("method", "backbone", "manipulation", "compression")
    return {name: getattr(cell, name) for name in names}


def _frames(stressed: Path, params: Params) -> pd.DataFrame:
    """The frames that were degraded, each once: KEYS and person. Raises: UserError where there are none."""
    indexes = [
        pd.read_parquet(path)[[*KEYS, "person"]]
        for name in params.sets
        for degradation in params.stress.degradations
        if (path := stressed / name / degradation / INDEX).exists()
    ]
    if not indexes:
        raise UserError(f"{stressed}: no degraded crops; see rejected.parquet in its folders, or run `dvc repro`")
    return pd.concat(indexes).drop_duplicates(KEYS).sort_values(KEYS, ignore_index=True)


def _draws(frames: pd.DataFrame, unit: str, params: Params) -> pd.DataFrame:
    """Draws of all videos of all sets, a column each: a real video serves several tasks and is drawn alike in each."""
    videos = frames[["set", "video", "person"]].drop_duplicates(["set", "video"]).sort_values(["set", "video"])
    resamples, seed = params.evaluation.bootstrap, params.evaluation.seed
    if unit == "person":
        drawn = draw(None, videos["person"], resamples, seed)
    else:
        drawn = draw(videos["set"], videos["set"] + "/" + videos["video"], resamples, seed)
    return pd.DataFrame(drawn, columns=pd.MultiIndex.from_frame(videos[["set", "video"]]))


def _scores(
    cell: Cell, models: Path, shards: Path, stressed: Path, wanted: pd.DataFrame, params: Params
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test and validation frames of all folds, a column a point; validation people only at what data/shards has."""
    sets = ("original", *(params.pool(cell.manipulation) or (cell.manipulation,)))
    qualities = {name: [(shards / one, name) for one in sets] for name in (RAW, *params.compressions)}
    degraded = {
        name: [(stressed / one / name, DEGRADED) for one in sets if (stressed / one / name / INDEX).exists()]
        for name in params.stress.degradations
    }
    points = qualities | {name: places for name, places in degraded.items() if len(places) == len(sets)}
    tested, validation = [], []
    for fold in params.folds:
        detector, card = load(models / cell.folder / f"fold{fold}")
        tested.append(_wide(detector, card, "test", points, wanted, params).assign(fold=fold))
        if card.buckets["val"]:
            index = thin(read_index([shards / one for one in sets], card.buckets["val"]), params.stress.frames)
            validation.append(_wide(detector, card, "val", qualities, index, params).assign(fold=fold))
    table = pd.concat(tested, ignore_index=True)
    table = table[[*FRAMES, *(name for name in table if name not in FRAMES)]]
    return table, pd.concat(validation, ignore_index=True) if validation else table.iloc[:0]


def _wide(
    detector: Any, card: Card, role: str, points: Mapping[str, Sequence[Place]], wanted: pd.DataFrame, params: Params
) -> pd.DataFrame:
    """A row for each of the wanted frames of the role's people; NaN at a point that lacks the frame."""
    keys = set(wanted[KEYS].itertuples(index=False, name=None))
    table: pd.DataFrame | None = None
    for point, places in points.items():
        folders, quality = [folder for folder, _ in places], places[0][1]
        loader = frames_of(folders, card.buckets[role], quality, card, params.evaluation, params.loader)
        frames = score(detector, _only(loader, keys), quality, device()).frames.rename(columns={"score": point})
        kept = [name for name in FRAMES if name in frames]
        table = frames[[*kept, point]] if table is None else table.merge(frames[[*KEYS, point]], "left", KEYS)
    assert table is not None
    return table


def _only(loader: EvaluationLoader, keys: set[tuple[Any, ...]]) -> EvaluationLoader:
    """The loader, which goes through these frames alone."""
    table = loader.crops.table
    kept = np.array([key in keys for key in table[KEYS].itertuples(index=False, name=None)], bool)
    draws = [Draw(*(values[kept[one.rows]] for values in astuple(one))) for one in loader.draws]
    loader.draws = [one for one in draws if len(one.rows)]
    return loader


def _at(table: pd.DataFrame, point: str) -> pd.DataFrame:
    return table[FRAMES].assign(score=table[point]).dropna(subset=["score"])


def _carried(tested: pd.DataFrame, validation: pd.DataFrame, params: Params) -> list[dict[str, Any]]:
    qualities = (RAW, *params.compressions)
    return carried(*({name: _at(table, name) for name in qualities} for table in (tested, validation)))


def _measured(runs: Sequence[pd.DataFrame], draws: Mapping[str, pd.DataFrame]) -> tuple[dict[str, Any], list[Floats]]:
    """Means over seeds at one point with intervals over videos and over people, and the AUCs under all draws."""
    scored = Scored.of(runs)
    videos = pd.MultiIndex.from_frame(scored.videos[["set", "video"]])
    weights = {unit: drawn[videos].to_numpy() for unit, drawn in draws.items()}
    aucs = [scored.auc(weights[unit]) for unit in UNITS]
    tprs = [_recall(runs, draws[unit]) for unit in UNITS]
    record: dict[str, Any] = {"frames": len(runs[0]), "videos": len(videos), "people": runs[0]["person"].nunique()}
    for name, found in {"auc": aucs, "tpr_at_5": tprs}.items():
        record[name] = _known(found[0][0])
        for unit, values in zip(UNITS, found, strict=True):
            record |= dict(zip((f"{name}_{unit}_low", f"{name}_{unit}_high"), map(_known, interval(values[1:])),
                               strict=True))  # fmt: skip
    return record, aucs


def _recall(runs: Sequence[pd.DataFrame], draws: pd.DataFrame, block: int = 100) -> Floats:
    """TPR at 5 % false alarms under each draw, mean over seeds; in blocks, as weights of all frames may be large."""
    found = []
    for run in runs:
        weights = draws[pd.MultiIndex.from_frame(run[["set", "video"]])].to_numpy()
        labels, scores = run["label"].to_numpy(float), run["score"].to_numpy(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = [metrics.MEASURES["tpr_at_5"](labels, scores, part) for part in _blocks(weights, block)]
        found.append(np.concatenate(parts))
    return np.asarray(np.mean(found, axis=0))


def _blocks(values: Floats, size: int) -> Iterator[Floats]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None  # JSON has no nan


def _made(stressed: Path, params: Params) -> dict[str, list[dict[str, Any]]]:
    """What degrade left: bits a pixel of each set and degradation, and what is missing from it, and why."""
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
            causes = pd.read_parquet(folder / "rejected.parquet").query("stage == 'degrade'").groupby("cause").size()
            lost += [about | {"cause": str(cause), "videos": int(count)} for cause, count in causes.items()]
    return {"encodings": bits, "left_out": lost}
