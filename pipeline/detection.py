"""The square box of the largest face of each sampled frame, found once, on raw."""

from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.faces import detect, square_box
from pipeline.parallel import Rejected, map_videos
from pipeline.resume import Scratch
from pipeline.video import read_frames

Box = tuple[int, int, int, int] | tuple[int, None, None, None]  # frame, left, top, size
BOX = ["left", "top", "size"]


def find_boxes(
    videos: Path,
    frames: pd.DataFrame,
    max_side: int,
    enlarge: float,
    workers: int | None = None,
    cluster: str | None = None,
    keep: Scratch | None = None,
) -> pd.DataFrame:
    """Rows (video, frame, left, top, size, cause) for each row of `frames`, in its order; boxes in pixels of raw.

    left, top and size are missing where there is no face, and `cause` says why; it is empty otherwise.
    """
    jobs = [(str(video), [int(frame) for frame in rows]) for video, rows in frames.groupby("video")["frame"]]
    work = partial(find_video, videos=videos, max_side=max_side, enlarge=enlarge)
    what = f"detect {videos.name}"
    rows: list[tuple[object, ...]] = []
    results = map_videos(work, jobs, workers=workers, cluster=cluster, what=what, name=lambda job: job[0], keep=keep)
    for (video, wanted), result in zip(jobs, results, strict=True):
        if isinstance(result, Rejected):
            rows += [(video, frame, None, None, None, result.cause) for frame in wanted]
        else:
            rows += [(video, *box, "no face found" if box[3] is None else "") for box in result]
    table = pd.DataFrame(rows, columns=["video", "frame", *BOX, "cause"])
    return table.astype(dict.fromkeys(BOX, "Int64") | {"frame": "int64"})


def find_video(job: tuple[str, list[int]], videos: Path, max_side: int, enlarge: float) -> list[Box]:
    video, wanted = job
    boxes: list[Box] = []
    for frame, image in read_frames(videos / f"{video}.mp4", wanted):
        face = detect(image, max_side)
        height, width = image.shape[:2]
        boxes.append((frame, *square_box(face, width, height, enlarge)) if face else (frame, None, None, None))
    return boxes
