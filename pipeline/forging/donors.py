"""Who lends a face or an expression: another clip of the same bucket, as near as can be in the turn of the head."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_STEP = 2  # donor frames passed over, or turned back, from one frame of the target to the next
YAW_TIE = 0.1  # clips within this turn of the nearest one tear no worse: the seed chooses among them


@dataclass(frozen=True)
class Clip:
    """What the choice of a donor needs to know of a video."""

    video: str
    person: str
    bucket: str
    yaw: float  # mean over the clip, see `pose`


@dataclass(frozen=True)
class Donor:
    video: str
    mirrored: bool  # flipped left to right, which turns the head to the target's side
    yaw_difference: float


def generator(*key: object) -> np.random.Generator:
    """Random numbers that depend on the key alone; Python's own hash() differs from run to run."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def choose(
    target: Clip, clips: Sequence[Clip], count: int, other_person: bool, rng: np.random.Generator
) -> list[Donor]:
    """At most `count` donors of the target's bucket, nearest in yaw, none twice and of different people if there are.

    other_person: the donor may not show the target's person. Empty where the bucket has nobody to lend a face.
    """
    pool = []
    for clip in sorted(clips, key=lambda clip: clip.video):
        if (
            clip.bucket != target.bucket
            or clip.video == target.video
            or (other_person and clip.person == target.person)
        ):
            continue
        turned = abs(clip.yaw + target.yaw) + YAW_TIE < abs(clip.yaw - target.yaw)  # a flip moves partings and moles
        difference = abs(clip.yaw + target.yaw) if turned else abs(clip.yaw - target.yaw)
        pool.append((clip.person, Donor(clip.video, turned, round(difference, 3))))
    chosen: list[Donor] = []
    people: set[str] = set()
    while pool and len(chosen) < count:
        fresh = [entry for entry in pool if entry[0] not in people] or pool
        nearest = min(donor.yaw_difference for _, donor in fresh)
        close = [entry for entry in fresh if entry[1].yaw_difference <= nearest + YAW_TIE]
        entry = close[rng.integers(len(close))]
        pool.remove(entry)
        people.add(entry[0])
        chosen.append(entry[1])
    return chosen


def pose(points: Floats) -> Floats:
    """(n, 68, 2) -> (n, 3): yaw, pitch and mouth opening, each in face widths.

    Yaw: how far the nose tip lies from the middle between the ears, positive to the image's right. Pitch: how far
    below the eyes the nose tip is. In an upright frontal face about 0 and 0.3.
    """
    left, right, nose = points[:, 0], points[:, 16], points[:, 30]
    across = right - left
    width = np.linalg.norm(across, axis=1)
    down = np.stack([-across[:, 1], across[:, 0]], axis=1)
    eyes = points[:, 36:48].mean(axis=1)
    yaw = np.einsum("ni,ni->n", nose - (left + right) / 2, across) / width**2
    pitch = np.einsum("ni,ni->n", nose - eyes, down) / width**2
    opening = np.einsum("ni,ni->n", points[:, 66] - points[:, 62], down) / width**2
    return np.stack([yaw, pitch, opening], axis=1)


def follow(target: Floats, donor: Floats) -> NDArray[np.intp]:
    """Which donor frame stands for each target frame, so that pose and mouth are alike and time runs smoothly.

    target (n, d), donor (m, d): features of the frames. Returns (n,): the path of least summed squared distance whose
    steps are at most MAX_STEP frames, forwards or back (dynamic programming).
    """
    cost = np.square(target[:, None] - donor[None]).sum(axis=2)  # (n, m)
    steps = range(-MAX_STEP, MAX_STEP + 1)
    total, back = cost[0], np.zeros(cost.shape, dtype=np.intp)
    here = np.arange(cost.shape[1])
    for row in range(1, len(cost)):
        before = np.stack([_shifted(total, step) for step in steps])
        best = before.argmin(axis=0)
        back[row] = here - (best - MAX_STEP)
        total = before[best, here] + cost[row]
    path = np.empty(len(cost), dtype=np.intp)
    path[-1] = total.argmin()
    for row in range(len(cost) - 1, 0, -1):
        path[row - 1] = back[row, path[row]]
    return path


def swing(start: int, count: int, length: int) -> NDArray[np.intp]:
    """`count` numbers of frames from `start`, forwards to the last of `length` frames, back to the first, and so on."""
    if length == 1:
        return np.zeros(count, dtype=np.intp)
    phase = (start + np.arange(count)) % (2 * (length - 1))
    return np.minimum(phase, 2 * (length - 1) - phase)


def _shifted(total: Floats, step: int) -> Floats:
    """Entry i is the total at i - step; infinite beyond the ends."""
    result = np.full_like(total, np.inf)
    if step > 0:
        result[step:] = total[:-step]
    elif step < 0:
        result[:step] = total[-step:]
    else:
        result[:] = total
    return result
