"""What every source yields, clips to cut, and where in a video they are taken."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from pipeline.videos.probing import VideoInfo
from pipeline.videos.writing import cut
from pipeline.work.errors import VideoError
from pipeline.work.files import link


@dataclass(frozen=True)
class Clip:
    """One video of a set as the manifest will list it, and how it is cut out of the source's file.

    start: seconds; frames: how many (None: to the end); crop: (left, top, width, height), px; size: (width, height)
    that it is scaled to, px; fps, max_side: see `video.cut`; exact: fewer frames than wanted are an error.
    as_is: what probing found in a file that is whole and comparable already, and so is linked, not cut.
    """

    video: str
    file: Path
    person: str
    bucket: str
    source: str
    licence: str
    label: int = 0
    target: str = ""
    donor: str = ""
    start: float = 0.0
    frames: int | None = None
    fps: Fraction | None = None
    crop: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None
    max_side: int | None = None
    exact: bool = True
    as_is: VideoInfo | None = None
    parameters: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A video that the source has but does not offer, and why."""

    video: str
    cause: str


def store(clip: Clip, folder: Path) -> dict[str, object]:
    """Leave the clip as <folder>/<video>.mp4, lossless or linked as it is, and return its row of the manifest.

    Raises: VideoError where it cannot be cut.
    """
    path = folder / f"{clip.video}.mp4"
    if clip.as_is is not None:
        link(clip.file, path)
        info = clip.as_is
    else:
        info = _cut(clip, path)
    return {
        "video": clip.video,
        "person": clip.person,
        "bucket": clip.bucket,
        "label": clip.label,
        "target": clip.target,
        "donor": clip.donor,
        "frames": info.frames,
        "fps": float(info.fps),
        "width": info.width,
        "height": info.height,
        "parameters": json.dumps(clip.parameters, sort_keys=True, separators=(",", ":")),
        "source": clip.source,
        "licence": clip.licence,
    }


def _cut(clip: Clip, path: Path) -> VideoInfo:
    info = cut(
        clip.file,
        path,
        start=clip.start,
        frames=clip.frames,
        fps=clip.fps,
        crop=clip.crop,
        size=clip.size,
        max_side=clip.max_side,
    )
    if clip.exact and clip.frames is not None and info.frames != clip.frames:
        path.unlink()
        raise VideoError(f"{info.frames} frames could be cut at {clip.start:.2f} s, not {clip.frames}")
    return info


def spread(stretches: Sequence[int], frames: int, clips: int) -> list[tuple[int, int, int]]:
    """Choose at most `clips` clips of at most `frames` frames, far apart and without overlap, in stretches of frames.

    Each goes where most room is left; a stretch that is shorter than a clip gives one, of its own length.
    Returns (stretch, first frame in it, number of frames), in order.
    """
    taken = [0] * len(stretches)
    for _ in range(clips):
        free = [i for i, length in enumerate(stretches) if taken[i] < max(1, length // frames)]
        if not free:
            break
        roomiest = max(free, key=lambda i: stretches[i] / (taken[i] + 1))
        taken[roomiest] += 1
    chosen = []
    for i, (length, count) in enumerate(zip(stretches, taken, strict=True)):
        room = max(0, length - frames)
        for k in range(count):
            first = room // 2 if count == 1 else room * k // (count - 1)
            chosen.append((i, first, min(frames, length)))
    return chosen
