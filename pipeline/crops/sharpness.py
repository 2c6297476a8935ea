"""How much detail a crop has, to tell a face that is too blurred to be judged."""

import cv2

from pipeline.faces.boxes import Image


def sharpness(crop: Image) -> float:
    """The variance of the Laplacian of an RGB crop (S, S, 3), grey levels squared (Pech-Pacheco et al. 2000)."""
    return float(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())
