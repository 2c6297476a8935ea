"""H.264: frames as a lossless clip, and clips compressed.

Every lossless clip, real or forged, is written by `write_video` or `cutting.cut`, with one conversion and one encoder:
else the files would tell the classes apart. One thread a video: x264's output depends on the number of its threads.
"""

import subprocess
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from pipeline.videos.ffmpeg_process import finish, running, url
from pipeline.videos.ffmpeg_process import source as open_source
from pipeline.videos.probing import VideoInfo, simple_rate
from pipeline.videos.reading import Image, probe
from pipeline.work.errors import VideoError
from pipeline.work.files import whole

TO_YUV = "scale=flags=area+accurate_rnd+bitexact:out_color_matrix=bt709:out_range=tv,format=yuv420p"


def write_video(
    path: Path,
    frames: Iterable[Image],
    fps: Fraction | float,
    size: tuple[int, int],
    crf: int = 0,
    metadata: Mapping[str, str] | None = None,
) -> VideoInfo:
    """Encode RGB images (H, W, 3) of size (width, height), both even, as H.264 (yuv420p, BT.709); crf 0 is lossless.

    metadata: entries of the container, such as `comment`. The file appears whole or not at all.
    """
    width, height = size
    if width % 2 or height % 2:
        raise ValueError(f"{path}: width and height must be even, not {width}x{height}")
    source = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=rate(fps))
    with whole(path) as part:
        output = source.output(url(part), vf=TO_YUV, **encoding(crf), **_metadata(metadata))
        with running(output, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            for image in frames:
                if image.shape != (height, width, 3) or image.dtype != np.uint8:
                    raise ValueError(f"{path}: a frame is {image.dtype} {image.shape}, not uint8 {(height, width, 3)}")
                process.stdin.write(np.ascontiguousarray(image).data)
            process.stdin.close()
        info = probe(part)
    return info


def transcode(source: Path, target: Path, crf: int, frames: int | None = None) -> VideoInfo:
    """Compress with libx264 at a constant rate factor and the encoder's other defaults, frame by frame.

    frames: how many the source has; None: as many as its packets. Raises: VideoError where the result has not as many.
    """
    packets = probe(source).frames  # which also tells what is wrong with a file that cannot be opened
    expected = packets if frames is None else frames
    with whole(target) as part:
        finish(open_source(source).output(url(part), map="0:V:0", fps_mode="passthrough", **encoding(crf)))
        after = probe(part)
        if after.frames != expected:
            raise VideoError(f"{expected} frames became {after.frames} at crf {crf}")
    return after


def encoding(crf: int) -> dict[str, Any]:
    """ffmpeg's options for H.264 at a constant rate factor; 0 is lossless."""
    # Lossless pixels do not depend on the preset: this one, without CABAC, costs 16% more bytes than veryfast and is
    # decoded 2.6 times as fast, which each later stage gains from.
    preset = {"preset": "ultrafast"} if crf == 0 else {}
    return {"format": "mp4", "vcodec": "libx264", "crf": crf, "pix_fmt": "yuv420p", "threads": 1, "an": None} | preset


def _metadata(entries: Mapping[str, str] | None) -> dict[str, str]:
    numbered = enumerate(sorted((entries or {}).items()))
    return {f"metadata:g:{number}": f"{key}={value}" for number, (key, value) in numbered}


def rate(fps: Fraction | float) -> str:
    """Frames a second as ffmpeg reads them, such as 30000/1001."""
    near = simple_rate(Fraction(fps))
    return f"{near.numerator}/{near.denominator}"
