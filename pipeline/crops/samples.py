"""What crop and degrade share: the squares to cut of each video, their pixels, and samples made of them in shards."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pipeline.crops.shards import INDEX, ShardWriter
from pipeline.faces.boxes import BOX, Box, Boxes, Image, cut
from pipeline.videos.manifests import REJECTED, read_manifest, read_rejected
from pipeline.videos.reading import read_frames
from pipeline.work.errors import VideoError
from pipeline.work.files import whole
from pipeline.work.parallel import Rejected

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


def upstream(folder: Path) -> list[Row]:
    """What earlier stages rejected in a folder of videos; frame is None where the whole video is."""
    rows: list[Row] = [dict(row) for row in read_rejected(folder).to_dict("records")]  # type: ignore[arg-type]
    return [row | {"frame": int(row["frame"]) if row["frame"] else None} for row in rows]


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


def region_of(boxes: Collection[Box], width: int, height: int) -> Region:
    """The smallest region, at even numbers, that holds all boxes. Raises: VideoError where one leaves the frame."""
    for left, top, side in boxes:
        if left < 0 or top < 0 or left + side > width or top + side > height:
            raise VideoError(f"the box {(left, top, side)} leaves the frame of {width}x{height} pixels")
    x0, y0 = (min(box[axis] for box in boxes) // 2 * 2 for axis in (0, 1))
    x1, y1 = (-(-max(box[axis] + box[2] for box in boxes) // 2) * 2 for axis in (0, 1))
    return x0, y0, min(x1, width) - x0, min(y1, height) - y0


def squares_of(path: Path, boxes: Mapping[int, Box], region: Region) -> Iterator[tuple[int, Image]]:
    """Yield (frame, RGB square) of the boxes, which lie in the region, as large as in the video."""
    for frame, image in read_frames(path, boxes, region):
        left, top, side = boxes[frame]
        yield frame, cut(image, (left - region[0], top - region[1], side))


def resized(square: Image, size: int) -> Image:
    """A square RGB image (H, H, 3) as (size, size, 3)."""
    how = cv2.INTER_AREA if square.shape[0] > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=how), dtype=np.uint8)


def write_shards(
    jobs: Sequence[Job], results: Iterable[Any], out: Path, shard_frames: int, stage: str, rejected: list[Row]
) -> int:
    """Write what each job gave, {extension: content} a frame, as samples of shards in `out`; the number of frames.

    A job that was rejected becomes a row of `rejected`. Where no job gave anything, nothing is left in `out`.
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


def write_rejected(path: Path, rows: Sequence[Row]) -> None:
    """Write rows (set, video, frame, stage, cause), sorted; frame is null where the whole video is rejected."""
    table = pd.DataFrame(rows, columns=REJECTED).astype({"frame": "Int64"} | dict.fromkeys(REJECTED[:2], "str"))
    with whole(path) as part:
        table.sort_values(REJECTED, ignore_index=True).to_parquet(part, index=False)


def _reject(name: str, video: str, frame: int | None, stage: str, cause: str) -> Row:
    return {"set": name, "video": video, "frame": frame, "stage": stage, "cause": cause}
