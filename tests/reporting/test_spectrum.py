"""What compression removes by frequency, of filters that are known."""

import numpy as np
import pytest

from pipeline.reporting.figures.spectrum import spectrum_difference


def test_spectrum_difference_of_a_known_filter() -> None:
    random = np.random.default_rng(0)
    raw = random.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    halved = [(image // 2, image) for image in raw]
    found = spectrum_difference(halved)
    assert found.difference == pytest.approx(np.full((32, 32), -1 / 3), abs=0.03) and found.n == 6
    flat = [(image, np.broadcast_to(image.mean((0, 1)).astype(np.uint8), image.shape)) for image in raw]
    frequencies, ring = spectrum_difference(flat).radial()
    assert ring[0] == pytest.approx(0, abs=0.01) and ring[1:] == pytest.approx(np.ones(16), abs=1e-6)
    assert frequencies[-1] == 0.5
    with pytest.raises(ValueError, match="no pairs"):
        spectrum_difference([])
