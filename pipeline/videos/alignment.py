"""Whether two videos show the same moments at the same frame numbers, as a fake and its target must.

A tool that made a fake may have repeated or dropped frames, or begun elsewhere, and still have left as many. Nothing
but the pictures tells: outside the face those of a fake are its target's.
"""

import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.videos.ffmpeg_process import running, source

SIDE = 24  # px of the grey thumbnails that are compared
CAP = 12  # grey levels: a pixel of the face, which differs whatever the moment, counts no more than this
REACH = 64  # frames, each way
MOVED = 0.5  # grey levels in the mean: less does not tell two frames of the target from each other
SHARE = 0.1  # of the frames that can be told apart

Thumbnails = NDArray[np.int16]  # (N, SIDE * SIDE)


def difference(fake: Path, target: Path) -> str:
    """How frames of a fake go with other frames of its target than those of their number; empty where they do not.

    Where nothing moves, nothing can be told, and they pass. Raises: VideoError where one cannot be decoded.
    """
    return compare(_thumbnails(fake), _thumbnails(target))


def compare(fake: Thumbnails, target: Thumbnails) -> str:
    """The same for thumbnails (N, P) of as many frames of both.

    Frame i of the fake goes with frame j of the target where it is nearer to it than to frame i, by more than half of
    what these two differ by. That must hold for a share of the frames, with j growing as i does: a head that moves
    in another way than its target's also resembles, now and then, another frame.
    """
    count = min(len(fake), len(target))
    fake, target = fake[:count], target[:count]
    own = _distance(fake, target)
    nearest, matched, apart = own.copy(), np.arange(count), np.zeros(count)
    told = np.zeros(count, dtype=bool)
    for shift in [s for reach in range(1, min(REACH, count - 1) + 1) for s in (reach, -reach)]:
        i = np.arange(max(0, -shift), min(count, count - shift))
        here, moved = _distance(fake[i], target[i + shift]), _distance(target[i], target[i + shift])
        told[i] |= moved >= MOVED
        nearer = i[here < nearest[i]]
        nearest[nearer], matched[nearer], apart[nearer] = here[nearer - i[0]], nearer + shift, moved[nearer - i[0]]
    other = np.flatnonzero((apart >= MOVED) & (own - nearest > apart / 2))
    if len(other) < 3 or len(other) < SHARE * told.sum():
        return ""
    progress = (matched[other[-1]] - matched[other[0]]) / (other[-1] - other[0])
    steps = np.diff(matched[other]) / np.diff(other)
    if not 0.25 <= progress <= 4 or np.median(steps) <= 0:
        return ""
    first = int(other[0])
    return f"its frame {first} shows what frame {matched[first]} of its target shows; {len(other)} of {count} differ so"


def _distance(one: Thumbnails, other: Thumbnails) -> NDArray[np.float64]:
    """Between each two frames, grey levels: (N,)."""
    apart = one - other
    np.minimum(np.abs(apart, out=apart), CAP, out=apart)
    return apart.sum(axis=1, dtype=np.int32) / apart.shape[1]


def _thumbnails(path: Path) -> Thumbnails:
    options = {"map": "0:V:0", "fps_mode": "passthrough", "format": "rawvideo"}
    output = source(path).output("pipe:", vf=f"scale={SIDE}:{SIDE}:flags=area,format=gray", **options)
    with running(output, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        data = process.stdout.read()
    return np.frombuffer(data, np.uint8).reshape(-1, SIDE * SIDE).astype(np.int16)
