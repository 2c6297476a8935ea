"""Batches of drawn windows, cut, flipped and normalised as tensors on the training's device, wherever the crops lie."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from pipeline.loading.crops import Crops
from pipeline.loading.places import choose, hold

MEAN = STD = 0.5  # the released code's normalisation (spec section 6)
AHEAD = 2  # batches that are gathered while a GPU is at work


@dataclass
class Batch:
    """images: quality -> (B, 3, S, S) float32 in [-1, 1], channels last; labels: (B,) int64, 1 is fake; meta: META."""

    images: Mapping[str, Tensor]
    labels: Tensor
    meta: list[dict[str, Any]]


@dataclass(frozen=True)
class Draw:
    """One batch before it is read: rows of the index, corners of the windows in pixels, flips; each (B,)."""

    rows: NDArray[np.int64]
    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]
    flips: NDArray[np.bool_]


class Batches:
    """Crops as batches on a device. place: where they are kept (params loader.place); workers: read them from the disk.

    All places give the same batches to the last bit.
    """

    def __init__(self, crops: Crops, device: torch.device, place: str, workers: int) -> None:
        self.crops, self.device, self.place, self.workers = crops, device, place, workers
        self._held: dict[str, Tensor] | None = None

    def __call__(self, draws: Sequence[Draw]) -> Iterator[Batch]:
        """The drawn batches, in order."""
        if not draws:
            return
        self._hold()
        crops, sizes = self.crops, [len(draw.rows) for draw in draws]
        # One copy for all draws: a copy a batch would have the processor wait for the device.
        drawn = torch.from_numpy(np.concatenate([(d.rows, d.tops, d.lefts, d.flips) for d in draws], axis=1))
        labels = crops.labels[drawn[0]].to(self.device).split(sizes)
        parts = drawn.to(self.device).split(sizes, dim=1)
        for draw, part, classes, pixels in zip(draws, parts, labels, self._pixels(draws), strict=True):
            rows, tops, lefts, flips = part
            if not self._resident:  # the pixels are of this batch alone
                rows = torch.arange(len(rows), device=self.device)
            size = crops.image_size
            images = {q: normalise(cut(whole, rows, tops, lefts, flips, size)) for q, whole in pixels.items()}
            yield Batch(images, classes, [crops.meta[row] for row in draw.rows])

    def _hold(self) -> None:
        """Decide on the place at the first batch, and decode the crops there."""
        if self._held is None and self.place != "disk":
            self.place = choose(self.place, self.crops.bytes, self.device)
            if self.place != "disk":
                self._held = hold(self.crops, self.device if self.place == "device" else torch.device("cpu"))

    @property
    def _resident(self) -> bool:
        """Whether all crops lie where the batches are wanted."""
        return self._held is not None and (self.place == "device" or self.device.type == "cpu")

    def _pixels(self, draws: Sequence[Draw]) -> Iterator[Mapping[str, Tensor]]:
        """For each draw whole crops on the device: all there are, or its own in its order."""
        if self._held is not None and self._resident:
            yield from repeat(self._held, len(draws))
            return
        for fetched in self._fetched(draws):
            yield {quality: pixels.to(self.device, non_blocking=True) for quality, pixels in fetched.items()}

    def _fetched(self, draws: Sequence[Draw]) -> Iterator[Mapping[str, Tensor]]:
        """For each draw its whole crops in memory, from where a GPU can copy them by itself."""
        pinned = self.device.type == "cuda"
        if (held := self._held) is not None:
            yield from _ahead(lambda draw: _gather(held, torch.from_numpy(draw.rows)), draws)
            return
        rows = [draw.rows for draw in draws]
        yield from DataLoader(
            self.crops,
            sampler=rows,
            batch_size=None,
            num_workers=self.workers,
            pin_memory=pinned,
            generator=torch.Generator(),  # else it would draw from the one that dropout draws from
        )


def spend_a_draw() -> None:
    """Take the number from torch's generator with which a DataLoader begins each pass.

    Every loader was one when the sample's results were made: without it dropout would draw others. It is the same
    wherever the crops lie, and a pass that goes on where it was interrupted has taken it already.
    """
    torch.empty((), dtype=torch.int64).random_()


def cut(crops: Tensor, rows: Tensor, tops: Tensor, lefts: Tensor, flips: Tensor, size: int) -> Tensor:
    """Windows of some of the crops, flipped where told: (N, stored, stored, 3) uint8 -> (B, size, size, 3).

    rows, tops, lefts: (B,) int64; flips: (B,), 0 or 1; all on the device of the crops.
    """
    stored, length = crops.shape[1], 3 * size
    # All runs of a window's width, overlapping: a view, in which the rows of windows are picked as whole lines.
    lines = crops.view(-1).as_strided((crops.numel() - length + 1, length), (1, 1))
    down = torch.arange(size, device=crops.device)
    starts = ((rows * stored + tops)[:, None] + down) * stored + lefts[:, None]  # (B, size), in pixels
    found = lines[3 * starts].view(len(rows), size, size, 3)
    return torch.where(flips.bool()[:, None, None, None], found.flip(2), found)


def normalise(pixels: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 -> (B, 3, S, S) float32 in [-1, 1], channels last in memory; the same bits on every device."""
    # By a tensor of its own: a GPU multiplies by the reciprocal of a number, which is not the same.
    scale = torch.full((), 255 * STD, device=pixels.device)
    return pixels.permute(0, 3, 1, 2).float().sub_(255 * MEAN).div_(scale)


def _gather(held: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {quality: pixels.index_select(0, rows).pin_memory() for quality, pixels in held.items()}


def _ahead(get: Callable[[Draw], Mapping[str, Tensor]], draws: Sequence[Draw]) -> Iterator[Mapping[str, Tensor]]:
    """What `get` gives for each draw, got by a thread while the former ones are worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming: deque[Future[Mapping[str, Tensor]]] = deque()
        for draw in draws:
            coming.append(pool.submit(get, draw))
            if len(coming) > AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
