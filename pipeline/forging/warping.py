"""Faces as small patches: cut from frames and warped, triangle by triangle.

Generators render a face at a fixed, low resolution and enlarge it into the frame. So does the forge: all work is done
on square patches in which the face is `width` pixels wide, and the patch's matrix leads back to the frame.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

MARGIN = 1.75  # side of a patch in face widths: forehead, neck and background around the landmarks
JAW, BROWS, EYES = range(17), range(17, 27), range(36, 48)
MOUTH, INNER_LIPS = range(48, 68), range(60, 68)
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


def fit_affine(source: Floats, target: Floats) -> Floats:
    """The affine map (3, 2) that takes the points `source` (K, 2) nearest to `target`: [x, y, 1] @ map."""
    return np.asarray(np.linalg.lstsq(np.column_stack([source, np.ones(len(source))]), target, rcond=None)[0], float)


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
