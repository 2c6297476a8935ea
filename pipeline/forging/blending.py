"""Making a warped face belong: soft masks, colours and light of the target, and the way back into the frame."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from pipeline.forging.warping import INNER_LIPS, MOUTH, fit_affine

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]
Floats = NDArray[np.float64]

LIP_FEATHER = 0.7  # px of the patch
COLOUR_SIGMA = 5.0  # frames over which colour statistics are smoothed, or the face flickers
SPREAD, BRIGHTER = (0.6, 1.1), (0.8, 1.25)  # bounds of the change of contrast and of light: highlights must not glare


def paste(frame: Image, patch: Image, mask: Mask, matrix: Floats) -> Image:
    """A copy of the frame with the enlarged patch blended in. mask: (P, P), 0 keeps the frame, 1 takes the patch."""
    scale, side = matrix[0, 0], len(patch)
    corners = (np.array([[0, 0], [side - 1, side - 1]]) - matrix[:, 2]) / scale
    left, top = np.maximum(np.floor(corners[0]).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners[1]).astype(int) + 1, frame.shape[1::-1])
    if right <= left or bottom <= top:
        return frame
    to_patch = matrix.copy()
    to_patch[:, 2] += scale * np.array([left, top])
    size = (int(right - left), int(bottom - top))
    flags = cv2.WARP_INVERSE_MAP
    face = cv2.warpAffine(patch, to_patch, size, flags=flags | cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(mask, to_patch, size, flags=flags | cv2.INTER_LINEAR)[..., None]
    result = frame.copy()
    region = result[top:bottom, left:right]
    region[:] = np.rint(region + weight * (face.astype(np.float32) - region)).astype(np.uint8)
    return result


def soft_mask(points: Floats, side: int, erode: float, feather: float) -> Mask:
    """The convex hull of the points (K, 2) as a mask (side, side) from 0 to 1: shrunk by `erode` px and blurred by a
    Gaussian of `feather` px."""
    hull = cv2.convexHull(np.rint(points * 16).astype(np.int32))
    mask = cv2.fillConvexPoly(np.zeros((side, side), np.uint8), hull, 255, cv2.LINE_AA, shift=4)
    if erode > 0:
        size = 2 * round(erode) + 1
        mask = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), feather), np.float32)


def fill_mouth(face: Image, points: Floats, lender: Image, theirs: Floats, weight: float = 1) -> Image:
    """Show between the lips at `points` (68, 2) what the lender shows between its lips at `theirs` (68, 2)."""
    lips = list(MOUTH)
    mask = weight * soft_mask(points[list(INNER_LIPS)], len(face), 0, LIP_FEATHER)[..., None]
    to_lender = fit_affine(points[lips], theirs[lips]).T
    inside = cv2.warpAffine(lender, to_lender, face.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.rint(face + mask * (inside.astype(np.float32) - face)).astype(np.uint8)


def match_colours(faces: Image, targets: Image, masks: Mask) -> Image:
    """Give the faces (n, P, P, 3) the mean and spread, under the masks, of each Lab channel of the targets (Reinhard et
    al. 2001), smoothed over time."""
    lab = [_lab(face) for face in faces]
    ours = _statistics(lab, masks)
    theirs = _statistics([_lab(target) for target in targets], masks)
    gain = np.clip(theirs[:, 1] / np.maximum(ours[:, 1], 1e-3), *SPREAD)
    return _rgb((face - ours[i, 0]) * gain[i] + theirs[i, 0] for i, face in enumerate(lab))


def match_light(faces: Image, targets: Image, masks: Mask) -> Image:
    """Put the faces (n, P, P, 3) under the targets' light, as it is on the skin under the masks: its tint wholly, its
    brightness within BRIGHTER, for of that a part is the skin's own, and teeth are much alike."""
    lab = [_lab(face) for face in faces]
    ours = _statistics(lab, masks)[:, 0].mean(axis=0)
    theirs = _statistics([_lab(target) for target in targets], masks)[:, 0].mean(axis=0)
    gain = np.array([np.clip(theirs[0] / max(ours[0], 1e-3), *BRIGHTER), 1, 1])
    shift = np.array([0, *(theirs - ours)[1:]])
    return _rgb(face * gain + shift for face in lab)


def _lab(image: Image) -> Mask:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def _rgb(images: Iterable[Floats]) -> Image:
    rgb = [cv2.cvtColor(image.astype(np.float32), cv2.COLOR_LAB2RGB) for image in images]
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _statistics(images: list[Mask], masks: Mask) -> Floats:
    """(n, 2, 3): weighted mean and standard deviation of each channel, smoothed over the frames."""
    values = []
    for image, mask in zip(images, masks, strict=True):
        weight = mask[..., None] / max(float(mask.sum()), 1e-6)
        mean = (image * weight).sum(axis=(0, 1))
        values.append([mean, np.sqrt((np.square(image - mean) * weight).sum(axis=(0, 1)))])
    return np.asarray(gaussian_filter1d(np.array(values, dtype=float), COLOUR_SIGMA, axis=0, mode="nearest"))
