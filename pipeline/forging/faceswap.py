"""Faceswap: the donor's face, from brows to chin, worn by the target with the target's pose and expression."""

import numpy as np
from numpy.typing import NDArray

from pipeline.forging.blending import fill_mouth, match_colours, soft_mask
from pipeline.forging.donors import follow, pose
from pipeline.forging.warping import BROWS, EYES, JAW, Patches, part_lips, triangulate, warp

Floats = NDArray[np.float64]

LIFT = 0.5  # brows are doubled this much of their distance to the eyes higher, so that the swap takes them in
ERODE, FEATHER = 0.06, 0.05  # of the face's width: the mask ends inside the face, softly


def forge(target: Patches, donor: Patches, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The faces to paste (n, P, P, 3) and their masks (n, P, P), for the n frames of the target.

    Of the donor's frames those alike in pose and mouth are taken; between the lips the target's own teeth stay, as the
    donor may be silent when the target speaks. rng: unused, the match leaves nothing to chance.
    """
    donor = donor.take(follow(pose(target.points), pose(donor.points)))
    theirs, ours = _with_forehead(part_lips(donor.points)), _with_forehead(part_lips(target.points))
    triangles = triangulate(ours)
    faces = np.array([warp(*parts, triangles) for parts in zip(donor.images, theirs, ours, strict=True)])
    side = faces.shape[1]
    width = np.ptp(target.points[0, :, 0])
    outline = [*JAW, *range(68, 78)]
    masks = np.array([soft_mask(points[outline], side, ERODE * width, FEATHER * width) for points in ours])
    faces = match_colours(faces, target.images, masks)
    mouths = zip(faces, target.points, target.images, target.points, strict=True)
    return np.array([fill_mouth(*mouth) for mouth in mouths]), masks


def _with_forehead(points: Floats) -> Floats:
    """(n, 68, 2) -> (n, 78, 2): the brows once more, moved away from the eyes."""
    brows, eyes = points[:, list(BROWS)], points[:, list(EYES)].mean(axis=1, keepdims=True)
    up = (brows.mean(axis=1, keepdims=True) - eyes) * LIFT
    return np.concatenate([points, brows + up], axis=1)
