"""Reenactment: the target keeps face, pose and light; mouth and jaw follow the donor's expression.

After Face2Face (Thies et al. 2016) in the plane: the donor's landmarks, freed of pose, tell how far mouth and jaw have
moved from their rest; the target's are moved as far from theirs, and its lower face is warped to them. What shows
between the lips is the donor's.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.forging.donors import pose, swing
from pipeline.forging.warping import (
    INNER_LIPS,
    JAW,
    MOUTH,
    Patches,
    match_light,
    part_lips,
    soft_mask,
    triangulate,
    warp,
)

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]

OTHER_PERSON = False
# Eyes, nose and upper jaw: what speech does not move tells the head's pose.
RIGID = [0, 1, 2, 14, 15, 16, *range(27, 36), *range(36, 48)]
REST = 0.25  # share of the frames, those with the mouth most closed, whose mean is the face at rest
# How much of the expression each landmark takes: all of it in the mouth and chin, ever less up the jaw.
SHARE = np.zeros((68, 1))
SHARE[list(MOUTH)] = 1
SHARE[3:14, 0] = [0.1, 0.25, 0.5, 0.8, 1, 1, 1, 0.8, 0.5, 0.25, 0.1]
REACH, RING = 1.1, 1.45  # the mask ends, and the warp fades out, this many times as far from the nose as the jaw is
FEATHER = 0.05  # of the face's width
LIP_FEATHER = 0.7  # px of the patch


def forge(target: Patches, donor: Patches, rng: np.random.Generator) -> tuple[Image, NDArray[np.float32]]:
    """The faces to paste (n, P, P, 3) and their masks (n, P, P), for the n frames of the target.

    The donor's clip runs from a frame that rng draws, to and fro where it is shorter than the target's.
    """
    start = int(rng.integers(len(donor.points)))
    order = swing(start, len(target.points), len(donor.points))
    moved = transfer(target.points, expression(donor.points)[order])
    donor = donor.take(order)
    ours, wanted = _with_ring(target.points, target.points), _with_ring(moved, target.points)
    triangles = triangulate(ours)
    faces = [warp(*parts, triangles) for parts in zip(target.images, ours, wanted, strict=True)]
    side, width = target.images.shape[1], np.ptp(target.points[0, :, 0])
    outlines = (_outline(*pair) for pair in zip(target.points, moved, strict=True))
    masks = np.array([soft_mask(outline, side, 0, FEATHER * width) for outline in outlines])
    mouths = zip(faces, moved, match_light(donor.images, target.images, masks), donor.points, strict=True)
    return np.array([_fill_mouth(*mouth) for mouth in mouths]), masks


def expression(points: Floats) -> Floats:
    """(n, 68, 2) -> (n, 68, 2): how far each landmark is from the face at rest, the head's pose taken out."""
    rest = _rest(points)
    return np.array([_apply(_fit(p[RIGID], rest[RIGID]), p) for p in points]) - rest


def transfer(points: Floats, expressions: Floats) -> Floats:
    """Give the face at `points` (n, 68, 2) other expressions, by SHARE; its own ones are taken out likewise."""
    rest = _rest(points)
    posed = np.array([_apply(_fit(rest[RIGID], p[RIGID]), rest + e) for p, e in zip(points, expressions, strict=True)])
    return part_lips(points + SHARE * (posed - points))


def _rest(points: Floats) -> Floats:
    opening = pose(points)[:, 2]
    return points[np.argsort(opening, kind="stable")[: max(round(REST * len(points)), 1)]].mean(axis=0)


def _fit(source: Floats, target: Floats) -> Floats:
    """The affine map (3, 2) that takes the points `source` (K, 2) nearest to `target`."""
    return np.asarray(np.linalg.lstsq(np.column_stack([source, np.ones(len(source))]), target, rcond=None)[0], float)


def _apply(matrix: Floats, points: Floats) -> Floats:
    return points @ matrix[:2] + matrix[2]


def _with_ring(points: Floats, still: Floats) -> Floats:
    """(n, 68, 2) -> (n, 85, 2): a ring around the jaw of the face `still`, which does not move."""
    nose = still[:, 30:31]
    return np.concatenate([points, nose + RING * (still[:, list(JAW)] - nose)], axis=1)


def _outline(target: Floats, moved: Floats) -> Floats:
    """The lower face, before and after, from the bridge of the nose to a little beyond the jaw."""
    jaw = np.concatenate([target[2:15], moved[2:15]])
    return np.concatenate([target[30] + REACH * (jaw - target[30]), target[29:30]])


def _fill_mouth(face: Image, points: Floats, lender: Image, theirs: Floats) -> Image:
    """Show the lender's open mouth between the lips at `points`."""
    mask = soft_mask(points[list(INNER_LIPS)], len(face), 0, LIP_FEATHER)[..., None]
    to_lender = _fit(points[list(MOUTH)], theirs[list(MOUTH)]).T
    inside = cv2.warpAffine(lender, to_lender, face.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.rint(face + mask * (inside.astype(np.float32) - face)).astype(np.uint8)
