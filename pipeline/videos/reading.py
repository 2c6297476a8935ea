"""Videos as frames: what a file holds, and its pictures one by one."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.videos import formats
from pipeline.videos.ffmpeg_process import command, executable, running, source
from pipeline.videos.probing import VideoInfo, parse_probe
from pipeline.work.errors import VideoError

Image = NDArray[np.uint8]

# The conversions between RGB and YUV. swscale's default (fast) one loses 1.1 grey levels of luma on each round trip,
# which would make every fake, decoded and encoded once more than its target, darker than the reals. With these
# flags a second round trip changes luma by 0.004 and chroma by 0.005 levels in the mean.
TO_RGB = "scale=flags=neighbor+accurate_rnd+full_chroma_int+bitexact,format=rgb24"


def probe(path: Path) -> VideoInfo:
    """Size, rate, codec and the exact number of frames, from the packets, without decoding.

    Raises: VideoError where the file is missing, empty, damaged, cut short, of no format of videos (see formats) or
    without a video stream.
    """
    if not path.is_file():
        raise VideoError("the file is missing")
    if not os.access(path, os.R_OK):
        raise VideoError("the file may not be read: permission denied")
    if path.stat().st_size == 0:
        raise VideoError("the file is empty (0 bytes)")
    output = source(path).output("pipe:", map="0:V:0", c="copy", format="framecrc")
    arguments = command(output.global_args("-loglevel", "level+info"))
    result = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True)
    log = result.stderr.decode(errors="replace")
    if formats.REFUSED in log:
        raise VideoError(formats.refusal(path))
    return parse_probe(result.stdout.decode(), log)


def read_frames(
    path: Path, indices: Iterable[int] | None = None, region: tuple[int, int, int, int] | None = None
) -> Iterator[tuple[int, Image]]:
    """Yield (index, RGB image (H, W, 3)) of the wanted frames in order, of all of them by default.

    region: (left, top, width, height), even numbers: these pixels alone, at a fraction of the conversion's cost.
    Decoding stops after the last wanted frame. Raises: VideoError where a wanted frame is missing.
    """
    wanted = None if indices is None else sorted(set(indices))
    if wanted == []:
        return
    video = source(path)
    options: dict[str, Any] = {"map": "0:V:0", "fps_mode": "passthrough", "format": "image2pipe", "vcodec": "ppm"}
    filters = [TO_RGB]
    if region is not None:
        left, top, width, height = region
        filters.insert(0, f"crop={width}:{height}:{left}:{top}:exact=1")
    if wanted is not None:
        filters.insert(0, f"select='{_selection(wanted)}'")
        options["frames:v"] = len(wanted)
    options["vf"] = ",".join(filters)
    count = 0
    with running(video.output("pipe:", **options), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while (image := _read_ppm(process.stdout)) is not None:
            yield (count if wanted is None else wanted[count]), image
            count += 1
    if count == 0 or (wanted is not None and count < len(wanted)):
        missing = "any frame" if wanted is None else f"frame {wanted[count]}"
        raise VideoError(f"{missing} cannot be decoded")


def version() -> str:
    """The first line of `ffmpeg -version`, for a report's provenance."""
    result = subprocess.run([executable(), "-version"], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return result.stdout.decode().splitlines()[0]


def _selection(wanted: Sequence[int]) -> str:
    runs = ([i for _, i in group] for _, group in groupby(enumerate(wanted), key=lambda pair: pair[1] - pair[0]))
    return "+".join(f"between(n,{run[0]},{run[-1]})" for run in runs)


def _read_ppm(stream: IO[bytes]) -> Image | None:
    if not stream.readline():  # P6
        return None
    width, height = (int(side) for side in stream.readline().split())
    stream.readline()  # the largest value, 255
    data = stream.read(width * height * 3)
    if len(data) < width * height * 3:
        return None
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)
