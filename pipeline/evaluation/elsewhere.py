"""Trained models on another data set, whose crops were made in another clone of this repository (docs/data.md).

Every trained model scores every frame there, at each quality that it is tested on. Nothing is chosen by these scores.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from pipeline.crops.shards import INDEX, read_crops, read_index, read_sample
from pipeline.detectors.card import load
from pipeline.detectors.device import device
from pipeline.detectors.scoring import score
from pipeline.evaluation import metrics
from pipeline.evaluation.draws import Draws
from pipeline.evaluation.frames import frames_of
from pipeline.evaluation.statistics import Floats, Scored, interval
from pipeline.evaluation.summary import KINDS, finite
from pipeline.loading.crops import META
from pipeline.params.cells import RAW, Cell, expected, pooled, tested_on
from pipeline.params.schema import Params
from pipeline.work.errors import UserError
from pipeline.work.files import whole
from pipeline.work.progress import progress

ALL = "all"  # in place of a manipulation: the fakes of every one, against the originals
INTERVALS = {"auc": Scored.auc, "acc": Scored.acc}


def evaluate_elsewhere(name: str, shards: Path, own: Path, models: Path, out: Path, params: Params) -> dict[str, Any]:
    """Score all frames of another data set with each model that the params name; write out.json and out.parquet.

    shards: its folder of folders of shards; own: the shards of this run's real videos, whose people may not be there;
    models: the folder of the trained models. The parquet has a row a frame, and for each model and quality a column
    `<cell>.fold<k>.<quality>` of probabilities of fake. The json, which is given back, has a record for each cell but
    for its seeds, quality and manipulation there: measures, means over folds and seeds, and their intervals, over
    videos and over people.
    Raises: UserError where the data lack fakes, a quality or the crops' size, or share people with `own`.
    """
    folders = _sets(shards)
    index = read_index(folders)
    cells = [*expected(params), *pooled(params)]
    runs = [(quality, cell) for quality in (RAW, *params.compressions) for cell in cells]
    runs = [(q, cell) for q, cell in runs if q in tested_on(cell.compression, params.compressions)]
    _check(shards, index, own, list(dict.fromkeys(quality for quality, _ in runs)), params.crop.size)
    frames = _scores(runs, index, models, params)
    columns: dict[tuple[str, Cell], list[str]] = {}
    for quality, cell in runs:
        columns.setdefault((quality, cell.seedless), []).extend(_columns(cell, quality, params.folds))
    videos = index.drop_duplicates(["set", "video"])
    manipulations = sorted(set(index["set"]) - {"original"})
    summary = {
        "name": name,
        "manipulations": manipulations,
        "models": len(cells) * len(params.folds),
        "counts": {
            "people": int(index["person"].nunique()),
            "reals": int((videos["label"] == 0).sum()),
            "fakes": int((videos["label"] == 1).sum()),
            "frames": len(index),
        },
        "results": list(_results(frames, columns, manipulations, params)),
    }
    with whole(out.with_name(f"{out.name}.parquet")) as part:
        frames.to_parquet(part, index=False)
    with whole(out.with_name(f"{out.name}.json")) as part:
        part.write_text(json.dumps(finite(summary), indent=1, allow_nan=False) + "\n")
    return summary


def _sets(shards: Path) -> list[Path]:
    """The folders of the sets, `original` and at least one manipulation."""
    folders = sorted(path.parent for path in shards.glob(f"*/{INDEX}"))
    if shards / "original" not in folders or len(folders) == 1:
        found = ", ".join(folder.name for folder in folders) or "nothing"
        raise UserError(
            f"{shards}: needs shards of `original` and of a manipulation, has {found}; run `dvc repro crop` there"
        )
    return folders


def _check(shards: Path, index: pd.DataFrame, own: Path, qualities: Sequence[str], size: int) -> None:
    """Raises: UserError where people are shared, or qualities or the crops' size (px) are not those of this run."""
    if common := sorted(set(index["person"]) & set(read_index([own])["person"])):
        raise UserError(
            f"{shards}: {len(common)} of its people are this run's as well ({', '.join(common[:3])}): the models may "
            "have seen them; where they only share a name, rename them there (folder.people)"
        )
    for _, row in index.drop_duplicates("set").iterrows():
        files = read_sample(row["path"], row["offset"], row["bytes"])
        if lacking := [quality for quality in qualities if f"{quality}.png" not in files]:
            raise UserError(
                f"{shards / str(row['set'])}: has no {lacking[0]} crops, which models of this run are tested on; add "
                f"{lacking[0]} to `compressions` in the params.yaml there, and run `dvc repro crop` there"
            )
        if len(read_crops(row, [RAW])[RAW]) != size:
            raise UserError(
                f"{shards / str(row['set'])}: its crops are not {size} px wide as those of this run, so faces would "
                f"be of another size; set crop.size to {size} in the params.yaml there, and run `dvc repro crop` there"
            )


