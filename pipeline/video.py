"""Videos through ffmpeg: with its helpers probing.py and ffmpeg_process.py the only module that knows it.

Every lossless clip, real or forged, leaves through `write_video` or `cut`: one conversion, one encoder, or the files
would tell the classes apart. One thread a video: x264's output depends on the number of its threads.
"""

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import VideoError
from pipeline.ffmpeg_process import command, executable, finish, running
from pipeline.files import whole
from pipeline.probing import VideoInfo, parse_probe

Image = NDArray[np.uint8]

# The conversions between RGB and YUV. swscale's default (fast) one loses 1.1 grey levels of luma on each round trip,
# which would make every fake, decoded and encoded once more than its target, darker than the reals. With these
# flags a second round trip changes luma by 0.004 and chroma by 0.005 levels in the mean.
TO_RGB = "scale=flags=neighbor+accurate_rnd+full_chroma_int+bitexact,format=rgb24"
TO_YUV = "scale=flags=area+accurate_rnd+bitexact:out_color_matrix=bt709:out_range=tv,format=yuv420p"
# Two fields are two moments: a moving face would be a comb. One frame comes out for each that went in.
DEINTERLACE = "bwdif=mode=send_frame:deint=interlaced"
# Taken for SDR, PQ and HLG would be dull and pale, as no SDR video of the same set is. What is as bright as white paper
# (203 cd/m2, ITU-R BT.2408) or darker, such as a face, keeps its SDR brightness; lights are pressed together above it.
TONE_MAP = (
    "zscale=tin={transfer}:pin=bt2020:min=bt2020nc:transfer=linear:npl=203,format=gbrpf32le,zscale=primaries=bt709,"
    "tonemap=mobius:desat=0,zscale=transfer=bt709:matrix=bt709:range=tv,format=yuv444p"
)
EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"  # 4:2:0 halves both sides


def probe(path: Path) -> VideoInfo:
    """Size, rate, codec and the exact number of frames, from the packets, without decoding.

    Raises: VideoError where the file is missing, empty, damaged, cut short or without a video stream.
    """
    if not path.is_file():
        raise VideoError("the file is missing")
    if path.stat().st_size == 0:
        raise VideoError("the file is empty (0 bytes)")
    output = _input(path).output("pipe:", map="0:V:0", c="copy", format="framecrc")
    arguments = command(output.global_args("-loglevel", "level+info"))
    result = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True)
    return parse_probe(result.stdout.decode(), result.stderr.decode(errors="replace"))


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
    video = _input(path)
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
    source = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=_rate(fps))
    with whole(path) as part:
        output = source.output(_url(part), vf=TO_YUV, **_encoding(crf), **_metadata(metadata))
        with running(output, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            for image in frames:
                if image.shape != (height, width, 3) or image.dtype != np.uint8:
                    raise ValueError(f"{path}: a frame is {image.dtype} {image.shape}, not uint8 {(height, width, 3)}")
                process.stdin.write(np.ascontiguousarray(image).data)
            process.stdin.close()
        info = probe(part)
    return info


def cut(
    source: Path,
    target: Path,
    *,
    start: float = 0.0,
    frames: int | None = None,
    fps: Fraction | None = None,
    crop: tuple[int, int, int, int] | None = None,
    size: tuple[int, int] | None = None,
    max_side: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> VideoInfo:
    """Leave a lossless clip of any video ffmpeg reads: constant frame rate, even sizes, upright, RGB once like a fake.

    Interlaced frames are deinterlaced, a high dynamic range (PQ, HLG) is tone mapped to BT.709; the rest is as it was.

    start: seconds; frames: how many at most; fps: frames are repeated or dropped to this rate (None: the video's own);
    crop: (left, top, width, height) in pixels of the upright frame; size: (width, height) that this is scaled to;
    max_side: larger frames are scaled down to it, px.
    """
    info = probe(source)
    rate = _rate(fps or info.fps)
    filters = [DEINTERLACE] if info.interlaced else []
    filters += [] if info.constant and fps in (None, info.fps) else [f"fps={rate}"]
    filters += [TONE_MAP.format(transfer=info.hdr)] if info.hdr else []
    filters.append(TO_RGB)  # before the crop: in 4:2:0 an odd corner would move the colours against the brightness
    if crop is not None:
        left, top, width, height = crop
        filters.append(f"crop={width}:{height}:{left}:{top}:exact=1")
    if size is not None:
        filters.append(f"scale=w={size[0]}:h={size[1]}:flags=bicubic+accurate_rnd+bitexact")
    if max_side is not None:
        bound = f"min(1\\,{max_side}/max(iw\\,ih))"
        filters.append(f"scale=w=trunc(iw*{bound}/2)*2:h=trunc(ih*{bound}/2)*2:flags=area+accurate_rnd+bitexact")
    filters += [EVEN, TO_YUV, "setsar=1", f"settb=1/({rate})", "setpts=N"]
    options: dict[str, Any] = {"map": "0:V:0", "map_metadata": -1, "fps_mode": "passthrough", "vf": ",".join(filters)}
    if frames is not None:
        options["frames:v"] = frames
    with whole(target) as part:
        video = _input(source, **({"ss": start} if start else {}))
        finish(video.output(_url(part), **options, **_encoding(0), **_metadata(metadata)))
        result = probe(part)
    return result


def transcode(source: Path, target: Path, crf: int) -> VideoInfo:
    """Compress with libx264 at a constant rate factor and the encoder's other defaults, frame by frame.

    Raises: VideoError where the result has not the same frames.
    """
    before = probe(source)
    with whole(target) as part:
        finish(_input(source).output(_url(part), map="0:V:0", fps_mode="passthrough", **_encoding(crf)))
        after = probe(part)
        if after.frames != before.frames:
            raise VideoError(f"{before.frames} frames became {after.frames} at crf {crf}")
    return after


def version() -> str:
    """The first line of `ffmpeg -version`, for a report's provenance."""
    result = subprocess.run([executable(), "-version"], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return result.stdout.decode().splitlines()[0]


def _url(path: Path) -> str:
    return f"file:{path}"  # or a colon in a name would start a protocol


def _input(path: Path, **options: Any) -> Any:
    # A playlist among the videos must not make ffmpeg open addresses.
    return ffmpeg.input(_url(path), protocol_whitelist="file,pipe", threads=1, **options)


def _encoding(crf: int) -> dict[str, Any]:
    # Lossless pixels do not depend on the preset: this one, without CABAC, costs 16% more bytes than veryfast and is
    # decoded 2.6 times as fast, which each later stage gains from.
    preset = {"preset": "ultrafast"} if crf == 0 else {}
    return {"format": "mp4", "vcodec": "libx264", "crf": crf, "pix_fmt": "yuv420p", "threads": 1, "an": None} | preset


def _metadata(entries: Mapping[str, str] | None) -> dict[str, str]:
    numbered = enumerate(sorted((entries or {}).items()))
    return {f"metadata:g:{number}": f"{key}={value}" for number, (key, value) in numbered}


def _rate(fps: Fraction | float) -> str:
    rate = Fraction(fps).limit_denominator(1001)
    return f"{rate.numerator}/{rate.denominator}"


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
