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

from pipeline.loading.crops import Crops
from pipeline.loading.places import choose, hold

MEAN = STD = 0.5  # the released code's normalisation
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
    """Crops as batches on a device, the same to the last bit wherever they are kept (place: params loader.place)."""

    def __init__(self, crops: Crops, device: torch.device, place: str) -> None:
        self.crops, self.device, self.place = crops, device, place
        self._decoded: dict[str, Tensor] | None = None

    def __call__(self, draws: Sequence[Draw]) -> Iterator[Batch]:
        """The drawn batches, in order."""
        if not draws:
            return
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

    def _held(self) -> dict[str, Tensor]:
        """All crops: at the first batch the place is decided on, and they are decoded there."""
        if self._decoded is None:
            self.place = choose(self.place, self.crops.bytes, self.device)
            self._decoded = hold(self.crops, self.place, self.device)
        return self._decoded

    @property
    def _resident(self) -> bool:
        """Whether all crops lie where the batches are wanted."""
        return self.place == "device" or self.device.type == "cpu"

    def _pixels(self, draws: Sequence[Draw]) -> Iterator[Mapping[str, Tensor]]:
        """For each draw whole crops on the device: all there are, or its own in its order."""
        held = self._held()
        if self._resident:
            yield from repeat(held, len(draws))
            return
        for fetched in _ahead(lambda draw: _gather(held, torch.from_numpy(draw.rows)), draws):
            yield {quality: pixels.to(self.device, non_blocking=True) for quality, pixels in fetched.items()}


def spend_a_draw() -> None:
    """Take the number from torch's generator with which one of torch's DataLoaders begins each pass.

    The loader was one when the sample's results were made: without it dropout would draw others. A pass that goes on
    where it was interrupted has taken it already.
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
    """Some whole crops, in memory from where a GPU can copy them by itself."""
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
