"""Reenactment: the target keeps face, pose and light; mouth and jaw follow the donor's expression.

After Face2Face (Thies et al. 2016) in the plane: the donor's landmarks, freed of pose, tell how far mouth and jaw have
moved from their rest; the target's are moved as far from theirs, and its lower face is warped to them. What shows
between the lips is the donor's where its mouth is open more nearly as wanted than the target's own.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.forging.blending import fill_mouth, match_light, soft_mask
from pipeline.forging.donors import pose, swing
from pipeline.forging.warping import JAW, MOUTH, Patches, face_width, fit_affine, part_lips, triangulate, warp

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]

# Eyes, nose and upper jaw: what speech does not move tells the head's pose.
RIGID = [0, 1, 2, 14, 15, 16, *range(27, 36), *range(36, 48)]
REST = 0.25  # share of the frames, those with the mouth most closed, whose mean is the face at rest
# How much of the expression each landmark takes: all of it in the mouth and chin, ever less up the jaw.
SHARE = np.zeros((68, 1))
SHARE[list(MOUTH)] = 1
SHARE[3:14, 0] = [0.1, 0.25, 0.5, 0.8, 1, 1, 1, 0.8, 0.5, 0.25, 0.1]
REACH, RING = 1.1, 1.45  # the mask ends, and the warp fades out, this many times as far from the nose as the jaw is
LIMIT = 0.15  # face widths that a landmark moves at most: beyond, a warp in the plane makes a grimace
FEATHER = 0.05  # of the face's width


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
    lent = match_light(donor.images, target.images, masks)
    mouths = zip(faces, moved, lent, donor.points, _lending(target.points, moved, donor.points), strict=True)
    return np.array([fill_mouth(*mouth) for mouth in mouths]), masks


def expression(points: Floats) -> Floats:
    """(n, 68, 2) -> (n, 68, 2): how far each landmark is from the face at rest, the head's pose taken out."""
    rest = _rest(points)
    return np.array([_apply(fit_affine(p[RIGID], rest[RIGID]), p) for p in points]) - rest


def transfer(points: Floats, expressions: Floats) -> Floats:
    """Give the face at `points` (n, 68, 2) other expressions, by SHARE; its own ones are taken out likewise."""
    rest = _rest(points)
    posed = np.array(
        [_apply(fit_affine(rest[RIGID], p[RIGID]), rest + e) for p, e in zip(points, expressions, strict=True)]
    )
    move = SHARE * (posed - points)
    limit = LIMIT * face_width(points)[:, None, None]
    farthest = np.linalg.norm(move, axis=2).max(axis=1)[:, None, None] + 1e-6
    return part_lips(points + move * limit * np.tanh(farthest / limit) / farthest)


def _lending(points: Floats, moved: Floats, theirs: Floats) -> Floats:
    """(n,): how much of the mouth's inside the donor lends: the more, the nearer its mouth is to being open as wide as
    wanted, and the less near the target's own is."""
    ours, wanted, lent = (pose(each)[:, 2] for each in (points, moved, theirs))
    return np.square(ours - wanted) / (np.square(ours - wanted) + np.square(lent - wanted) + 1e-6)


def _rest(points: Floats) -> Floats:
    opening = pose(points)[:, 2]
    return points[np.argsort(opening, kind="stable")[: max(round(REST * len(points)), 1)]].mean(axis=0)


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
