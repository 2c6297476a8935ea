"""The H.264 rate factor from which on detection has failed, with its interval."""

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.statistics import Floats, interval
from pipeline.params.cells import RAW


@dataclass(frozen=True)
class Failing:
    """factors: (1 + R,), the rate factor from which on detection has failed, in the sample and in each resample.

    first, last: the range that was tested. A factor of `last` means that it never failed there.
    """

    factors: Floats
    first: float
    last: float

    @property
    def never(self) -> bool:
        """Whether the sample itself has not failed at the strongest compression that was tested."""
        return bool(self.factors[0] >= self.last)

    @property
    def text(self) -> str:
        """The factor with its interval; < and > where it lies outside of what was tested."""
        low, high = interval(self.factors[1:])
        return f"{self.at(float(self.factors[0]))} [{self.at(low)}, {self.at(high)}]"

    def at(self, factor: float) -> str:
        if factor >= self.last:
            return f"> {self.last:.0f}"
        return f"< {self.first:.0f}" if factor < self.first else f"{factor:.1f}" if factor > self.first else RAW


def fails_from(factors: Floats, curves: Floats, level: float) -> Floats:
    """The factor from which on each curve stays below the level: factors (P,), curves (P, R) -> (R,).

    Linear between points. The last factor where the curve ends at or above the level, the first where no point reaches
    it.
    """
    above = curves >= level
    last = len(factors) - 1 - np.argmax(above[::-1], axis=0)  # the last point that is not below
    after = np.minimum(last + 1, len(factors) - 1)
    column = np.arange(curves.shape[1])
    high, low = curves[last, column], curves[after, column]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(after > last, (high - level) / (high - low), 0.0)
    found = factors[last] + share * (factors[after] - factors[last])
    return np.asarray(np.where(above.any(axis=0), found, factors[0]))
