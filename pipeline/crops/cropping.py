"""The same square of the raw and the compressed frame, as samples of WebDataset shards (spec section 1)."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pipeline.crops.folds import gap
from pipeline.crops.shards import INDEX, ShardWriter
from pipeline.faces.boxes import BOX, Box, Boxes, Image, cut, png, read_squares
from pipeline.params.schema import Params
from pipeline.videos.manifests import REJECTED, read_manifest, read_rejected
from pipeline.videos.reading import probe, read_frames
from pipeline.work import disk
from pipeline.work.errors import UserError, VideoError
from pipeline.work.files import whole
from pipeline.work.parallel import Rejected, map_videos
from pipeline.work.resume import Scratch

Row = dict[str, Any]
Region = tuple[int, int, int, int]  # left, top, width, height in pixels of the frame


@dataclass(frozen=True)
class Job:
    """A video and its frames with boxes; `about` goes into every sample's json and row.

    pixels: the file of raw's pixels in these boxes, if detect kept them.
    """

    about: Row
    boxes: dict[int, Box]
    pixels: Path | None = None

    @property
    def video(self) -> str:
        return str(self.about["video"])


def crop_set(
    frames: pd.DataFrame,
    faces: Path,
    raw: Path,
    compressed: Mapping[str, Path],
    out: Path,
    size: int,
    shard_frames: int,
    workers: int | None = None,
    cluster: str | None = None,
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
    with Scratch(f"crop-{name}", out, settings, inputs) as scratch:
        disk.require(scratch.folder, need - scratch.bytes(), f"crop {name}")
        work = partial(crop_video, videos=videos, size=size)
        results = map_videos(
            work, jobs, workers=workers, cluster=cluster, what=f"crop {name}", name=lambda job: job.video, keep=scratch
        )
        done = write_shards(jobs, results, out, shard_frames, "crop", rejected)
        if not done:
            scratch.clear()  # what was mended meanwhile must not be found bad again
            causes = sorted({row["cause"] for row in rejected})
            raise UserError(
                f"{raw}: none of the {len(frames)} sampled frames could be cropped: {'; '.join(causes[:3])}"
            )
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


def write_shards(
    jobs: Sequence[Job], results: Iterable[Any], out: Path, shard_frames: int, stage: str, rejected: list[Row]
) -> int:
    """Write the files that each job gave, {extension: content} a frame, as samples; the number of frames.

    A job that was rejected becomes a row of `rejected`. Nothing is left where no job gave anything.
    """
    with ShardWriter(out, shard_frames) as writer:
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Rejected):
                rejected.append(_reject(str(job.about["set"]), job.video, None, stage, result.cause))
                continue
            for (frame, box), images in zip(job.boxes.items(), result, strict=True):
                row = job.about | {"frame": frame, **dict(zip(BOX, box, strict=True))}
                about = job.about | {"frame": frame, "box": box}
                files = images | {"json": json.dumps(about, sort_keys=True, ensure_ascii=False).encode()}
                writer.write(str(row.pop("bucket")), f"{job.video}-{frame:06d}", files, row)
    if not writer.rows:
        (out / INDEX).unlink()
    return len(writer.rows)


def jobs_of(frames: pd.DataFrame, boxes: Boxes, raw: Path) -> tuple[list[Job], list[Row]]:
    """One job a video, in the shards' order: by bucket, then by video."""
    donors = read_manifest(raw).set_index("video")["donor"]
    jobs, rejected = [], []
    ordered = frames.sort_values(["bucket", "video", "frame"])
    for video, group in ordered.groupby("video", sort=False):
        row = group.iloc[0]
        about: Row = {column: str(row[column]) for column in ("bucket", "video", "set", "person", "target")}
        about |= {"label": int(row["label"]), "donor": str(donors.get(video, ""))}
        good: dict[int, Box] = {}
        for frame in group["frame"].tolist():
            found = boxes.find(about["video"], about["target"], frame)
            if isinstance(found, str):
                rejected.append(_reject(about["set"], about["video"], frame, "detect", found))
            else:
                good[frame] = found
        if good:
            jobs.append(Job(about, good, boxes.pixels(about["video"], good)))
    return jobs, rejected


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


def squares_of(path: Path, boxes: Mapping[int, Box], region: Region) -> Iterator[tuple[int, Image]]:
    """Yield (frame, RGB square) of the boxes, which lie in the region, as large as in the video."""
    for frame, image in read_frames(path, boxes, region):
        left, top, side = boxes[frame]
        yield frame, cut(image, (left - region[0], top - region[1], side))


def _same(what: str, values: Mapping[str, str]) -> None:
    if len(set(values.values())) > 1:
        raise VideoError(f"frame {what} differ: {', '.join(f'{quality} {value}' for quality, value in values.items())}")


def region_of(boxes: Collection[Box], width: int, height: int) -> Region:
    """What, at even numbers, holds all boxes. Raises: VideoError where one leaves the frame."""
    for left, top, side in boxes:
        if left < 0 or top < 0 or left + side > width or top + side > height:
            raise VideoError(f"the box {(left, top, side)} leaves the frame of {width}x{height} pixels")
    x0, y0 = (min(box[axis] for box in boxes) // 2 * 2 for axis in (0, 1))
    x1, y1 = (-(-max(box[axis] + box[2] for box in boxes) // 2) * 2 for axis in (0, 1))
    return x0, y0, min(x1, width) - x0, min(y1, height) - y0


def resized(square: Image, size: int) -> Image:
    """A square RGB image (H, H, 3) as (size, size, 3)."""
    how = cv2.INTER_AREA if square.shape[0] > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=how), dtype=np.uint8)


def upstream(folder: Path) -> list[Row]:
    """What earlier stages rejected in a folder of videos; frame is None where the whole video is."""
    rows: list[Row] = [dict(row) for row in read_rejected(folder).to_dict("records")]  # type: ignore[arg-type]
    return [row | {"frame": int(row["frame"]) if row["frame"] else None} for row in rows]


def _reject(name: str, video: str, frame: int | None, stage: str, cause: str) -> Row:
    return {"set": name, "video": video, "frame": frame, "stage": stage, "cause": cause}


def write_rejected(path: Path, rows: Sequence[Row]) -> None:
    """Write rows (set, video, frame, stage, cause), sorted; frame is null where the whole video is rejected."""
    table = pd.DataFrame(rows, columns=REJECTED).astype({"frame": "Int64"} | dict.fromkeys(REJECTED[:2], "str"))
    with whole(path) as part:
        table.sort_values(REJECTED, ignore_index=True).to_parquet(part, index=False)
