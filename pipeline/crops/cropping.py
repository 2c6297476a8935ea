"""The same square of the raw and the compressed frame, as samples of WebDataset shards."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.crops.folds import gap
from pipeline.crops.samples import (
    Job,
    jobs_of,
    region_of,
    resized,
    squares_of,
    upstream,
    write_rejected,
    write_shards,
)
from pipeline.crops.shards import INDEX
from pipeline.faces.boxes import Boxes, png, read_squares
from pipeline.params.schema import Params
from pipeline.videos.reading import probe
from pipeline.work.errors import NothingUsable, VideoError
from pipeline.work.parallel import Workers, map_videos
from pipeline.work.resume import Scratch


def crop_set(
    frames: pd.DataFrame,
    faces: Path,
    raw: Path,
    compressed: Mapping[str, Path],
    out: Path,
    size: int,
    shard_frames: int,
    workers: Workers = None,
) -> tuple[int, int]:
    """Crop the sampled frames of one set into shards, and list in rejected.parquet what is missing from them, and why.

    frames: rows (set, video, person, bucket, label, target, frame) of the set; faces: folder of what detect left of
    each set, where a fake takes its target's box from original if it has one, else from its own set; raw: folder of the
    set's raw videos; compressed: quality -> folder; size: px of the square crops. Returns how many frames are in the
    shards and how many sampled ones are not. Raises: UserError where no frame is left.
    """
    name = str(frames["set"].iat[0])
    rejected = [*upstream(raw), *(row for folder in compressed.values() for row in upstream(folder))]
    lost = {row["video"] for row in rejected if pd.isna(row["frame"])}
    jobs, boxless = jobs_of(frames[~frames["video"].isin(lost)], Boxes(faces, name), raw)
    rejected += boxless
    videos = {"raw": raw, **compressed}
    inputs = [folder / f"{job.video}.mp4" for job in jobs for folder in videos.values()]
    inputs += [job.pixels for job in jobs if job.pixels]
    settings = {"jobs": jobs, "size": size, "qualities": list(videos)}
    # A PNG takes about half of its pixels, and lies both in the scratch folder and in a shard before the end.
    need = sum(len(job.boxes) for job in jobs) * len(videos) * size * size * 3
    what = f"crop {name}"
    with Scratch(f"crop-{name}", out, settings, inputs) as scratch:
        scratch.require_room(need, what)
        work = partial(crop_video, videos=videos, size=size)
        results = map_videos(work, jobs, workers=workers, what=what, name=lambda job: job.video, keep=scratch)
        done = write_shards(jobs, results, out, shard_frames, "crop", rejected)
        if not done:
            causes = "; ".join(sorted({row["cause"] for row in rejected})[:3])
            raise NothingUsable(f"{raw}: none of the {len(frames)} sampled frames could be cropped: {causes}")
        write_rejected(out / "rejected.parquet", rejected)
    return done, len(frames) - done


def lacking(params: Params, frames: pd.DataFrame, out: Path) -> str:
    """Who, and which fold, is left without crops in `out` of the sampled frames, in words; empty where nobody is."""
    name = str(frames["set"].iat[0])
    index = pd.read_parquet(out / INDEX, columns=["bucket", "person"])
    people = {str(bucket): set(names) for bucket, names in frames.groupby("bucket")["person"]}
    lost = sorted(set(frames["person"]) - set(index["person"]))
    found = [f"no crop is left of {', '.join(lost)} ({out / 'rejected.parquet'} says why)"] if lost else []
    line = gap(params, set(index["bucket"]), people, f"no {name} crops", each=name == "original")
    return "; ".join([*found, *([line] if line else [])])


def crop_video(job: Job, videos: Mapping[str, Path], size: int) -> list[dict[str, bytes]]:
    """{<quality>.png: content} of each frame of the job."""
    paths = {quality: folder / f"{job.video}.mp4" for quality, folder in videos.items()}
    infos = {quality: probe(path) for quality, path in paths.items()}
    _same("counts", {quality: str(info.frames) for quality, info in infos.items()})
    _same("sizes", {quality: f"{info.width}x{info.height}" for quality, info in infos.items()})
    region = region_of(job.boxes.values(), infos["raw"].width, infos["raw"].height)
    squares = {quality: squares_of(path, job.boxes, region) for quality, path in paths.items()}
    if job.pixels:
        squares["raw"] = read_squares(job.pixels, job.boxes)
    return [
        {f"{quality}.png": png(resized(square, size)) for quality, (_, square) in zip(squares, pictures, strict=True)}
        for pictures in zip(*squares.values(), strict=True)
    ]


def _same(what: str, values: Mapping[str, str]) -> None:
    if len(set(values.values())) > 1:
        raise VideoError(f"frame {what} differ: {', '.join(f'{quality} {value}' for quality, value in values.items())}")
