"""What is known of the face in each frame of a video: the table between the landmarks stage and the forge."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Track:
    """The largest face of a video of N frames."""

    found: NDArray[np.bool_]  # (N,): the detector found it in this very frame
    points: NDArray[np.float64]  # (N, 68, 2), iBUG 300-W order, pixels; NaN in frames without a face

    @property
    def usable(self) -> NDArray[np.intp]:
        """The numbers of the frames whose landmarks are known: found, or bridged between found ones."""
        return np.flatnonzero(~np.isnan(self.points[:, 0, 0]))


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
