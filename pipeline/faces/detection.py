"""Detect the faces of a set: which frames of which video are searched, with which fakes, and the table of the boxes."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pipeline.faces.boxes import BOX, COLUMNS, REFUSED, TABLE, archive_name, write_refused
from pipeline.faces.forged import Fake, Refused
from pipeline.faces.sampled import Job, Search, When, find_video
from pipeline.videos.manifests import read_manifest
from pipeline.work.errors import NothingUsable
from pipeline.work.files import whole
from pipeline.work.parallel import Rejected, Workers, map_videos
from pipeline.work.resume import Scratch

STRICTER: tuple[When, ...] = ("several", "unproved", "always")


class Outcome(NamedTuple):
    """Numbers of frames. found: with a face; frames: in all; chosen: with another face than the largest; refused: of
    fakes, without a forged face."""

    found: int
    frames: int
    chosen: int = 0
    refused: int = 0

    def __str__(self) -> str:
        words = f"a face in {self.found} of {self.frames} frames"
        words += f", in {self.chosen} not the largest but the one that is forged" if self.chosen else ""
        return words + (f"; {self.refused} frames of fakes show no forged face" if self.refused else "")


def detect_set(
    videos: Path,
    frames: pd.DataFrame,
    out: Path,
    search: Search,
    workers: Workers = None,
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
        results = map_videos(work, jobs, workers=workers, what=what, name=lambda job: job.video, keep=scratch)
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


def _need(videos: Path, jobs: Sequence[Job]) -> int:
    """Bytes, estimated: a square takes half of the frame's height or width, and a PNG half of its pixels."""
    manifest = read_manifest(videos).set_index("video")
    sides = manifest[["width", "height"]].min(axis=1) // 2
    return sum(len(job.frames) * int(sides.get(job.video, 0)) ** 2 * 3 // 2 for job in jobs)
