"""Compressed versions that a data set publishes itself, taken in place of encoding, and what each file is.

They may differ from ours in chroma format, encoder or length: they are looked into, never trusted.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.videos.examining import examine
from pipeline.videos.probing import VideoInfo
from pipeline.work.errors import UserError, VideoError
from pipeline.work.files import link, whole

CRF = {"c23": 23, "c40": 40}  # what FaceForensics++ publishes
ENCODINGS = "encoding.csv"
COLUMNS = ("video", "origin", "crf", "codec", "pix_fmt", "frames", "fps", "width", "height")


def place(parameters: str, quality: str, crf: int, root: Path | None) -> Path | None:
    """Where the published version of a video lies, by the `parameters` of its row in the manifest; None: there is none.

    crf: the wanted rate factor; root: the data set's folder.
    """
    file = json.loads(parameters).get("published", {}).get(quality)
    if file is None or CRF[quality] != crf:
        return None
    if root is None:
        raise UserError("params.yaml: faceforensics.path is not set, but the manifest names published videos in it")
    return root / file


def take(file: Path, target: Path, frames: int, size: tuple[int, int]) -> VideoInfo:
    """Link the published video as `target`. frames, size: of its raw version.

    Raises: VideoError where it is not the same video in H.264.
    """
    info = examine(file)
    if info.codec != "h264":
        raise VideoError(f"the published video is {info.codec}, not h264")
    if (info.frames, info.width, info.height) != (frames, *size):
        have = f"{info.frames} frames of {info.width}x{info.height} px"
        raise VideoError(f"the published video has {have}, but raw has {frames} of {size[0]}x{size[1]} px")
    link(file, target)
    return info


def encoding(video: str, origin: str, crf: int, info: VideoInfo) -> dict[str, Any]:
    """A row of encoding.csv. origin: `encoded` here from raw, or `published` by the data set."""
    values = (info.codec, info.pix_fmt, info.frames, float(info.fps), info.width, info.height)
    return dict(zip(COLUMNS, (video, origin, crf, *values), strict=True))


def write_encodings(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Tell, beside compressed videos, where each comes from and what it is."""
    with whole(folder / ENCODINGS) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: str(row["video"])))
