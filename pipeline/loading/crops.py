"""The stored crops that an index of shards lists: what is known of each, and its pixels as they are decoded."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pipeline.crops.shards import read_crops
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
        self._places = self.table[["path", "offset", "bytes", "key"]].to_dict("records")
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

        Raises: UserError as read_crops, and where their sizes differ.
        """
        place = self._places[row]
        images = list(read_crops(place, self.qualities).values())
        for image in images:
            if image.shape != images[0].shape or self.stored not in (0, len(image)):
                size = f"{image.shape[1]}x{image.shape[0]}"
                raise UserError(
                    f"{place['path']}: {place['key']} has {size} px unlike others; run the crop stage again"
                )
        return images
