"""Which videos, or whose, a bootstrap draws. Frames of one video are not independent, so whole videos are drawn."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

VIDEO = ["set", "video"]  # the columns that name one: manipulations share ids
UNITS = ("video", "person")  # what is drawn


@dataclass(frozen=True)
class Draws:
    """How often each of V videos was drawn in each of R resamples: one drawing for all that is compared.

    videos: (set, video) of each, sorted. counts: (1 + R, V), of which the first row is the sample itself, all ones.
    """

    videos: pd.MultiIndex
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, frames: pd.DataFrame, unit: str, resamples: int, seed: int, by_class: bool = False) -> "Draws":
        """Draw the videos of a table (set, video, person) with a row a frame or a video.

        unit: `video` draws videos, those of each set among themselves; `person` draws people, each with all of their
        videos, reals and fakes. by_class (then with label): reals are drawn among all reals, fakes among all fakes, and
        people among those who have the same classes, so that every resample has the classes of the table.
        """
        videos = frames.drop_duplicates(VIDEO).sort_values(VIDEO, ignore_index=True)
        clusters = videos["person"] if unit == "person" else pd.Series(range(len(videos)))
        strata = None if unit == "person" else videos["set"]
        if by_class:
            labels = videos["label"].groupby(clusters)
            lowest, highest = labels.transform("min"), labels.transform("max")
            strata = lowest.where(lowest == highest, -1)  # -1: whoever has both classes
        return cls(pd.MultiIndex.from_frame(videos[VIDEO]), draw(strata, clusters, resamples, seed))

    def at(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """How often the video of each row (set, video, ...) was drawn: (1 + R, N). Raises: KeyError for another."""
        wanted = pd.MultiIndex.from_frame(rows[VIDEO])
        places = pd.Series(np.arange(len(self.videos)), self.videos).loc[wanted]
        return self.counts[:, places.to_numpy()]


def draw(strata: pd.Series | None, clusters: pd.Series, resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each row was drawn when its clusters are drawn with replacement: (resamples + 1, rows).

    Clusters are drawn within their stratum (of reals and of fakes apart), or all together where strata is None.
    The first row is the sample itself, all ones.
    """
    random = np.random.default_rng(seed)
    counts = np.ones((resamples + 1, len(clusters)))
    groups = np.zeros(len(clusters), int) if strata is None else pd.factorize(strata, sort=True)[0]
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        number, names = pd.factorize(clusters.iloc[rows], sort=True)
        drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
        counts[1:, rows] = drawn[:, number]
    return counts
