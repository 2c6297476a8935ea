"""Paired batches: each fake beside its own target's frame, so that the two differ by the forgery alone."""

import sys

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.work.errors import UserError


class Pairs:
    """Which real frame each fake of an index is shown beside: the same frame of its target, else the nearest kept one.

    Fakes whose target has no frame among these people are left out, and told of. Raises: UserError where none is left.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        reals = table[table["label"] == 0]
        frames = {video: block["frame"] for video, block in reals.groupby("video")}
        fakes = table[table["label"] == 1]
        kept = fakes[fakes["target"].isin(frames)]
        if kept.empty:
            raise UserError("train.paired: no fake of the training people has a frame of its target; set it to false")
        if lost := len(fakes) - len(kept):
            print(f"paired batches: {lost} of {len(fakes)} fakes lack their target's frames; left out", file=sys.stderr)
        self.fakes: NDArray[np.int64] = kept.index.to_numpy(np.int64)
        self._reals = np.zeros(len(table), np.int64)
        for row, target, frame in zip(kept.index, kept["target"], kept["frame"], strict=True):
            self._reals[row] = (frames[target] - frame).abs().idxmin()

    def beside(self, fakes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of N fakes -> 2N rows: fake, its real, fake, its real, ..."""
        return np.column_stack([fakes, self._reals[fakes]]).ravel()
