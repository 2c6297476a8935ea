"""Faces in a frame: dlib's frontal detector and its 68 landmarks. The only module that knows dlib."""

from functools import lru_cache
from math import ceil, log
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from pipeline.faces.geometry import Face
from pipeline.work.errors import UserError

Image = NDArray[np.uint8]

# The detector's smallest face is 80 px. Around a known face the search window is scaled to WINDOW px, so that the face
# takes WINDOW / (2 * REACH) = 111 px of it: 2 ms, where a search through a 360x288 frame takes 8 ms.
REACH, WINDOW = 0.9, 200
# dlib's detector searches an image, then the same at 5/6 of its size, and so on; four steps are about an octave.
STEP, OCTAVE = 6 / 5, 4
SURE = 105  # px: boxes are 80, 96, 115, ... px wide; a face in one of the two smallest may be smaller than its box
MIN_PLACE = 24  # px: a face of that width is enlarged more than four times
# px: the longest side that detect_every searches; a photo of 48 million pixels, twice as large, takes 2 GB
LARGEST = 4000
# The predictor answers in whole pixels; on a face drawn at this width that rounding is half a percent of the face.
LANDMARK_WIDTH = 256


def detect(image: Image, max_side: int) -> Face | None:
    """Find the largest face of an (H, W, 3) RGB frame, as `detect_all` does; None where there is none."""
    return next(iter(detect_all(image, max_side)), None)


def detect_all(image: Image, max_side: int) -> list[Face]:
    """The largest face of an (H, W, 3) RGB frame and, by size, those seen at the scale that it is found at.

    The frame is searched on grey, scaled so that its longer side is at most max_side px; then about twice as large,
    which finds faces of half the size, and better boxes of those that the first search barely saw; then at full size
    with one upsampling, slow but safe on small faces. The scales are some of those that this last search goes through,
    so that boxes depend little on which of them finds the face. Faces much smaller than the largest are not looked for.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    faces: list[Face] = []
    for level in _levels(grey, max_side):
        scale = 2 / STEP**level
        if found := _faces(_scaled(grey, scale)):
            faces = [face.unscaled(scale) for face in found]
            if found[0].width > SURE:
                break
    return faces or _faces(grey, 1)


def detect_around(image: Image, place: Face) -> list[Face]:
    """Faces about a place in an (H, W, 3) RGB frame, one to three times as wide as it, the largest first."""
    side = max(place.width, place.height, MIN_PLACE)
    (x, y), height, width = place.centre, *image.shape[:2]
    left, top = (max(int(middle - 2 * side), 0) for middle in (x, y))
    right, bottom = min(int(x + 2 * side), width), min(int(y + 2 * side), height)
    scale = SURE / side
    grey = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    return [face.unscaled(scale).shifted(left, top) for face in _faces(_scaled(grey, scale))]


def detect_every(image: Image, max_side: int, thorough: bool = True) -> list[Face]:
    """Find every face of an (H, W, 3) RGB frame, each once: the one that `detect` finds, then the others by size.

    Both scales are searched. thorough: where they show nothing, search at full size as `detect` does, which takes
    twenty times as long.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    found: list[Face] = []
    faces: list[Face] = []  # each once; the first is the one that `detect` finds
    sure = False
    for level in _levels(grey, max_side):
        scale = 2 / STEP**level
        boxes = _faces(_scaled(grey, scale))
        here = [box.unscaled(scale) for box in boxes]
        if boxes and not sure:
            faces, sure = here[:1], boxes[0].width > SURE
        found += here
    if not found and thorough:
        found = _thorough(grey)
        faces = found[:1]
    for face in sorted(found, key=lambda face: face.area, reverse=True):
        if not any(_same(face, other) for other in faces):
            faces.append(face)
    return faces


def detect_near(image: Image, last: Face) -> Face | None:
    """Find the face again that was at `last` one frame ago; None where it is gone. A quarter of the cost of detect."""
    left, top, right, bottom = _around(last, REACH, image)
    if right <= left or bottom <= top:
        return None
    grey = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    scale = WINDOW / (2 * REACH * last.width)
    found = _faces(_scaled(grey, scale))
    return found[0].unscaled(scale).shifted(left, top) if found else None


