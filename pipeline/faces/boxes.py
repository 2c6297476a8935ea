"""What detect leaves of a set, in a folder <set>/, and crop reads: where the faces are, and their raw pixels.

boxes.parquet has a row (video, frame, left, top, size, cause) a sampled frame: a square in pixels of raw, or no numbers
and why. <video>.zip holds the square's pixels of each frame as <frame:06d>.png: with them crop need not decode raw
again. They are lossless and as large as in the video, so that crops of any size are those made from it.

refused.parquet has a row (set, video, frame, cause) a frame of a fake that shows no forged face in its target's box. It
is there where fakes were compared with their targets and some were refused.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.work.errors import UserError, VideoError
from pipeline.work.files import read_parquet, whole

Image = NDArray[np.uint8]
Box = tuple[int, int, int]  # left, top, size in pixels of the raw frame
BOX = ["left", "top", "size"]
COLUMNS = ["video", "frame", *BOX, "cause"]
TABLE = "boxes.parquet"
REFUSED = "refused.parquet"
REFUSED_COLUMNS = ["set", "video", "frame", "cause"]
# Lossless whatever the level; run-length strategy: a quarter of the default's time, and smaller.
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]


class Boxes:
    """The boxes for a set's frames: its own and those of the originals.

    folder: holds a folder a set. Raises: UserError where both are missing.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._own, self._name = folder / name, name
        tables = {kind: folder / kind / TABLE for kind in ("original", name)}
        if not any(path.is_file() for path in tables.values()):
            raise UserError(f"{folder}: no boxes of original or {name}; add the set to detect.sets")
        self._rows: dict[tuple[str, str, int], Box | str] = {}  # many: tuples, not the tables' rows
        for kind, path in tables.items():
            table = read_parquet(path, COLUMNS) if path.is_file() else pd.DataFrame(columns=COLUMNS)
            for video, frame, left, top, side, cause in table[COLUMNS].itertuples(index=False):
                self._rows[kind, video, frame] = str(cause) if pd.isna(side) else (int(left), int(top), int(side))
        refused = folder / "original" / REFUSED
        table = read_parquet(refused, REFUSED_COLUMNS) if refused.is_file() else pd.DataFrame(columns=REFUSED_COLUMNS)
        self._refused: dict[tuple[str, int], str] = {
            (video, frame): cause for kind, video, frame, cause in table.itertuples(index=False) if kind == name
        }

    def find(self, video: str, target: str, frame: int) -> Box | str:
        """The box of the target, else of the video itself; or why there is none."""
        if cause := self._refused.get((video, frame)):
            return cause
        found = self._rows.get(("original", target, frame)) or self._rows.get((self._name, video, frame))
        return found or "no box: neither this video nor its target was searched at this frame (detect.sets)"

    def pixels(self, video: str, boxes: Mapping[int, Box]) -> Path | None:
        """The file with the raw pixels of these boxes of the video; None where they are its target's, or not kept."""
        own = all(self._rows.get((self._name, video, frame)) == box for frame, box in boxes.items())
        path = self._own / archive_name(video)
        return path if own and path.is_file() else None


def write_refused(path: Path, rows: Sequence[tuple[str, str, int, str]]) -> None:
    """List frames (set, video, frame, cause) of fakes that cannot be used; without any there is no file."""
    path.unlink(missing_ok=True)
    if rows:
        with whole(path) as part:
            pd.DataFrame(sorted(rows), columns=REFUSED_COLUMNS).to_parquet(part, index=False)


@contextmanager
def writing(path: Path) -> Iterator[Callable[[int, Image], None]]:
    """Give a function that keeps a frame's RGB square (size, size, 3). The file appears whole at the end, or not."""
    with whole(path) as part, ZipFile(part, "w") as archive:

        def keep(frame: int, square: Image) -> None:
            member = ZipInfo(_member(frame))  # dated 1980, uncompressed
            member.external_attr = 0o644 << 16
            archive.writestr(member, png(square))

        yield keep


def read_squares(path: Path, frames: Iterable[int]) -> Iterator[tuple[int, Image]]:
    """Yield (frame, RGB square (size, size, 3)) of the frames. Raises: UserError where one cannot be read."""
    try:
        with ZipFile(path) as archive:
            for frame in frames:
                data = np.frombuffer(archive.read(_member(frame)), np.uint8)
                square = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
                if square is None:
                    raise BadZipFile(f"{_member(frame)} is no image")
                yield frame, np.asarray(cv2.cvtColor(square, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    except (OSError, KeyError, BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}); run the detect stage again") from None


def cut(image: Image, box: Box) -> Image:
    """The box of a frame (H, W, 3), as (size, size, 3). Raises: VideoError where it leaves the frame."""
    left, top, side = box
    if left < 0 or top < 0 or left + side > image.shape[1] or top + side > image.shape[0]:
        raise VideoError(f"the box {box} leaves the frame of {image.shape[1]}x{image.shape[0]} pixels")
    return image[top : top + side, left : left + side]


def png(image: Image) -> bytes:
    """An RGB image (H, W, 3) as a PNG."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), PNG)[1])


def archive_name(video: str) -> str:
    return f"{video}.zip"


def _member(frame: int) -> str:
    return f"{frame:06d}.png"
