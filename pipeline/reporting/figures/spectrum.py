"""What compression removes, by frequency (Fig. 1 of the paper)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GREY = np.array([0.299, 0.587, 0.114])  # BT.601, as H.264 weighs luma here


@dataclass(frozen=True)
class SpectrumDifference:
    """A mean over n image pairs. difference: (S, S), zero frequency at (S // 2, S // 2), the highest at the borders."""

    difference: Floats
    n: int

    def radial(self) -> tuple[Floats, Floats]:
        """The mean over rings around the zero frequency: (cycles per pixel, difference), up to the Nyquist 0.5."""
        size = len(self.difference)
        axis = np.arange(size) - size // 2
        ring = np.rint(np.hypot(axis[:, None], axis[None, :])).astype(int).ravel()
        inside = ring <= size // 2
        count = np.bincount(ring[inside])
        return np.arange(len(count)) / size, np.bincount(ring[inside], self.difference.ravel()[inside]) / count


def spectrum_difference(pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> SpectrumDifference:
    """The normalised difference (|F_raw| - |F_compressed|) / (|F_raw| + |F_compressed|) of mean spectra.

    pairs: raw and compressed crops of the same frame, each (S, S, 3) RGB. |F| is the mean over the pairs of the
    amplitude of the 2-D DFT of luma, so the outcome lies in [-1, 1]: 1 where compression removed everything, 0 where
    it changed nothing. The paper gives no formula for its Fig. 1; this one does not depend on the images' contrast.

    Raises: ValueError where there are no pairs.
    """
    raw = compressed = np.zeros(())
    n = 0
    for first, second in pairs:
        n += 1
        raw = raw + np.abs(np.fft.fft2(first @ GREY))  # (S, S)
        compressed = compressed + np.abs(np.fft.fft2(second @ GREY))
    if not n:
        raise ValueError("no pairs of crops")
    total = raw + compressed
    share = np.divide(raw - compressed, total, out=np.zeros_like(total), where=total > 0)
    return SpectrumDifference(np.fft.fftshift(share), n)
