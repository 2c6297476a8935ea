"""Crops out of shards as batches of tensors, for training and for evaluation.

What an epoch holds is drawn from (seed, epoch) before anything is read: the order, the windows, the flips. So batches
do not depend on where the crops lie, an interrupted epoch goes on where it stopped, and each epoch mixes all frames,
where a shuffle buffer over shards would mix neighbours.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pipeline.crops.shards import read_index
from pipeline.loading.batches import Batch, Batches, Draw, spend_a_draw
from pipeline.loading.crops import Crops
from pipeline.loading.mixing import mix
from pipeline.loading.pairing import Pairs
from pipeline.work.errors import UserError


class TrainingLoader:
    """Batches of as many reals as fakes: frames of the rarer class come more often. A last partial batch is dropped.

    With fakes of several manipulations, every batch holds each equally often, to within one frame.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        buckets: Iterable[str],
        qualities: Sequence[str],
        image_size: int,
        batch_size: int,
        flip: float,
        seed: int,
        place: str = "auto",
        device: torch.device | None = None,
        mixed: bool = False,
        paired: bool = False,
    ) -> None:
        """mixed: one image a frame, at a quality drawn for it, under the name `all`. paired: pairing.py."""
        self.crops = Crops(read_index(folders, buckets), qualities, image_size)
        self.batches = Batches(self.crops, device or torch.device("cpu"), place)
        self.flip, self.seed = flip, seed
        labels = self.crops.table["label"].to_numpy()
        self.classes = [np.flatnonzero(labels == label) for label in (0, 1)]
        if not all(len(rows) for rows in self.classes):
            lacking = "reals" if not len(self.classes[0]) else "fakes"
            raise UserError(
                f"{', '.join(map(str, folders))}: no {lacking} among the training people; see rejected.parquet"
            )
        sets = self.crops.table["set"].to_numpy()[self.classes[1]]
        self.manipulations = [self.classes[1][sets == name] for name in sorted(set(sets))]
        self.total = 2 * max(len(rows) for rows in self.classes)
        self.batch_size = min(batch_size, self.total)
        self.mixed = mixed
        self.pairs = Pairs(self.crops.table) if paired else None
        self.batch_size -= self.batch_size % 2 if paired else 0

    def __len__(self) -> int:
        """Batches an epoch."""
        return self.total // self.batch_size

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, from batch `skip` on."""
        if not skip:
            spend_a_draw()
        batches = self.batches(self.draws(number)[skip:])
        return mix(batches, self.seed, number, skip) if self.mixed else batches

    def draws(self, number: int) -> list[Draw]:
        """What the epoch's batches hold: random order, window and flip, from (seed, number) alone."""
        random = np.random.default_rng((self.seed, number))
        if self.pairs:
            rows = self.pairs.beside(random.permutation(_repeat(self.pairs.fakes, self.total // 2, random)))
        elif len(self.manipulations) > 1:
            rows = _dealt(self.classes[0], self.manipulations, self.total // 2, self.batch_size, random)
        else:
            rows = np.concatenate([_repeat(rows, self.total // 2, random) for rows in self.classes])
            rows = random.permutation(rows)
        tops, lefts = random.integers(0, self.crops.stored - self.crops.image_size + 1, (2, len(rows)))
        flips = random.random(len(rows)) < self.flip
        if self.pairs:
            tops, lefts, flips = (np.repeat(drawn[::2], 2) for drawn in (tops, lefts, flips))
        return _split(rows, tops, lefts, flips, self.batch_size)[: len(self)]


class EvaluationLoader:
    """Every frame once, in the order of the index, its central window, no flip. Can be gone through again."""

    def __init__(self, crops: Crops, batches: Batches, batch_size: int, kept: NDArray[np.bool_] | None = None) -> None:
        """kept: which rows of a longer index the crops are: each keeps the batch that it would have among all."""
        self.crops, self.batches = crops, batches
        rows = np.arange(len(crops))
        middle = np.full(len(crops), (crops.stored - crops.image_size) // 2)
        places = rows if kept is None else np.flatnonzero(kept)
        batch = places // batch_size
        starts = np.flatnonzero(np.diff(batch)) + 1
        columns = (rows, middle, middle, np.zeros(len(crops), bool))
        self.draws = [Draw(*values) for values in zip(*(np.split(one, starts) for one in columns), strict=True)]

    def __len__(self) -> int:
        """Batches in all."""
        return len(self.draws)

    def __iter__(self) -> Iterator[Batch]:
        spend_a_draw()
        return self.batches(self.draws)


def evaluation_loader(
    index: pd.DataFrame,
    *,
    qualities: Sequence[str],
    image_size: int,
    batch_size: int,
    place: str = "auto",
    device: torch.device | None = None,
    kept: NDArray[np.bool_] | None = None,
) -> EvaluationLoader:
    """Every frame of an index (`read_index`) once. place: as params loader has it.

    kept: which of its rows (N,) alone, so that no others are decoded; each has the company that it has without.
    """
    crops = Crops(index if kept is None else index[kept].reset_index(drop=True), qualities, image_size)
    return EvaluationLoader(crops, Batches(crops, device or torch.device("cpu"), place), batch_size, kept)


def _repeat(rows: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """`count` of the rows, each as often as any other or once more."""
    whole, rest = divmod(count, len(rows))
    return np.concatenate([np.tile(rows, whole), random.permutation(rows)[:rest]])


def _dealt(
    reals: NDArray[np.int64], fakes: Sequence[NDArray[np.int64]], half: int, size: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """2 * half rows: real and fake in turn, each manipulation in turn; every batch of `size` is shuffled."""
    each = -(-half // len(fakes))
    turns = np.stack([random.permutation(_repeat(rows, each, random)) for rows in fakes])  # (manipulations, each)
    halves = random.permutation(_repeat(reals, half, random)), turns.T.ravel()[:half]
    rows = np.stack(halves, axis=1).ravel()
    return np.concatenate([random.permutation(rows[start : start + size]) for start in range(0, len(rows), size)])


def _split(rows: Any, tops: Any, lefts: Any, flips: Any, size: int) -> list[Draw]:
    starts = range(0, len(rows), size)
    return [Draw(*(values[start : start + size] for values in (rows, tops, lefts, flips))) for start in starts]
