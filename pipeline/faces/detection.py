"""The square box of a face in each sampled frame, found once, on raw, and its pixels for the crops.

The face is the largest, unless the fakes that are made of the video forge another one (see forged.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from pipeline.faces.boxes import BOX, COLUMNS, REFUSED, TABLE, Box, Image, archive_name, cut, write_refused, writing
from pipeline.faces.forged import NO_TARGET, Comparison, Fake, Refused, is_forged
from pipeline.faces.geometry import Face, square_box
from pipeline.faces.search import detect_all, find_again
from pipeline.videos.manifests import read_manifest
from pipeline.videos.reading import read_frames
from pipeline.work.errors import NothingUsable
from pipeline.work.files import whole
from pipeline.work.parallel import Rejected, map_videos
from pipeline.work.resume import Scratch

Row = tuple[int, int, int, int, str] | tuple[int, None, None, None, str]  # frame, left, top, size, cause
NO_FACE = "no face found"
# When a target's fakes are compared with it, to find the face that is forged.
#   several: where the target shows several faces. Fakes that are forged here: of one face there is no doubt.
#   unproved: also where the first frames do not prove that it is the largest face. Fakes that a data set publishes.
#   always: fakes that a user brings, of which nothing is known.
When = Literal["several", "unproved", "always"]
STRICTER: tuple[When, ...] = ("several", "unproved", "always")


@dataclass(frozen=True)
class Search:
    """params.yaml's faces. max_side: see faces.detect; enlarge: see faces.square_box; near: see follow."""

    max_side: int
    enlarge: float
    near: int = 0


class Job(NamedTuple):
    """A video and the frames to search.

    fakes: made of it; compare: when they are compared with it; targetless: it is a fake itself, and its target is not
    there."""

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


class Outcome(NamedTuple):
    """Numbers of frames. found: with a face; frames: in all; chosen: with another face than the largest; refused: of
    fakes, without a forged face."""

    found: int
    frames: int
    chosen: int = 0
    refused: int = 0


def detect_set(
    videos: Path,
    frames: pd.DataFrame,
    out: Path,
    search: Search,
    workers: int | None = None,
    cluster: str | None = None,
    fakes: Mapping[Path, When] | None = None,
) -> Outcome:
    """Leave in `out` what pipeline.faces.boxes tells of, for the frames: rows (video, frame, ...) of the set.

    fakes: the folders of the sets of fakes, for the originals; when each is compared with its targets.
    Raises: UserError where no frame has a face.
    """
    jobs = _jobs(videos, frames, fakes or {})
    what = f"detect {videos.name}"
    rows: list[tuple[object, ...]] = []
    refused: list[Refused] = []
    chosen = 0
    inputs = [videos, *(fakes or {})]
    with Scratch(f"detect-{videos.name}", out, {"search": search, "jobs": jobs}, inputs) as scratch:
        scratch.require_room(_need(videos, jobs), what)
        work = partial(find_video, videos=videos, search=search, keep=scratch.folder)
        results = map_videos(
            work, jobs, workers=workers, cluster=cluster, what=what, name=lambda job: job.video, keep=scratch
        )
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Rejected):
                rows += [(job.video, frame, None, None, None, result.cause) for frame in job.frames]
                continue
            rows += [(job.video, *row) for row in result.rows]
            refused += result.refused
            chosen += result.chosen
            if any(row[3] is not None for row in result.rows):
                scratch.link(archive_name(job.video), out)
        table = pd.DataFrame(rows, columns=COLUMNS)
        table = table.astype(dict.fromkeys(BOX, "Int64") | {"frame": "int64"})
        found = int(table["size"].notna().sum())
        if not found:
            raise NothingUsable(f"{videos}: no face in any of the {len(table)} sampled frames")
        write_refused(out / REFUSED, refused)
        with whole(out / TABLE) as part:
            table.to_parquet(part, index=False)
    return Outcome(found, len(table), chosen, len(refused))


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


def _jobs(videos: Path, frames: pd.DataFrame, fakes: Mapping[Path, When]) -> list[Job]:
    made: dict[str, list[Fake]] = {}
    compare: dict[str, When] = {}
    for folder, when in fakes.items():
        for row in read_manifest(folder).to_dict("records"):
            video, target = str(row["video"]), str(row["target"])
            made.setdefault(target, []).append(Fake(folder.name, video, folder / f"{video}.mp4"))
            compare[target] = max(when, compare.get(target, "several"), key=STRICTER.index)
    targets = set(read_manifest(videos.with_name("original"))["video"]) if videos.name != "original" else set()
    jobs = []
    for name, rows in frames.groupby("video"):
        video, first = str(name), rows.iloc[0]
        alone = first["label"] == 1 and first["target"] not in targets
        wanted = [int(frame) for frame in rows["frame"]]
        jobs.append(Job(video, wanted, tuple(made.get(video, ())), compare.get(video, "several"), bool(alone)))
    return jobs


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


def _need(videos: Path, jobs: Sequence[Job]) -> int:
    """Bytes, estimated: a square takes half of the frame's height or width, and a PNG half of its pixels."""
    manifest = read_manifest(videos).set_index("video")
    sides = manifest[["width", "height"]].min(axis=1) // 2
    return sum(len(job.frames) * int(sides.get(job.video, 0)) ** 2 * 3 // 2 for job in jobs)