def find_again(image: Image, last: Face) -> Face | None:
    """The face that was at `last` some frames ago, of the size that it had there; None where it is gone.

    The size is not measured again: the detector's boxes grow in steps of a fifth, and which step is chosen would
    depend on the place and scale of the search.
    """
    found = detect_near(image, last)
    return None if found is None else last.centred_on(found)


def landmarks(image: Image, face: Face, model: Path) -> NDArray[np.float64]:
    """The 68 landmarks (iBUG 300-W order) of the face: (68, 2), x and y in pixels of the frame.

    model: dlib's shape_predictor_68_face_landmarks.dat. Raises UserError where it cannot be read.
    """
    left, top, right, bottom = _around(face, 0.8, image)
    if right <= left or bottom <= top:
        raise ValueError(f"the box {face} lies outside the frame")
    scale = LANDMARK_WIDTH / face.width
    patch = cv2.resize(image[top:bottom, left:right], None, fx=scale, fy=scale, interpolation=_interpolation(scale))
    corners = ((np.array(face).reshape(2, 2) - (left, top)) * scale).round().astype(int)
    shape = _predictor(str(model))(patch, dlib.rectangle(*corners.ravel().tolist()))
    points = np.array([(part.x, part.y) for part in shape.parts()], dtype=np.float64)
    return (points + 0.5) / scale - 0.5 + (left, top)  # pixel centres


def _levels(grey: NDArray[Any], max_side: int) -> list[int]:
    """The scales to search, as steps down from twice the frame's size: the coarse one first."""
    first = max(ceil(log(2 * max(grey.shape) / max_side, STEP)), 0)
    return sorted({first, max(first - OCTAVE, 0)} - {0}, reverse=True)


def _faces(grey: NDArray[Any], upsample: int = 0) -> list[Face]:
    """Faces at this very size, the largest first. upsample: how often the detector doubles it before."""
    found = sorted(_detector()(grey, upsample), key=lambda box: -box.area())
    # dlib's far edges are inclusive
    return [Face(face.left(), face.top(), face.right() + 1, face.bottom() + 1) for face in found]


def _thorough(grey: NDArray[Any]) -> list[Face]:
    """Faces at twice the frame's size, of a very large one at as much as memory and time allow."""
    scale = LARGEST / max(grey.shape)
    if scale >= 2:
        return _faces(grey, 1)
    return [face.unscaled(scale) for face in _faces(_scaled(grey, scale))]


def _same(one: Face, other: Face) -> bool:
    """Whether two boxes are of one face: a fifth of the smaller lies in the other."""
    return one.intersection(other) > 0.2 * min(one.area, other.area)


def _around(face: Face, reach: float, image: Image) -> tuple[int, int, int, int]:
    x, y = face.centre
    half = reach * face.width
    height, width = image.shape[:2]
    return max(int(x - half), 0), max(int(y - half), 0), min(int(x + half), width), min(int(y + half), height)


def _scaled(grey: NDArray[Any], scale: float) -> NDArray[Any]:
    """The frame at another size; of one that is all width, or all height, a pixel is left."""
    height, width = grey.shape
    if min(height, width) * scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        return np.asarray(cv2.resize(grey, size, interpolation=_interpolation(scale)))
    return np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=_interpolation(scale)))


def _interpolation(scale: float) -> int:
    return cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR


@lru_cache(maxsize=1)
def _detector() -> "dlib.fhog_object_detector":
    return dlib.get_frontal_face_detector()


@lru_cache(maxsize=1)
def _predictor(model: str) -> "dlib.shape_predictor":
    try:
        return dlib.shape_predictor(model)
    except RuntimeError as error:
        raise UserError(
            f"{model}: cannot be read as dlib's landmark model ({error}); delete it and run again"
        ) from error
