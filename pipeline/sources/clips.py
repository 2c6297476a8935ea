"""What every source yields: clips, cut out of a file or linked as they are, and where in a long video they are cut."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.videos.cutting import Excerpt, cut
from pipeline.videos.probing import VideoInfo
from pipeline.videos.reading import probe
from pipeline.work.files import link


@dataclass(frozen=True)
class Clip:
    """One video of a set as the manifest will list it, and how it is cut out of the source's file.

    info: what examining the file found, as `cut` is to take it; None where the file is known.
    as_is: the same for a file that is comparable already, and so is linked, not cut.
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
    excerpt: Excerpt = field(default_factory=Excerpt)
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

    They are cut in one decoding of the file. One that turns out with fewer frames than wanted is refused.
    Raises: VideoError where none can be cut.
    """
    linked = [clip for clip in clips if clip.as_is is not None]
    for clip in linked:
        link(clip.file, _place(clip, folder))
    infos = {clip.video: clip.as_is for clip in linked}
    if wanted := [clip for clip in clips if clip.as_is is None]:
        file, known = wanted[0].file, wanted[0].info
        made = cut(file, known or probe(file), {_place(clip, folder): clip.excerpt for clip in wanted})
        infos |= {clip.video: info for clip, info in zip(wanted, made, strict=True)}
    return [_checked(clip, infos[clip.video], folder) for clip in clips]


def _place(clip: Clip, folder: Path) -> Path:
    return folder / f"{clip.video}.mp4"


def _checked(clip: Clip, info: VideoInfo | None, folder: Path) -> dict[str, object] | Refused:
    assert info is not None  # linked, or cut
    wanted = clip.excerpt
    if clip.as_is is None and wanted.frames is not None and info.frames != wanted.frames:
        _place(clip, folder).unlink()
        where = f"at {wanted.start:.2f} s" if wanted.fps else f"from frame {wanted.first} on"
        return Refused(clip.video, f"{info.frames} frames could be cut {where}, not {wanted.frames}")
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


def place_clips(stretches: Sequence[int], frames: int, clips: int) -> list[tuple[int, int, int]]:
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
