"""Compress a set of videos at one rate factor (libx264, its defaults but for that factor)."""

from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from pipeline.videos import published
from pipeline.videos.manifests import read_manifest, write_rejected
from pipeline.videos.writing import transcode
from pipeline.work.errors import NothingUsable
from pipeline.work.parallel import Rejected, Workers, map_videos
from pipeline.work.resume import Scratch


@dataclass(frozen=True)
class Job:
    """A video to compress. frames, size: of raw; published: the data set's own version, to take instead."""

    video: str
    frames: int
    size: tuple[int, int]
    published: Path | None


def compress(
    videos: Path,
    out: Path,
    crf: int,
    quality: str,
    workers: Workers = None,
    tree: Path | None = None,
) -> tuple[int, int]:
    """Leave <out>/<video>.mp4 of each video of the manifest, encoded or, where the manifest says so, as published.

    What cannot be goes to <out>/rejected.csv; encoding.csv tells of each file where it comes from. tree: folder of the
    data set that publishes compressed videos. Returns the numbers of videos that are there and that are rejected.
    Raises: UserError where none is left, or the disk is too small.
    """
    jobs = [
        Job(
            str(row["video"]),
            int(row["frames"]),
            (int(row["width"]), int(row["height"])),
            published.place(str(row["parameters"]), quality, crf, tree),
        )
        for row in read_manifest(videos).to_dict("records")
    ]
    rows, bad = [], []
    what = f"compress {quality} {videos.name}"
    with Scratch(f"compress-{quality}-{videos.name}", out, {"crf": crf, "tree": str(tree)}, [videos]) as scratch:
        scratch.require_room(_need(videos, jobs, crf), what)
        work = partial(_compress, source=videos, out=scratch.folder, crf=crf)
        name = attrgetter("video")
        for result in map_videos(work, jobs, workers=workers, what=what, name=name, keep=scratch):
            if isinstance(result, Rejected):
                bad.append(result)
            else:
                scratch.link(f"{result['video']}.mp4", out)
                rows.append(result)
        if not rows:
            first = f"; the first: {bad[0].cause}" if bad else ""
            raise NothingUsable(f"{videos}: no video could be compressed{first}")
        row: dict[str, object] = {"set": videos.name, "frame": "", "stage": f"compress-{quality}"}
        write_rejected(out, [row | {"video": result.item.video, "cause": result.cause} for result in bad])
        published.write_encodings(out, rows)
    return len(rows), len(bad)


def _compress(job: Job, source: Path, out: Path, crf: int) -> dict[str, Any]:
    """The row of encoding.csv."""
    target = out / f"{job.video}.mp4"
    if job.published is None:
        return published.encoding(job.video, "encoded", crf, transcode(source / target.name, target, crf, job.frames))
    return published.encoding(job.video, "published", crf, published.take(job.published, target, job.frames, job.size))


def _need(videos: Path, jobs: list[Job], crf: int) -> int:
    """Bytes, estimated: six steps of the rate factor halve an H.264 stream, and lossless counts as none."""
    paths = (videos / f"{job.video}.mp4" for job in jobs if job.published is None)
    return round(sum(path.stat().st_size for path in paths if path.is_file()) * 2 ** (-crf / 6))
