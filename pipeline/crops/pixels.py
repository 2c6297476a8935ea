"""Degradations of single pictures, as in the field's robustness tests (Jiang et al. 2020, DeeperForensics-1.0)."""

import zlib

import cv2
import numpy as np

from pipeline.faces.boxes import Image
from pipeline.params.degradations import Step


def degraded(image: Image, step: Step, where: str, seed: int) -> Image:
    """An RGB image (H, W, 3), degraded by one of jpeg, blur, noise and scale; the same size.

    where: names the frame; the noise is drawn from it and from the seed, and so is new in every frame.
    """
    height, width = image.shape[:2]
    if step.kind == "jpeg":
        options = [cv2.IMWRITE_JPEG_QUALITY, round(step.level)]
        data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1]
        decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
    if step.kind == "blur":
        return np.asarray(cv2.GaussianBlur(image, (0, 0), step.level), np.uint8)
    if step.kind == "noise":
        random = np.random.default_rng((seed, zlib.crc32(where.encode())))
        noisy = image + random.normal(0, step.level, image.shape)
        return np.asarray(noisy.round().clip(0, 255), np.uint8)
    if step.kind == "scale":
        small = (max(1, round(width * step.level)), max(1, round(height * step.level)))
        return np.asarray(cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (width, height),
                                     interpolation=cv2.INTER_CUBIC), np.uint8)  # fmt: skip
    raise ValueError(f"{step} is not done to single pictures")
