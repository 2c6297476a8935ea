"""The preprocessing procedure of the field's largest benchmark, to measure ours against."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.clips import Clip

ALIGNED = 256  # px of the reference's crops
# Of those crops: outer eye corners, nose tip and mouth corners, for a face in the middle.
TEMPLATE = np.array([[0.27, 0.39], [0.73, 0.39], [0.5, 0.57], [0.35, 0.74], [0.65, 0.74]], np.float32) * ALIGNED


def reference(clip: Clip, detector: Any, predictor: Any) -> dict[int, Any]:
    """The field's procedure; returns its boxes on raw."""
    boxes: dict[int, Any] = {}
    for quality, path in clip.files.items():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        index = 0
        while (grabbed := capture.read())[0]:
            if index in clip.wanted:
                image = cv2.cvtColor(grabbed[1], cv2.COLOR_BGR2RGB)
                box = _largest(detector(image, 1))
                if quality == "raw":
                    boxes[index] = box
                if box is not None:
                    points = _five(predictor(image, box))
                    matrix = cv2.estimateAffinePartial2D(points, TEMPLATE, method=cv2.LMEDS)[0]
                    aligned = cv2.warpAffine(image, matrix, (ALIGNED, ALIGNED))
                    if (again := _largest(detector(aligned, 1))) is not None:
                        predictor(aligned, again)
                    cv2.imencode(".png", cv2.cvtColor(aligned, cv2.COLOR_RGB2BGR))
            index += 1
    return boxes


def _largest(faces: Any) -> Any:
    return max(faces, key=lambda box: box.area(), default=None)


def _five(shape: Any) -> NDArray[np.float32]:
    return np.array([(shape.part(i).x, shape.part(i).y) for i in (36, 45, 30, 48, 54)], np.float32)
