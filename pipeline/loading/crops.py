"""The stored crops that an index of shards lists: what is known of each, and its pixels as they are decoded."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pipeline.crops.shards import read_sample
from pipeline.work.errors import UserError

META = ["key", "set", "video", "person", "bucket", "target", "donor", "frame", "label"]
Pixels = NDArray[np.uint8]
Rows = NDArray[np.int64]


class Crops:
    """The crops that an index (`crops.shards.read_index`) lists, in its order."""

    def __init__(self, index: pd.DataFrame, qualities: Sequence[str], image_size: int) -> None:
        self.table = index
        if missing := [name for name in META if name not in self.table or self.table[name].isna().any()]:
            folder = Path(str(index["path"].iat[0])).parent
            raise UserError(f"{folder}: the index lacks {', '.join(missing)}; run the crop stage again")
        self.qualities, self.image_size = list(qualities), image_size
        self.labels = torch.tensor(self.table["label"].to_numpy(np.int64, copy=True))
        self.meta: list[dict[str, Any]] = [dict(row) for row in self.table[META].to_dict("records")]  # type: ignore[arg-type]
        places = (self.table[column] for column in ("path", "offset", "bytes", "key"))
        self._places = list(zip(*places, strict=True))
        self.stored = 0  # px of the crops: those of the first one
        self.stored = len(self._decode(0)[0])
        if self.stored < image_size:
            raise UserError(f"params.yaml: model.image_size {image_size} is larger than crop.size {self.stored}")

    def __len__(self) -> int:
        return len(self.table)

    def read(self, rows: Rows, each: Callable[..., Iterable[None]]) -> dict[str, Pixels]:
        """Decode some rows (B,) of the index: quality -> (B, stored, stored, 3) uint8, RGB.

        each: `map`, or that of a pool of threads: cv2 decodes outside the interpreter's lock.
        """
        found = {quality: np.empty(self.shape(len(rows)), np.uint8) for quality in self.qualities}

        def decode(place: int) -> None:
            for quality, image in zip(self.qualities, self._decode(int(rows[place])), strict=True):
                found[quality][place] = image

        list(each(decode, range(len(rows))))
        return found

    def shape(self, rows: int) -> tuple[int, int, int, int]:
        """Of so many decoded crops of one quality."""
        return rows, self.stored, self.stored, 3

    @property
    def bytes(self) -> int:
        """What all crops take when they are decoded."""
        return len(self) * len(self.qualities) * self.stored**2 * 3

    def _decode(self, row: int) -> list[Pixels]:
        """The crops of a row, one a quality, each (stored, stored, 3) RGB.

        Raises: UserError where the shard lacks a quality, or holds what is no image.
        """
        path = self._places[row][0]
        files = read_sample(*self._places[row])
        images: list[Pixels] = []
        for quality in self.qualities:
            if f"{quality}.png" not in files:
                raise UserError(f"{path}: no {quality} crops; add {quality} to params `compressions` and run again")
            data = np.frombuffer(files[f"{quality}.png"], np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
            if image is None:
                raise UserError(f"{path}: {self.meta[row]['key']} is no image; run the crop stage again")
            if (images and image.shape != images[0].shape) or self.stored not in (0, len(image)):
                size = f"{image.shape[1]}x{image.shape[0]}"
                raise UserError(
                    f"{path}: {self.meta[row]['key']} has {size} px unlike others; run the crop stage again"
                )
            images.append(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8))
        return images
