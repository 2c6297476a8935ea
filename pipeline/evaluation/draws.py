"""Which videos, or whose, a bootstrap draws. Frames of one video are not independent, so whole videos are drawn."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

UNITS = ("video", "person")  # what is drawn


@dataclass(frozen=True)
class Draws:
    """How often each of V videos was drawn in each of R resamples: one drawing for all that is compared.

    videos: (set, video) of each, sorted. counts: (1 + R, V), of which the first row is the sample itself, all ones.
    """

    videos: pd.MultiIndex
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, frames: pd.DataFrame, unit: str, resamples: int, seed: int) -> "Draws":
        """Draw the videos of a table (set, video, person) with a row a frame or a video.

        unit: `video` draws videos, those of each set among themselves; `person` draws people, each with all of their
        videos, reals and fakes.
        """
        videos = frames[["set", "video", "person"]].drop_duplicates(["set", "video"])
        videos = videos.sort_values(["set", "video"], ignore_index=True)
        if unit == "person":
            counts = draw(None, videos["person"], resamples, seed)
        else:
            counts = draw(videos["set"], videos["set"] + "/" + videos["video"], resamples, seed)
        return cls(pd.MultiIndex.from_frame(videos[["set", "video"]]), counts)

    def at(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """How often the video of each row (set, video, ...) was drawn: (1 + R, N). Raises: KeyError for another."""
        wanted = pd.MultiIndex.from_frame(rows[["set", "video"]])
        places = pd.Series(np.arange(len(self.videos)), self.videos).loc[wanted]
        return self.counts[:, places.to_numpy()]


def draw(strata: pd.Series | None, clusters: pd.Series, resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each row was drawn when its clusters are drawn with replacement: (resamples + 1, rows).

    Clusters are drawn within their stratum (of reals and of fakes apart), or all together where strata is None.
    The first row is the sample itself, all ones.
    """
    random = np.random.default_rng(seed)
    counts = np.ones((resamples + 1, len(clusters)))
    groups = np.zeros(len(clusters), int) if strata is None else np.unique(strata.to_numpy(str), return_inverse=True)[1]
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        names, number = np.unique(clusters.to_numpy(str)[rows], return_inverse=True)
        drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
        counts[1:, rows] = drawn[:, number]
    return counts
