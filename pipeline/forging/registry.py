"""The manipulations by the names used in params.yaml, in files and in tables."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.forging import faceswap, reenactment
from pipeline.forging.warping import Patches

# How a manipulation makes its faces: (target, donor, rng) -> images (n, P, P, 3), masks (n, P, P).
Forge = Callable[[Patches, Patches, np.random.Generator], tuple[NDArray[np.uint8], NDArray[np.float32]]]

MANIPULATIONS: dict[str, Forge] = {
    "faceswap": faceswap.forge,
    "reenactment": reenactment.forge,
}
