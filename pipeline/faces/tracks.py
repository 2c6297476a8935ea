"""What is known of the face in each frame of a video: the table between the landmarks stage and the forge."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.work.errors import UserError
from pipeline.work.files import whole

SCHEMA = pa.schema({"video": pa.string(), "frame": pa.int64(), "found": pa.bool_(), "points": pa.list_(pa.float32())})


@dataclass(frozen=True)
class Track:
    """The largest face of a video of N frames."""

    found: NDArray[np.bool_]  # (N,): the detector found it in this very frame
    points: NDArray[np.float64]  # (N, 68, 2), iBUG 300-W order, pixels; NaN in frames without a face

    @property
    def usable(self) -> NDArray[np.intp]:
        """The numbers of the frames whose landmarks are known: found, or bridged between found ones."""
        return np.flatnonzero(~np.isnan(self.points[:, 0, 0]))

    @property
    def unusable(self) -> NDArray[np.intp]:
        """The numbers of the others."""
        return np.flatnonzero(np.isnan(self.points[:, 0, 0]))


def to_rows(video: str, track: Track) -> pd.DataFrame:
    """One row a frame: video, frame, found, points (136 float32: x0, y0, x1, ...; None where there is no face)."""
    known = ~np.isnan(track.points[:, 0, 0])
    points = [p.astype(np.float32).ravel() if ok else None for p, ok in zip(track.points, known, strict=True)]
    return pd.DataFrame({"video": video, "frame": range(len(points)), "found": track.found, "points": points})


def from_rows(rows: pd.DataFrame) -> Track:
    """The track of one video's rows, as `to_rows` made them."""
    rows = rows.sort_values("frame")
    nothing = np.full(136, np.nan)
    points = [nothing if row is None else np.asarray(row, dtype=float) for row in rows["points"]]
    return Track(rows["found"].to_numpy(dtype=bool), np.array(points).reshape(-1, 68, 2))


class Write(Protocol):
    def __call__(self, video: str, track: Track) -> None: ...


@contextmanager
def writing(path: Path) -> Iterator[Write]:
    """Give a function that adds the track of a video to the file, which is there once all are added.

    Each video is a row group of its own: neither writing nor reading holds more than one in memory.
    """
    with whole(path) as part, pq.ParquetWriter(part, SCHEMA) as writer:
        yield lambda video, track: writer.write_table(
            pa.Table.from_pandas(to_rows(video, track), SCHEMA, preserve_index=False)
        )


def read_track(path: Path, video: str) -> Track | None:
    """The track of one video in a file that `writing` made; None where it has none.

    Raises: UserError where the file cannot be read.
    """
    try:
        rows = pq.read_table(path, filters=[("video", "=", video)], use_threads=False).to_pandas()
    except (OSError, ValueError) as error:  # as pyarrow's own errors are
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({reason}); run the landmarks stage again") from None
    return from_rows(rows) if len(rows) else None
