"""Where a fake differs from its target: the only thing that tells which of several faces was forged.

Each of the two is encoded for itself, and codecs blur what is rich in detail. So a difference counts the less, the more
detail it lies in, and is compared with the rest of the frame. On fakes of four people beside a larger face, encoded
again at crf 15 and 23 after they were made, the forged face differs by 8 to 20 times the frame's median (a mouth that
hardly moved by 4), the untouched one by 5 at most.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.faces.geometry import Face

Image = NDArray[np.uint8]

BLOCK = 8  # px: differences are means over blocks
DETAIL = 15.0  # grey levels of standard deviation in which a difference counts half
LEAST = 0.03  # a smaller peak is no difference: it is half a grey level on smooth skin; lossless copies stay below
RATIO = 5.0  # of the peak to the frame's median: less may be the codec's
# Blocks that differ less than a share of the peak, or than so many times the median, do not tell where the forgery is.
CORE = 0.3
SPREAD = 4.0


@dataclass(frozen=True)
class Difference:
    """every: (H / 8, W / 8), how much each block differs; noise: the median of the frame."""

    every: NDArray[np.float32]
    noise: float

    @property
    def peak(self) -> float:
        return float(self.every.max())

    @property
    def blocks(self) -> NDArray[np.float32]:
        """(H / 8, W / 8): those that differ much, the others 0."""
        return np.where(self.every >= max(CORE * self.peak, SPREAD * self.noise), self.every, np.float32(0))

    @property
    def unchanged(self) -> bool:
        """Whether the frame of the fake is its target's."""
        return self.peak < LEAST

    @property
    def significant(self) -> bool:
        """Whether the two differ by more than codecs leave."""
        return self.peak >= max(LEAST, RATIO * self.noise)

    def share(self, area: Face) -> float:
        """How much of all that differs lies in the area, 0 to 1."""
        blocks = self.blocks
        return float(_part(blocks, area).sum() / max(blocks.sum(), 1e-12))

    def density(self, area: Face) -> float:
        """How much a block of the area differs, in the mean."""
        part = _part(self.blocks, area)
        return float(part.mean()) if part.size else 0.0

    def place(self) -> Face:
        """The box around the connected blocks that differ most together."""
        blocks = self.blocks
        count, names, stats, _ = cv2.connectedComponentsWithStats((blocks > 0).astype(np.uint8))
        weight = [float(blocks[names == name].sum()) for name in range(1, count)]
        left, top, width, height, _ = (BLOCK * int(side) for side in stats[1 + int(np.argmax(weight))])
        return Face(left, top, left + width, top + height)

    def without(self, area: Face) -> "Difference":
        """The same but for an area, which may hold a mark that was stamped on the fake."""
        rest = self.every.copy()
        _part(rest, area)[:] = 0
        return Difference(rest, self.noise)


def difference(fake: Image, target: Image) -> Difference:
    """Compare the same frame, (H, W, 3) RGB, of a fake and of its target."""
    changed = cv2.absdiff(fake, target).astype(np.float32).mean(2)
    grey = cv2.cvtColor(target, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = np.sqrt(np.maximum(_blocks(grey**2) - _blocks(grey) ** 2, 0))
    blocks = _blocks(changed) / (DETAIL + detail)
    return Difference(blocks, float(np.median(blocks)))


def _part(blocks: NDArray[np.float32], area: Face) -> NDArray[np.float32]:
    left, top, right, bottom = (max(round(side / BLOCK), 0) for side in area)
    return blocks[top:bottom, left:right]


def _blocks(plane: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W) -> (H / 8, W / 8), each the mean of itself and its neighbours."""
    height, width = (max(side // BLOCK, 1) for side in plane.shape)
    small = cv2.resize(plane[: height * BLOCK, : width * BLOCK], (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(small, (3, 3)), dtype=np.float32)
