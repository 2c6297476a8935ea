"""The manipulations by the names used in params.yaml, in files and in tables."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.forging import faceswap, reenactment
from pipeline.forging.warping import Patches

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Manipulation:
    """How a manipulation makes its faces: (target, donor, rng) -> images (n, P, P, 3), masks (n, P, P)."""

    forge: Callable[[Patches, Patches, np.random.Generator], tuple[Image, NDArray[np.float32]]]
    other_person: bool  # the donor must show somebody else


MANIPULATIONS = {
    "faceswap": Manipulation(faceswap.forge, faceswap.OTHER_PERSON),
    "reenactment": Manipulation(reenactment.forge, reenactment.OTHER_PERSON),
}
