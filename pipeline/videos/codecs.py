"""Lossy encoders of the bundled ffmpeg at a constant rate factor, one thread each: same input, same bytes."""

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.videos.ffmpeg_process import executable, finish, source, url
from pipeline.videos.probing import VideoInfo
from pipeline.videos.reading import probe
from pipeline.videos.writing import transcode
from pipeline.work.errors import VideoError
from pipeline.work.files import whole

# One encoder a codec: another one in its place would give another picture at the same rate factor.
ENCODERS = {"h264": "libx264", "h265": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
OPTIONS: dict[str, dict[str, Any]] = {
    "h265": {"x265-params": "pools=none:frame-threads=1:log-level=error"},
    "vp9": {"b:v": 0, "row-mt": 0, "cpu-used": 4},  # without b:v 0 the rate factor is bounded by a bitrate
    "av1": {"preset": 8, "svtav1-params": "lp=1"},
}


@cache
def available() -> frozenset[str]:
    """The codecs of ENCODERS that this ffmpeg can encode: its builds differ between systems."""
    arguments = [executable(), "-hide_banner", "-encoders"]
    listed = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout.decode()
    names = {line.split()[1] for line in listed.splitlines() if len(line.split()) > 1}
    return frozenset(codec for codec, encoder in ENCODERS.items() if encoder in names)


def encode(video: Path, target: Path, codec: str, crf: int) -> VideoInfo:
    """Encode a video's frames, one by one, at a constant rate factor; h264 is what the stage compress does.

    Raises: VideoError where the encoder is not there, or the result has not the same frames.
    """
    if codec not in available():
        raise VideoError(f"this ffmpeg has no {ENCODERS[codec]}")
    if codec == "h264":
        return transcode(video, target, crf)
    os.environ.setdefault("SVT_LOG", "1")  # errors alone, or its banner would hide ffmpeg's complaint
    before = probe(video)
    options: dict[str, Any] = {"format": "mp4", "vcodec": ENCODERS[codec], "crf": crf, "pix_fmt": "yuv420p"}
    options |= {"map": "0:V:0", "fps_mode": "passthrough", "threads": 1, "an": None} | OPTIONS[codec]
    with whole(target) as part:
        finish(source(video).output(url(part), **options))
        after = probe(part)
    if after.frames != before.frames:
        raise VideoError(f"{before.frames} frames became {after.frames} with {codec} at {crf}")
    return after
