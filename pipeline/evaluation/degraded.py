"""Scores of a cell's models on the same test frames at every point: raw, each compression, each degradation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.crops.shards import DEGRADED, INDEX, of_buckets, read_index
from pipeline.detectors.card import Card, load
from pipeline.detectors.device import device
from pipeline.detectors.scoring import score
from pipeline.evaluation.frames import frames_of
from pipeline.evaluation.statistics import MOST_LACKING
from pipeline.params.cells import RAW, Cell
from pipeline.params.schema import Params
from pipeline.videos.sampling import thin
from pipeline.work.errors import UserError

KEYS = ["set", "video", "frame"]
FRAMES = ["fold", "set", "video", "person", "bucket", "target", "frame", "label"]
Place = tuple[Path, str]  # a folder of folders of shards, and the name of the crops in them


class Indexes:
    """The indexes of shards, each read once: every model is tested at every point."""

    def __init__(self) -> None:
        self._read: dict[tuple[Path, ...], pd.DataFrame] = {}

    def of(self, folders: Sequence[Path]) -> pd.DataFrame:
        """What `read_index` gives of them."""
        key = tuple(folders)
        if key not in self._read:
            self._read[key] = read_index(folders)
        return self._read[key]


def degraded_frames(stressed: Path, params: Params) -> pd.DataFrame:
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


def scores(
    cell: Cell, models: Path, shards: Path, stressed: Path, wanted: pd.DataFrame, indexes: Indexes, params: Params
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test and validation frames of all folds, a column a point; validation people only at what data/shards has."""
    sets = ("original", *params.fakes_of(cell.manipulation))
    qualities = {name: [(shards / one, name) for one in sets] for name in (RAW, *params.compressions)}
    degraded = {
        name: [(stressed / one / name, DEGRADED) for one in sets if (stressed / one / name / INDEX).exists()]
        for name in params.stress.degradations
    }
    points = qualities | {name: places for name, places in degraded.items() if len(places) == len(sets)}
    tested, validation = [], []
    for fold in params.folds:
        detector, card = load(models / cell.folder / f"fold{fold}")
        tested.append(_wide(detector, card, "test", points, wanted, indexes, params).assign(fold=fold))
        if card.buckets["val"]:
            index = of_buckets(indexes.of([shards / one for one in sets]), card.buckets["val"])
            seen = thin(index, params.stress.frames)
            validation.append(_wide(detector, card, "val", qualities, seen, indexes, params).assign(fold=fold))
    table = pd.concat(tested, ignore_index=True)
    table = table[[*FRAMES, *(name for name in table if name not in FRAMES)]]
    return table, pd.concat(validation, ignore_index=True) if validation else table.iloc[:0]


def points_of(table: pd.DataFrame) -> list[str]:
    """The points that a table of scores has a column for."""
    return [str(name) for name in table if name not in FRAMES]


def at(table: pd.DataFrame, point: str) -> pd.DataFrame:
    """FRAMES and `score`, the probability of fake at this point."""
    return table[FRAMES].assign(score=table[point])


def comparable(table: pd.DataFrame) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The frames that every point has: else a difference between two points could be one of their frames.

    A video may fail under one degradation alone. A point that lacks more than MOST_LACKING of the frames is left out.
    Also returns a record for each point that lacks any: `lacking` frames `of` all, and how many are `compared`, which
    is 0 for a point that is left out.
    """
    lacking = table[points_of(table)].isna()
    left_out = [point for point in lacking if lacking[point].mean() > MOST_LACKING]
    kept = table.drop(columns=left_out)
    kept = kept.dropna(subset=points_of(kept)).reset_index(drop=True)
    records = [
        {"point": point, "lacking": int(count), "of": len(table), "compared": 0 if point in left_out else len(kept)}
        for point, count in lacking.sum().items()
        if count
    ]
    return kept, records


def _wide(
    detector: Any,
    card: Card,
    role: str,
    points: Mapping[str, Sequence[Place]],
    wanted: pd.DataFrame,
    indexes: Indexes,
    params: Params,
) -> pd.DataFrame:
    """A row for each wanted frame of the role's people, a column a point; NaN where a point lacks the frame."""
    keys = pd.MultiIndex.from_frame(wanted[KEYS])
    table: pd.DataFrame | None = None
    for point, places in points.items():
        index, quality = indexes.of([folder for folder, _ in places]), places[0][1]
        if table is not None and not set(card.buckets[role]) <= set(index["bucket"]):
            table[point] = np.nan  # not one video of these people could be degraded
            continue
        index = of_buckets(index, card.buckets[role])
        kept = np.asarray(pd.MultiIndex.from_frame(index[KEYS]).isin(keys))
        batches = frames_of(index, quality, card, params.evaluation, params.loader, kept)
        frames = score(detector, batches, quality, device()).frames.rename(columns={"score": point})
        about = [name for name in FRAMES if name in frames]
        table = frames[[*about, point]] if table is None else table.merge(frames[[*KEYS, point]], "left", KEYS)
    assert table is not None
    return table
