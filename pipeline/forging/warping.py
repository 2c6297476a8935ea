"""Faces as small patches: cut from frames, warped piecewise, matched in colour, and put back under a soft mask.

Generators render a face at a fixed, low resolution and enlarge it into the frame. So does the forge: all work is done
on square patches in which the face is `width` pixels wide, and the patch's matrix leads back to the frame.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import Delaunay

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

MARGIN = 1.75  # side of a patch in face widths: forehead, neck and background around the landmarks
JAW, BROWS, NOSE, EYES = range(17), range(17, 27), range(27, 36), range(36, 48)
MOUTH, INNER_LIPS = range(48, 68), range(60, 68)
COLOUR_SIGMA = 5.0  # frames over which colour statistics are smoothed, or the face flickers
BRIGHTER = (0.8, 1.25)
# Landmark i of a face is landmark MIRROR[i] of its mirror image.
MIRROR = np.concatenate((
    [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)],  # jaw, brows, nose
    [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40],  # eyes
    [*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65],  # outer and inner lips
))  # fmt: skip


@dataclass(frozen=True)
class Patches:
    """The face in n frames of a clip, P x P pixels each."""

    images: Image  # (n, P, P, 3) RGB
    points: Floats  # (n, 68, 2) pixels of the patch
    matrices: Floats  # (n, 2, 3) affine maps from pixels of the frame to pixels of the patch

    def take(self, order: NDArray[np.intp]) -> "Patches":
        return Patches(self.images[order], self.points[order], self.matrices[order])

    def mirrored(self) -> "Patches":
        """The patches flipped left to right; their matrices lead to nowhere."""
        last = self.images.shape[2] - 1
        points = self.points[:, MIRROR] * (-1, 1) + (last, 0)
        return Patches(np.ascontiguousarray(self.images[:, :, ::-1]), points, self.matrices)


def face_width(points: Floats) -> Floats:
    """(n, 68, 2) -> (n,): the extent of the landmarks across, in their pixels."""
    return np.ptp(points[..., 0], axis=-1)


def cut_patches(frames: Iterable[Image], points: Floats, width: int) -> Patches:
    """Cut a patch around the face of each frame in which the face is `width` px wide. points: (n, 68, 2), frame px."""
    side = round(MARGIN * width)
    scales = width / face_width(points)
    offsets = (side - 1) / 2 - scales[:, None] * points.mean(axis=1)
    matrices = np.zeros((len(points), 2, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = scales
    matrices[:, :, 2] = offsets
    images = [_cut(frame, matrix, side) for frame, matrix in zip(frames, matrices, strict=True)]
    return Patches(np.array(images), scales[:, None, None] * points + offsets[:, None], matrices)


def paste(frame: Image, patch: Image, mask: NDArray[np.float32], matrix: Floats) -> Image:
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


def part_lips(points: Floats) -> Floats:
    """(n, 68, 2) -> (n, 68, 2): lips that have passed through each other meet in the middle."""
    result = points.copy()
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        crossed = result[:, upper, 1] > result[:, lower, 1]
        middle = (result[crossed, upper] + result[crossed, lower]) / 2
        result[crossed, upper] = result[crossed, lower] = middle
    return result


def triangulate(points: Floats) -> NDArray[np.int32]:
    """One Delaunay triangulation for a clip, (T, 3): of the mean of its points (n, K, 2). A new one for each frame
    would make the texture flip from one diagonal to the other."""
    return Delaunay(points.mean(axis=0)).simplices


def warp(image: Image, source: Floats, target: Floats, triangles: NDArray[np.int32]) -> Image:
    """Move the triangles at `source` (K, 2) to `target` (K, 2), each by its affine map; the image stays outside."""
    side = image.shape[0]
    label = np.full((side, side), len(triangles), np.int16)
    corners = target[triangles]  # (T, 3, 2)
    drawn = np.rint(corners * 16).astype(np.int32)
    # A polygon is drawn with its edges, even a flat one: the largest last, or closed lips show a line of teeth.
    for number in np.argsort(np.abs(_area(corners)), kind="stable"):
        cv2.fillConvexPoly(label, drawn[number], int(number), shift=4)
    maps = np.concatenate([_affine(corners, source[triangles]), np.eye(2, 3)[None]])[label]  # (P, P, 2, 3)
    y, x = np.mgrid[:side, :side]
    where = maps[..., 0] * x[..., None] + maps[..., 1] * y[..., None] + maps[..., 2]
    x, y = np.moveaxis(where.astype(np.float32), 2, 0)
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def soft_mask(points: Floats, side: int, erode: float, feather: float) -> NDArray[np.float32]:
    """The convex hull of the points (K, 2) as a mask (side, side) from 0 to 1: shrunk by `erode` px and blurred by a
    Gaussian of `feather` px."""
    hull = cv2.convexHull(np.rint(points * 16).astype(np.int32))
    mask = cv2.fillConvexPoly(np.zeros((side, side), np.uint8), hull, 255, cv2.LINE_AA, shift=4)
    if erode > 0:
        size = 2 * round(erode) + 1
        mask = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), feather), np.float32)


def match_colours(faces: Image, targets: Image, masks: NDArray[np.float32]) -> Image:
    """Give the faces (n, P, P, 3) the mean and spread, under the masks, of each Lab channel of the targets (Reinhard et
    al. 2001), smoothed over time."""
    lab = [_lab(face) for face in faces]
    ours = _statistics(lab, masks)
    theirs = _statistics([_lab(target) for target in targets], masks)
    gain = np.clip(theirs[:, 1] / np.maximum(ours[:, 1], 1e-3), 0.6, 1.5)  # a shadow or glasses must not blow up skin
    return _rgb((face - ours[i, 0]) * gain[i] + theirs[i, 0] for i, face in enumerate(lab))


def match_light(faces: Image, targets: Image, masks: NDArray[np.float32]) -> Image:
    """Put the faces (n, P, P, 3) under the targets' light, as it is on the skin under the masks: its tint wholly, its
    brightness within BRIGHTER, for of that a part is the skin's own, and teeth are much alike."""
    lab = [_lab(face) for face in faces]
    ours = _statistics(lab, masks)[:, 0].mean(axis=0)
    theirs = _statistics([_lab(target) for target in targets], masks)[:, 0].mean(axis=0)
    gain = np.array([np.clip(theirs[0] / max(ours[0], 1e-3), *BRIGHTER), 1, 1])
    shift = np.array([0, *(theirs - ours)[1:]])
    return _rgb(face * gain + shift for face in lab)


