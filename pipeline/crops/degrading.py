"""Clips of tested people, degraded, and the same squares of them as in data/shards, into WebDataset shards.

Codecs and small work on whole clips. So do jpeg, blur, noise and scale where an encoder follows; after the last encoder
they work on the square that was cut out, before it is resized. Clips are not kept.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.crops.pixels import degraded
from pipeline.crops.samples import Job, jobs_of, region_of, resized, squares_of, upstream, write_rejected, write_shards
from pipeline.crops.shards import DEGRADED, ENCODING
from pipeline.faces.boxes import Boxes, Image, png, read_squares
from pipeline.params.degradations import CODECS, SMALL, Step
from pipeline.videos.codecs import ENCODERS, available, encode
from pipeline.videos.cutting import Excerpt, cut
from pipeline.videos.probing import VideoInfo
from pipeline.videos.reading import probe, read_frames
from pipeline.videos.writing import write_video
from pipeline.work.errors import NothingUsable, UserError, VideoError
from pipeline.work.files import whole
from pipeline.work.parallel import Rejected, Workers, map_videos
from pipeline.work.resume import Scratch

COLUMNS = ("video", "bytes", "frames", "width", "height")


@dataclass(frozen=True)
class Degraded:
    """What a video became: its crops as PNGs, a row of encoding.csv, and bytes None where nothing encoded it."""

    crops: list[bytes]
    bytes: int | None
    frames: int
    width: int
    height: int


def degrade_set(
    name: str,
    steps: Sequence[Step],
    frames: pd.DataFrame,
    faces: Path,
    raw: Path,
    out: Path,
    *,
    size: int,
    shard_frames: int,
    seed: int,
    workers: Workers = None,
) -> tuple[int, int]:
    """Degrade the videos of one set and crop the given frames into shards, `degraded.png` and json a sample.

    name: of the degradation, for progress; frames: rows (set, video, person, bucket, label, target, frame) of tested
    people; faces, raw, size, shard_frames: as crop_set takes them. encoding.csv has a row a video: the bytes of its
    last encoding, without container, and frames, width and height of raw. rejected.parquet tells what is missing, and
    why: where this ffmpeg lacks an encoder that is all videos, and there are no shards. Returns how many frames are in
    the shards and how many are not. Raises: UserError where no frame is left for another reason.
    """
    if frames.empty:
        raise UserError(f"{raw}: no frame of the tested people was sampled, so there is nothing to degrade")
    group = str(frames["set"].iat[0])
    lost = {row["video"]: row for row in upstream(raw) if row["frame"] is None}
    rejected = [row for video, row in lost.items() if video in set(frames["video"])]
    jobs, boxless = jobs_of(frames[~frames["video"].isin(list(lost))], Boxes(faces, group), raw)
    rejected += boxless
    lacking = {step.kind for step in steps if step.kind in CODECS} - available()
    if lacking:
        cause = f"this ffmpeg has no {', '.join(ENCODERS[codec] for codec in sorted(lacking))}"
        results: Iterator[Degraded | Rejected[Job]] = (Rejected(job, cause) for job in jobs)
        return _write(jobs, results, out, shard_frames, rejected), len(frames)
    settings = {"jobs": jobs, "steps": [str(step) for step in steps], "size": size, "seed": seed}
    inputs = [raw / f"{job.video}.mp4" for job in jobs] + [job.pixels for job in jobs if job.pixels]
    what = f"degrade {group} {name}"
    with Scratch(f"degrade-{group}-{name}", out, settings, inputs) as scratch:
        scratch.require_room(sum(len(job.boxes) for job in jobs) * size * size * 3, what)
        work = partial(_degrade, raw=raw, steps=tuple(steps), size=size, seed=seed, scratch=scratch.folder)
        results = map_videos(work, jobs, workers=workers, what=what, name=lambda job: job.video, keep=scratch)
        done = _write(jobs, results, out, shard_frames, rejected)
        if not done:
            causes = "; ".join(sorted({row["cause"] for row in rejected})[:3])
            raise NothingUsable(f"{raw}: none of the {len(frames)} frames could be degraded: {causes}")
    return done, len(frames) - done


def _write(
    jobs: Sequence[Job],
    results: Iterator[Degraded | Rejected[Job]],
    out: Path,
    shard_frames: int,
    rejected: list[dict[str, object]],
) -> int:
    rows: list[dict[str, object]] = []

    def files() -> Iterator[list[dict[str, bytes]] | Rejected[Job]]:
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Rejected):
                yield result
            else:
                values = (job.video, result.bytes, result.frames, result.width, result.height)
                rows.append(dict(zip(COLUMNS, values, strict=True)))
                yield [{f"{DEGRADED}.png": crop} for crop in result.crops]

    done = write_shards(jobs, files(), out, shard_frames, "degrade", rejected)
    write_rejected(out / "rejected.parquet", rejected)
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"bytes": "Int64"}).sort_values("video")
    with whole(out / ENCODING) as part:
        table.to_csv(part, index=False, lineterminator="\n")
    return done


def _degrade(job: Job, raw: Path, steps: tuple[Step, ...], size: int, seed: int, scratch: Path) -> Degraded:
    last = max((number + 1 for number, step in enumerate(steps) if step.kind in CODECS), default=0)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        video, before = raw / f"{job.video}.mp4", probe(raw / f"{job.video}.mp4")
        squares, encoded = _raw_squares(job, video, before), None
        if last:
            video, encoded = _clip(job, video, before, steps[:last], seed, Path(folder))
            squares = squares_of(video, job.boxes, region_of(job.boxes.values(), before.width, before.height))
        crops = []
        for frame, square in squares:
            for step in steps[last:]:
                square = degraded(square, step, f"{job.about['set']}/{job.video}/{frame}", seed)
            crops.append(png(resized(square, size)))
    return Degraded(crops, encoded, before.frames, before.width, before.height)


def _raw_squares(job: Job, video: Path, info: VideoInfo) -> Iterator[tuple[int, Image]]:
    if job.pixels:
        return read_squares(job.pixels, job.boxes)
    return squares_of(video, job.boxes, region_of(job.boxes.values(), info.width, info.height))


def _clip(
    job: Job, video: Path, raw: VideoInfo, steps: Sequence[Step], seed: int, folder: Path
) -> tuple[Path, int | None]:
    """The degraded clip, of raw's frames and size, and the bytes of its last encoding."""
    info, encoded = raw, None
    for number, step in enumerate(steps):
        target = folder / f"{number}.mp4"
        if step.kind in CODECS:
            info = encode(video, target, step.kind, round(step.level))
            encoded = info.stream
        elif step.kind == SMALL:
            size = (_side(info.width, step.level), _side(info.height, step.level))
            (info,) = cut(video, info, {target: Excerpt(size=size)})
        else:
            where = f"{job.about['set']}/{job.video}"
            pictures = (degraded(image, step, f"{where}/{frame}", seed) for frame, image in read_frames(video))
            info = write_video(target, pictures, info.fps, (info.width, info.height))
        video = target
    if (info.width, info.height) != (raw.width, raw.height):
        (info,) = cut(video, info, {folder / "back.mp4": Excerpt(size=(raw.width, raw.height))})
        video = folder / "back.mp4"
    if info.frames != raw.frames:
        raise VideoError(f"{raw.frames} frames became {info.frames}")
    return video, encoded


def _side(pixels: int, share: float) -> int:
    return max(16, round(pixels * share / 2) * 2)  # 4:2:0 needs even sides, and encoders a block
