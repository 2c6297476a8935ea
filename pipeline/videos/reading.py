"""Videos as frames: what a file holds, and its pictures one by one."""

import os
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count, groupby, pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.videos import endings, formats
from pipeline.videos.decoder_log import DecoderLog
from pipeline.videos.ffmpeg_process import ask, executable, running, source
from pipeline.videos.probing import VideoInfo, parse_probe
from pipeline.work.errors import VideoError

Image = NDArray[np.uint8]

# The conversions between RGB and YUV. swscale's default (fast) one loses 1.1 grey levels of luma on each round trip,
# which would make every fake, decoded and encoded once more than its target, darker than the reals. With these
# flags a second round trip changes luma by 0.004 and chroma by 0.005 levels in the mean.
TO_RGB = "scale=flags=neighbor+accurate_rnd+full_chroma_int+bitexact,format=rgb24"
SPANS = 64  # ffmpeg 9 parses an expression of 100 terms at most


def probe(path: Path) -> VideoInfo:
    """Size, rate, codec and number of frames, from the packets, without decoding.

    For videos that were made here, or examined before: a packet may be damaged, or show no frame (`examining`).
    Raises: VideoError where the file is missing, empty, cut short or without a video stream.
    """
    require_file(path)
    output = source(path).output("pipe:", map="0:V:0", c="copy", format="framecrc")
    packets, log = ask(output)
    formats.require_video(path, log)
    info = parse_probe(packets, log)
    endings.require_end(path)
    return info


def require_file(path: Path) -> None:
    """Raise VideoError where the file is missing, empty, or may not be read."""
    if not path.is_file():
        raise VideoError("the file is missing")
    if not os.access(path, os.R_OK):
        raise VideoError("the file may not be read: permission denied")
    if path.stat().st_size == 0:
        raise VideoError("the file is empty (0 bytes)")


def read_frames(
    path: Path,
    indices: Iterable[int] | None = None,
    region: tuple[int, int, int, int] | None = None,
    before: str = "",
    after: str = "",
    log: DecoderLog | None = None,
) -> Iterator[tuple[int, Image]]:
    """Yield (index, RGB image (H, W, 3)) of the wanted frames in order, of all of them by default.

    region: (left, top, width, height), even numbers: these pixels alone, at a fraction of the conversion's cost.
    before, after: ffmpeg filters for every frame ahead of the choice, and for the chosen ones (cutting.cleaning).
    log: is told at the end what ffmpeg said of every frame that it decoded, wanted or not.
    Frames are numbered as the decoder gives them, from 0. Decoding stops after the last wanted one.
    Raises: VideoError where a wanted frame is missing.
    """
    wanted = None if indices is None else deque(sorted(set(indices)))
    if wanted is not None and not wanted:
        return
    options: dict[str, Any] = {"map": "0:V:0", "fps_mode": "passthrough", "format": "image2pipe", "vcodec": "ppm"}
    numbers: Iterator[int] = count()
    select = crop = ""
    if wanted is not None:
        spans = bounded(wanted, SPANS)
        numbers = chain.from_iterable(spans)
        select = f"select='{'+'.join(f'between(n,{span.start},{span.stop - 1})' for span in spans)}'"
        options["frames:v"] = sum(map(len, spans))
    if region is not None:
        left, top, width, height = region
        crop = f"crop={width}:{height}:{left}:{top}:exact=1"
    told = "showinfo=checksum=0" if log is not None else ""
    options["vf"] = ",".join(filter(None, (told, before, select, crop, after, TO_RGB)))
    number = None
    with running(source(path).output("pipe:", **options), stdout=subprocess.PIPE, log=log) as process:
        assert process.stdout is not None
        while (image := _read_ppm(process.stdout)) is not None:
            number = next(numbers)
            if wanted is None:
                yield number, image
            elif number == wanted[0]:
                yield wanted.popleft(), image
    if wanted or number is None:
        raise VideoError(f"{f'frame {wanted[0]}' if wanted else 'any frame'} cannot be decoded")


def version() -> str:
    """The first line of `ffmpeg -version`, for a report's provenance."""
    result = subprocess.run([executable(), "-version"], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return result.stdout.decode().splitlines()[0]


def bounded(wanted: Sequence[int], most: int) -> list[range]:
    """At most `most` spans of frames that hold all of the ascending `wanted`, and what lies in the shortest gaps."""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(wanted), key=lambda pair: pair[1] - pair[0])]
    gaps = sorted(range(1, len(runs)), key=lambda i: runs[i][0] - runs[i - 1][-1])
    starts = sorted([0, *gaps[max(0, len(runs) - most) :]])
    return [range(runs[a][0], runs[b - 1][-1] + 1) for a, b in pairwise([*starts, len(runs)])]


def _read_ppm(stream: IO[bytes]) -> Image | None:
    if not stream.readline():  # P6
        return None
    width, height = (int(side) for side in stream.readline().split())
    stream.readline()  # the largest value, 255
    data = stream.read(width * height * 3)
    if len(data) < width * height * 3:
        return None
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)