def _columns(cell: Cell, quality: str, folds: Iterable[int]) -> list[str]:
    return [f"{cell.name}.fold{fold}.{quality}" for fold in folds]


def _scores(runs: Sequence[tuple[str, Cell]], index: pd.DataFrame, models: Path, params: Params) -> pd.DataFrame:
    """A row a frame, META, and a column a model and quality. runs: by quality, whose crops are decoded once."""
    table = pd.DataFrame()
    columns: dict[str, Any] = {}
    passes = [(quality, cell, fold) for quality, cell in runs for fold in params.folds]
    held: tuple[str, int] | None = None
    for quality, cell, fold in progress(passes, len(passes), "test elsewhere", "model"):
        detector, card = load(models / cell.folder / f"fold{fold}")
        if held != (quality, card.image_size):
            held = (quality, card.image_size)
            batches = frames_of(index, quality, card, params.evaluation, params.loader)
        # Batch by batch: the embeddings of all frames, of no use here, would take gigabytes.
        table = pd.concat([score(detector, [batch], quality, device()).frames for batch in batches], ignore_index=True)
        columns |= dict.fromkeys(_columns(cell, quality, [fold]), table["score"].to_numpy())
    return pd.concat([table[META], pd.DataFrame(columns)], axis=1)


def _results(
    frames: pd.DataFrame,
    columns: dict[tuple[str, Cell], list[str]],
    manipulations: Sequence[str],
    params: Params,
) -> Iterable[dict[str, Any]]:
    groups = {ALL: manipulations} if len(manipulations) > 1 else {}
    for tested, sets in {**groups, **{name: [name] for name in manipulations}}.items():
        part = frames[frames["set"].isin(["original", *sets])].reset_index(drop=True)
        how = (params.evaluation.bootstrap, params.evaluation.seed)
        draws = {kind: Draws.of(part, unit, *how).counts for kind, unit in KINDS.items()}
        for (quality, cell), names in columns.items():
            runs = [part[META].assign(score=part[name]) for name in names]
            levels = {"frame": runs, "video": [metrics.by_video(run).assign(frame=0) for run in runs]}
            scored = {level: Scored.of(tables) for level, tables in levels.items()}
            yield {
                "method": cell.method,
                "backbone": cell.backbone,
                "manipulation": cell.manipulation,
                "compression": cell.compression,
                "quality": quality,
                "tested_on": tested,
                "models": len(names),
                **{level: _means(tables) for level, tables in levels.items()},
                **{
                    kind: {level: _intervals(one, drawn) for level, one in scored.items()}
                    for kind, drawn in draws.items()
                },
            }


def _means(tables: Sequence[pd.DataFrame]) -> dict[str, float]:
    measured = [metrics.measure(table) for table in tables]
    return {name: fmean(one[name] for one in measured) for name in measured[0]}


def _intervals(scored: Scored, draws: Floats) -> dict[str, tuple[float, float]]:
    """95 % intervals of the means over models, by the same draws for every model."""
    return {name: interval(function(scored, draws)[1:]) for name, function in INTERVALS.items()}