def _cut(frame: Image, matrix: Floats, side: int) -> Image:
    scale = matrix[0, 0]
    low = np.floor((-matrix[:, 2]) / scale).astype(int) - 4
    high = np.ceil((side - matrix[:, 2]) / scale).astype(int) + 4
    left, top = np.clip(low, 0, np.array(frame.shape[1::-1]) - 1)
    right, bottom = np.clip(high, 1, frame.shape[1::-1])
    region = np.ascontiguousarray(frame[top:bottom, left:right])
    if scale < 1:  # or the fine pattern of skin and hair folds over into coarse noise
        region = np.asarray(cv2.GaussianBlur(region, (0, 0), 0.5 * float(np.sqrt(scale**-2 - 1))), np.uint8)
    to_patch = matrix.copy()
    to_patch[:, 2] += scale * np.array([left, top])
    patch = cv2.warpAffine(region, to_patch, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(patch, np.uint8)


def _area(corners: Floats) -> Floats:
    """(T, 3, 2) -> (T,): the signed area of each triangle."""
    return np.asarray(np.linalg.det(corners[:, 1:] - corners[:, :1]) / 2)


def _affine(source: Floats, target: Floats) -> Floats:
    """The maps (T, 2, 3) that take each triangle of `source` (T, 3, 2) to that of `target`."""
    edges = source[:, 1:] - source[:, :1]
    flat = np.abs(_area(source)) < 1e-6  # it covers no pixel
    edges[flat] = np.eye(2)
    linear = np.linalg.solve(edges, target[:, 1:] - target[:, :1]).transpose(0, 2, 1)
    shift = target[:, 0] - np.einsum("tij,tj->ti", linear, source[:, 0])
    return np.concatenate([linear, shift[..., None]], axis=2)


def _lab(image: Image) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def _rgb(images: Iterable[Floats]) -> Image:
    rgb = [cv2.cvtColor(image.astype(np.float32), cv2.COLOR_LAB2RGB) for image in images]
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _statistics(images: list[NDArray[np.float32]], masks: NDArray[np.float32]) -> Floats:
    """(n, 2, 3): weighted mean and standard deviation of each channel, smoothed over the frames."""
    values = []
    for image, mask in zip(images, masks, strict=True):
        weight = mask[..., None] / max(float(mask.sum()), 1e-6)
        mean = (image * weight).sum(axis=(0, 1))
        values.append([mean, np.sqrt((np.square(image - mean) * weight).sum(axis=(0, 1)))])
    return np.asarray(gaussian_filter1d(np.array(values, dtype=float), COLOUR_SIGMA, axis=0, mode="nearest"))
