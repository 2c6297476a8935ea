"""The square box of the largest face of each sampled frame, found once, on raw, and its pixels for the crops."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.faces.boxes import BOX, COLUMNS, TABLE, Image, archive_name, cut, writing
from pipeline.faces.search import Face, detect, find_again, square_box
from pipeline.videos.manifests import read_manifest
from pipeline.videos.reading import read_frames
from pipeline.work import disk
from pipeline.work.errors import UserError
from pipeline.work.files import whole
from pipeline.work.parallel import Rejected, map_videos
from pipeline.work.resume import Scratch

Job = tuple[str, list[int]]  # a video and the frames to search
Box = tuple[int, int, int, int] | tuple[int, None, None, None]  # frame, left, top, size


@dataclass(frozen=True)
class Search:
    """params.yaml's faces. max_side: see faces.detect; enlarge: see faces.square_box; near: see follow."""

    max_side: int
    enlarge: float
    near: int = 0


def detect_set(
    videos: Path,
    frames: pd.DataFrame,
    out: Path,
    search: Search,
    workers: int | None = None,
    cluster: str | None = None,
) -> tuple[int, int]:
    """Leave in `out` what pipeline.boxes tells of, for the frames: rows (video, frame, ...) of the set.

    Returns how many frames have a face, and how many there are. Raises: UserError where none has one.
    """
    jobs: list[Job] = [(str(video), [int(frame) for frame in rows]) for video, rows in frames.groupby("video")["frame"]]
    what = f"detect {videos.name}"
    rows: list[tuple[object, ...]] = []
    with Scratch(f"detect-{videos.name}", out, {"search": search, "jobs": jobs}, [videos]) as scratch:
        disk.require(scratch.folder, _need(videos, jobs) - scratch.bytes(), what)
        work = partial(find_video, videos=videos, search=search, keep=scratch.folder)
        results = map_videos(
            work, jobs, workers=workers, cluster=cluster, what=what, name=lambda job: job[0], keep=scratch
        )
        for (video, wanted), result in zip(jobs, results, strict=True):
            if isinstance(result, Rejected):
                rows += [(video, frame, None, None, None, result.cause) for frame in wanted]
                continue
            rows += [(video, *box, "no face found" if box[3] is None else "") for box in result]
            if any(box[3] is not None for box in result):
                scratch.link(archive_name(video), out)
        table = pd.DataFrame(rows, columns=COLUMNS)
        table = table.astype(dict.fromkeys(BOX, "Int64") | {"frame": "int64"})
        found = int(table["size"].notna().sum())
        if not found:
            raise UserError(f"{videos}: no face in any of the {len(table)} sampled frames")
        with whole(out / TABLE) as part:
            table.to_parquet(part, index=False)
    return found, len(table)


def find_video(job: Job, videos: Path, search: Search, keep: Path) -> list[Box]:
    """The box of each frame of the job; the pixels of those found go to <keep>/<video>.zip."""
    video, wanted = job
    boxes: list[Box] = []
    with writing(keep / archive_name(video)) as write:
        for frame, image, face in follow(read_frames(videos / f"{video}.mp4", wanted), search):
            if face is None:
                boxes.append((frame, None, None, None))
                continue
            height, width = image.shape[:2]
            box = square_box(face, width, height, search.enlarge)
            write(frame, cut(image, box))
            boxes.append((frame, *box))
    return boxes


def follow(frames: Iterable[tuple[int, Image]], search: Search) -> Iterator[tuple[int, Image, Face | None]]:
    """Yield each frame (number, RGB image (H, W, 3)) with its face.

    search.near: a frame at most so many frames after one that was searched whole, with a face found, is searched
    around the last face first, and whole where that fails.
    """
    last: Face | None = None
    searched = 0
    for frame, image in frames:
        face = find_again(image, last) if last is not None and frame - searched <= search.near else None
        if face is None:
            face, searched = detect(image, search.max_side), frame
        last = face
        yield frame, image, face


def _need(videos: Path, jobs: Sequence[Job]) -> int:
    """Bytes, estimated: a square takes half of the frame's height or width, and a PNG half of its pixels."""
    manifest = read_manifest(videos).set_index("video")
    sides = manifest[["width", "height"]].min(axis=1) // 2
    return sum(len(wanted) * int(sides.get(video, 0)) ** 2 * 3 // 2 for video, wanted in jobs)
