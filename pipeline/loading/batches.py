"""Crops as pixels: some buckets of some shards, in memory where they fit, as batches of drawn windows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.crops.shards import read_index, read_sample
from pipeline.work.errors import UserError

MEAN = STD = 0.5  # the released code's normalisation (spec section 6)
META = ["key", "set", "video", "person", "bucket", "target", "donor", "frame", "label"]


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


class Crops(Dataset[dict[str, Tensor]]):
    """The crops of some buckets. Indexed by a Draw: quality -> (B, S, S, 3) uint8, one window in every quality."""

    def __init__(
        self, folders: Sequence[Path], buckets: Iterable[str], qualities: Sequence[str], image_size: int, cache_mb: int
    ) -> None:
        self.table = read_index(folders, buckets)
        self.qualities, self.image_size = list(qualities), image_size
        self.labels = torch.tensor(self.table["label"].to_numpy(np.int64, copy=True))
        self.meta: list[dict[str, Any]] = [dict(row) for row in self.table[META].to_dict("records")]  # type: ignore[arg-type]
        self._places = list(zip(self.table["path"], self.table["offset"], self.table["bytes"], strict=True))
        self._cache: dict[str, NDArray[np.uint8]] | None = None
        self.stored = len(self._images(0)[0])
        if self.stored < image_size:
            raise UserError(f"params.yaml: model.image_size {image_size} is larger than crop.size {self.stored}")
        self.cached = len(self) * len(self.qualities) * self.stored**2 * 3 <= cache_mb * 2**20

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        size = self.image_size
        found = {quality: np.empty((len(draw.rows), size, size, 3), np.uint8) for quality in self.qualities}
        for place, (row, top, left, flip) in enumerate(zip(draw.rows, draw.tops, draw.lefts, draw.flips, strict=True)):
            for quality, image in zip(self.qualities, self._images(int(row)), strict=True):
                window = image[top : top + size, left : left + size]
                found[quality][place] = window[:, ::-1] if flip else window
        return {quality: torch.from_numpy(images) for quality, images in found.items()}

    def _images(self, row: int) -> list[NDArray[np.uint8]]:
        if self._cache is not None:
            return [self._cache[quality][row] for quality in self.qualities]
        return self._decode(row, read_sample(*self._places[row]))

    def _decode(self, row: int, files: Mapping[str, bytes]) -> list[NDArray[np.uint8]]:
        """The stored crops in a row's files, one a quality, each (size, size, 3) RGB."""
        path = self._places[row][0]
        images = []
        for quality in self.qualities:
            if f"{quality}.png" not in files:
                raise UserError(f"{path}: no {quality} crops; add {quality} to params `compressions` and run again")
            image = cv2.imdecode(np.frombuffer(files[f"{quality}.png"], np.uint8), cv2.IMREAD_COLOR)
            if image is None:
                raise UserError(f"{path}: {self.meta[row]['key']} is no image; run the crop stage again")
            images.append(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8))
        return images

    def fill(self) -> None:
        """Decode all crops into memory where they fit; once."""
        if not self.cached or self._cache is not None:
            return
        shape = (len(self), self.stored, self.stored, 3)
        cache = {quality: np.empty(shape, np.uint8) for quality in self.qualities}

        def keep(row: int) -> None:
            for quality, image in zip(self.qualities, self._images(row), strict=True):
                cache[quality][row] = image

        with ThreadPoolExecutor() as pool:  # cv2 decodes outside the interpreter's lock
            list(pool.map(keep, range(len(self))))
        self._cache = cache

    def batches(self, draws: Sequence[Draw], workers: int, device: torch.device) -> Iterator[Batch]:
        """Read the drawn batches, by so many worker processes where they are not in memory, onto the device."""
        self.fill()
        loader: DataLoader[Any] = DataLoader(
            self,
            sampler=draws,
            batch_size=None,
            num_workers=0 if self.cached else workers,
            pin_memory=device.type == "cuda",
            collate_fn=_as_is,
        )
        for draw, images in zip(draws, loader, strict=True):
            yield Batch(
                {quality: normalise(pixels.to(device, non_blocking=True)) for quality, pixels in images.items()},
                self.labels[draw.rows].to(device, non_blocking=True),
                [self.meta[row] for row in draw.rows],
            )


def normalise(pixels: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 -> (B, 3, S, S) float32 in [-1, 1], channels last in memory."""
    return pixels.permute(0, 3, 1, 2).float().sub_(255 * MEAN).div_(255 * STD)


def _as_is(images: Any) -> Any:
    return images
