"""The square box of a face in each sampled frame of a video, found once, on raw, and its pixels for the crops.

The face is the largest, unless the fakes that are made of the video forge another one (see forged.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.faces.boxes import Box, Image, archive_name, cut, writing
from pipeline.faces.forged import NO_TARGET, Comparison, Fake, Refused, is_forged
from pipeline.faces.geometry import Face, square_box
from pipeline.faces.search import detect_all, find_again
from pipeline.videos.reading import read_frames

Row = tuple[int, int, int, int, str] | tuple[int, None, None, None, str]  # frame, left, top, size, cause
NO_FACE = "no face found"
# When a target is compared with its fakes, to find the face that they forge.
#   several: where it shows several faces. For the fakes of our own forge.
#   unproved: also where its first frames do not prove that the forged face is the largest. For published fakes.
#   always: in every video. For the fakes that a user brings.
When = Literal["several", "unproved", "always"]


@dataclass(frozen=True)
class Search:
    """params.yaml's faces. max_side: see search.detect_all; enlarge: see geometry.square_box; near: see follow."""

    max_side: int
    enlarge: float
    near: int = 0


class Job(NamedTuple):
    """A video and the frames to search.

    fakes: made of it; compare: when it is compared with them; targetless: it is a fake itself, and its target is not
    there.
    """

    video: str
    frames: Sequence[int]
    fakes: Sequence[Fake] = ()
    compare: When = "several"
    targetless: bool = False


class Searched(NamedTuple):
    """Of a video. rows: one a frame; refused: frames of its fakes that show no forged face in the box; chosen: how many
    frames have another face than the largest."""

    rows: list[Row]
    refused: list[Refused]
    chosen: int


def find_video(job: Job, videos: Path, search: Search, keep: Path) -> Searched:
    """Search the frames of the job; the pixels of the faces found go to <keep>/<video>.zip."""
    path, archive = videos / f"{job.video}.mp4", keep / archive_name(job.video)
    rows: list[Row] = []
    largest: dict[int, Face | None] = {}
    several = False
    with writing(archive) as write:
        for frame, image, faces in follow(read_frames(path, job.frames), search):
            largest[frame] = faces[0] if faces else None
            several = several or len(faces) > 1
            if job.targetless and len(faces) > 1:
                rows.append((frame, None, None, None, NO_TARGET))
            else:
                rows.append(_keep(write, frame, image, largest[frame], search))
    if not _to_compare(job, path, largest, several):
        return Searched(rows, [], 0)
    comparison = Comparison(path, job.fakes, largest)
    chosen = 0
    if any(comparison.forged.get(frame) != face for frame, face in largest.items()):
        before = rows
        with writing(archive) as write:
            rows = [_keep(write, frame, image, face, search) for frame, image, face in comparison.follow()]
        chosen = sum(row[1:4] != old[1:4] for row, old in zip(rows, before, strict=True) if row[3] is not None)
    squares: dict[int, Box] = {row[0]: row[1:4] for row in rows if row[3] is not None}
    return Searched(rows, list(comparison.refused(squares, several)), chosen)


def follow(frames: Iterable[tuple[int, Image]], search: Search) -> Iterator[tuple[int, Image, list[Face]]]:
    """Yield each frame (number, RGB image (H, W, 3)) with its faces, the largest first.

    search.near: a frame at most so many frames after one that was searched whole, with a face found, is searched
    around the last face first, for this one alone, and whole where that fails.
    """
    last: Face | None = None
    searched = 0
    for frame, image in frames:
        again = find_again(image, last) if last is not None and frame - searched <= search.near else None
        faces = [again] if again is not None else []
        if again is None:
            faces, searched = detect_all(image, search.max_side), frame
        last = faces[0] if faces else None
        yield frame, image, faces


def _to_compare(job: Job, path: Path, largest: Mapping[int, Face | None], several: bool) -> bool:
    """Whether to look into the fakes of the video `path`. several: it shows more than one face."""
    if not job.fakes:
        return False
    if several or job.compare == "always":
        return True
    return job.compare == "unproved" and not is_forged(path, job.fakes, largest)


def _keep(write: Callable[[int, Image], None], frame: int, image: Image, face: Face | None, search: Search) -> Row:
    """Keep the pixels of the square around the face; its row."""
    if face is None:
        return frame, None, None, None, NO_FACE
    height, width = image.shape[:2]
    box: Box = square_box(face, width, height, search.enlarge)
    write(frame, cut(image, box))
    return frame, *box, ""
