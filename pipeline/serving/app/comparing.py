"""One clip raw, at c23 and at c40 before every detector: the same face, more and more compression.

It is made as the pipeline makes its data: a lossless clip, then x264 at the two rate factors of FaceForensics++.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import dist
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.faces.boxes import Box
from pipeline.serving.app.detectors import Detectors, label
from pipeline.serving.app.watching import watched
from pipeline.serving.inputs import open_medium
from pipeline.serving.judgement import Judgement, Sighting
from pipeline.serving.judging import Looked, judge, look
from pipeline.serving.networks import Networks
from pipeline.serving.page import Shown, suspicious
from pipeline.serving.shipped import Detector
from pipeline.videos.cutting import Excerpt, cut
from pipeline.videos.published import CRF
from pipeline.videos.quality import Quality
from pipeline.videos.reading import probe
from pipeline.videos.writing import transcode
from pipeline.work.errors import VideoError

SECONDS, MAX_SIDE = 3, 640  # of the clip, and px: what params.yaml's `folder` makes of a video
FRAMES = 12  # looked at in each version, as many as `sample` takes
Tell = Callable[[float, str], None]  # share done, what is being done


@dataclass(frozen=True)
class Version:
    """The clip at one compression. name: raw, c23, c40; bytes: of its file."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Cell:
    """What a detector says of a version, and the face that all cells show; None: not found there."""

    judgement: Judgement
    shown: Shown | None


@dataclass(frozen=True)
class Row:
    detector: Detector
    cells: Sequence[Cell]  # as versions

    @property
    def label(self) -> str:
        return label(self.detector)


@dataclass(frozen=True)
class Comparison:
    """came: how the file was compressed before it was compressed here; start, seconds: of the clip in it."""

    versions: Sequence[Version]
    rows: Sequence[Row]
    came: Quality
    start: float
    seconds: float


def compare(source: Path, detectors: Detectors, tell: Tell, fold: int | None = None) -> Comparison:
    """Compare on the seconds of a video that show most faces.

    fold: for a clip of the run, which is one already: the fold that never saw its person. Raises: VideoError for a
    photo, and where the video cannot be read or compressed.
    """
    medium = open_medium(source)
    if medium.photo:
        raise VideoError("a photo has no versions of a video: drop a video to compare")
    with TemporaryDirectory(prefix="compared-") as name:
        first = 0
        if fold is None:
            tell(0.0, "looking for a face")
            found = detectors.family(next(iter(detectors.families))).judge(medium)
            first = _start([one.frame for one in found.sightings], round(SECONDS * medium.fps), medium.frames)
        files = _versions(source, Path(name), tell, first if fold is None else None)
        versions = [Version(name, file.stat().st_size) for name, file in files.items()]
        judged = _judge(files, detectors, tell, fold)
    face = _telling([one for _, _, row in judged for one in row])
    rows = [
        Row(detector, [Cell(one, _shown(one, face, networks)) for one in row]) for detector, networks, row in judged
    ]
    clip = judged[0][2][0].medium
    return Comparison(versions, rows, medium.quality, medium.seconds(first), float(clip.frames / clip.fps))


def _judge(
    files: Mapping[str, Path], detectors: Detectors, tell: Tell, fold: int | None
) -> list[tuple[Detector, Networks, list[Judgement]]]:
    """Faces are searched once a version, for as many detectors as prepare them alike: it takes the most time."""
    compared = detectors.compared()
    seen: dict[tuple[str, str], Looked] = {}
    found, before, total = [], 0, len(compared) * len(files)
    for name, detector in compared:
        networks, row = detectors.family(name, fold).networks(detector.quality), []
        for version, file in files.items():
            what = f"{label(detector)}: {version}"
            key = version, detector.preparation.model_dump_json()
            if key not in seen:

                def told(done: int, wanted: int, before: int = before, what: str = what) -> None:
                    tell((before + done / wanted) / total, what)

                seen[key] = look(watched(open_medium(file), told), detector, count=FRAMES)
            row.append(judge(seen[key], detector, networks))
            before += 1
            tell(before / total, what)
        found.append((row[0].detector, networks, row))
    return found


def _start(seen: Sequence[int], length: int, frames: int) -> int:
    """The first frame of the `length` frames that hold most of the frames seen; the earliest of several."""
    starts = [min(frame, max(frames - length, 0)) for frame in sorted(set(seen))] or [0]
    return max(starts, key=lambda start: (sum(start <= frame < start + length for frame in seen), -start))


def _versions(source: Path, folder: Path, tell: Tell, first: int | None) -> dict[str, Path]:
    """The files of raw, c23, c40. first: the frame to cut the clip from; None: the source is one."""
    raw = source
    if first is not None:
        tell(0.0, "cutting a clip")
        info, raw = probe(source), folder / "raw.mp4"
        cut(source, info, {raw: Excerpt(first, max(round(SECONDS * info.fps), 1), max_side=MAX_SIDE)})
    files = {"raw": raw}
    for name, crf in CRF.items():
        tell(0.0, f"compressing to {name}")
        files[name] = folder / f"{name}.mp4"
        transcode(raw, files[name], crf)
    return files


def _telling(judged: Sequence[Judgement]) -> Sighting | None:
    """The face to show: with the highest score that any gives, in a frame where all find a face if there is one."""
    everywhere = set.intersection(*({one.frame for one in judgement.sightings} for judgement in judged))
    faces = [one for judgement in judged for one in judgement.sightings]
    return max(faces, key=lambda one: (one.frame in everywhere, one.usable, one.score), default=None)


def _shown(judgement: Judgement, face: Sighting | None, networks: Networks) -> Shown | None:
    """The face of that frame and place as this judgement has it."""
    here = [(n, one) for n, one in enumerate(judgement.sightings) if face is not None and one.frame == face.frame]
    if face is None or not here:
        return None
    place, sighting = min(here, key=lambda pair: dist(_centre(pair[1].box), _centre(face.box)))
    track = next(track for track in judgement.tracks if track.number == sighting.track)
    alone = replace(judgement, tracks=[replace(track, sightings=[sighting])], crops=judgement.crops[[place]])
    return suspicious(alone, networks, count=1)[0]


def _centre(box: Box) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[2] / 2
