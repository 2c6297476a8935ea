"""What every source yields, clips to cut, and where in a video they are taken."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from pipeline.videos.probing import VideoInfo
from pipeline.videos.reading import probe
from pipeline.videos.writing import Part, cut
from pipeline.work.files import link


@dataclass(frozen=True)
class Clip:
    """One video of a set as the manifest will list it, and how it is cut out of the source's file.

    first_frame, frames, start, fps, crop, size, max_side: see `writing.Part`.
    info: what examining found in the file, and what of it the clip is made by; None where the file is known.
    as_is: the same of a file that is comparable already, and so is linked, not cut.
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
    first_frame: int = 0
    frames: int | None = None
    start: float = 0.0
    fps: Fraction | None = None
    crop: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None
    max_side: int | None = None
    info: VideoInfo | None = None
    as_is: VideoInfo | None = None
    parameters: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A video that the source has but does not offer, and why."""

    video: str
    cause: str


def store(clips: Sequence[Clip], folder: Path) -> list[dict[str, object] | Refused]:
    """Leave clips of one file as <folder>/<video>.mp4, lossless or linked as they are; their rows of the manifest.

    They are cut in one decoding of the file. One that has fewer frames than wanted is refused.
    Raises: VideoError where none can be cut.
    """
    linked = [clip for clip in clips if clip.as_is is not None]
    for clip in linked:
        link(clip.file, _place(clip, folder))
    infos = {clip.video: clip.as_is for clip in linked}
    if wanted := [clip for clip in clips if clip.as_is is None]:
        file, known = wanted[0].file, wanted[0].info
        made = cut(file, known or probe(file), [_part(clip, folder) for clip in wanted])
        infos |= {clip.video: info for clip, info in zip(wanted, made, strict=True)}
    return [_checked(clip, infos[clip.video], folder) for clip in clips]


def _place(clip: Clip, folder: Path) -> Path:
    return folder / f"{clip.video}.mp4"


def _part(clip: Clip, folder: Path) -> Part:
    return Part(
        _place(clip, folder), clip.first_frame, clip.frames, clip.start, clip.fps, clip.crop, clip.size, clip.max_side
    )


def _checked(clip: Clip, info: VideoInfo | None, folder: Path) -> dict[str, object] | Refused:
    assert info is not None  # linked, or cut
    if clip.as_is is None and clip.frames is not None and info.frames != clip.frames:
        _place(clip, folder).unlink()
        where = f"at {clip.start:.2f} s" if clip.fps else f"from frame {clip.first_frame} on"
        return Refused(clip.video, f"{info.frames} frames could be cut {where}, not {clip.frames}")
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
