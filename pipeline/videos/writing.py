"""Lossless clips and compressed versions of them.

Every lossless clip, real or forged, leaves through `write_video` or `cut`: one conversion, one encoder, or the files
would tell the classes apart. One thread a video: x264's output depends on the number of its threads.
"""

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from pipeline.videos.ffmpeg_process import finish, running, url
from pipeline.videos.ffmpeg_process import source as open_source
from pipeline.videos.probing import VideoInfo
from pipeline.videos.reading import TO_RGB, Image, probe
from pipeline.work.errors import VideoError
from pipeline.work.files import whole

TO_YUV = "scale=flags=area+accurate_rnd+bitexact:out_color_matrix=bt709:out_range=tv,format=yuv420p"
# Two fields are two moments: a moving face would be a comb. One frame comes out for each that went in.
DEINTERLACE = "bwdif=mode=send_frame:deint=interlaced"
# Taken for SDR, PQ and HLG would be dull and pale, as no SDR video of the same set is. What is as bright as white paper
# (203 cd/m2, ITU-R BT.2408) or darker, such as a face, keeps its SDR brightness; lights are pressed together above it.
TONE_MAP = (
    "zscale=tin={transfer}:pin=bt2020:min=bt2020nc:transfer=linear:npl=203,format=gbrpf32le,zscale=primaries=bt709,"
    "tonemap=mobius:desat=0,zscale=transfer=bt709:matrix=bt709:range=tv,format=yuv444p"
)
OUTPUTS = 16  # clips cut in one decoding: each has an encoder of its own
EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"  # 4:2:0 halves both sides


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
        output = source.output(url(part), vf=TO_YUV, **_encoding(crf), **_metadata(metadata))
        with running(output, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            for image in frames:
                if image.shape != (height, width, 3) or image.dtype != np.uint8:
                    raise ValueError(f"{path}: a frame is {image.dtype} {image.shape}, not uint8 {(height, width, 3)}")
                process.stdin.write(np.ascontiguousarray(image).data)
            process.stdin.close()
        info = probe(part)
    return info


@dataclass(frozen=True)
class Part:
    """A clip to cut out of a video, and the file to leave it in.

    first: its first frame, as the decoder counts them from 0; frames: how many at most (None: to the end).
    start, fps: in place of `first`, from where in seconds, with frames repeated or dropped to this rate.
    crop: (left, top, width, height) in pixels of the upright frame; size: (width, height) that this is scaled to;
    max_side: larger frames are scaled down to it, px.
    """

    target: Path
    first: int = 0
    frames: int | None = None
    start: float = 0.0
    fps: Fraction | None = None
    crop: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None
    max_side: int | None = None


def cut(source: Path, info: VideoInfo, parts: Sequence[Part]) -> list[VideoInfo]:
    """Leave lossless clips of a video, all decoded in one go: upright, constant rate, even sizes, RGB once like a fake.

    The frames are those that the decoder gives, none twice and none left out, whatever their times: at a variable
    rate they follow one another at its mean. Interlaced ones are deinterlaced, a high dynamic range (PQ, HLG) is tone
    mapped to BT.709, pixels that are not square are made so; the rest is as it was.

    info: what examining the source found. Raises: VideoError where the source has no frame for one of them, or where
    nothing would be left of its height or width.
    """
    shortest = min(info.width, info.height)
    shares = [min(1.0, part.max_side / max(info.width, info.height)) for part in parts if part.max_side is not None]
    if shortest * min([1.0, *shares]) < 2:
        raise VideoError(f"{info.width}x{info.height} px: too small, or too flat, for a face")
    made: list[VideoInfo] = []
    for start in range(0, len(parts), OUTPUTS):
        with ExitStack() as stack:
            files = [stack.enter_context(whole(part.target)) for part in parts[start : start + OUTPUTS]]
            video = open_source(source)
            outputs = [
                video.output(url(file), **_cutting(part, info), **_encoding(0))
                for part, file in zip(parts[start:], files, strict=False)
            ]
            finish(ffmpeg.merge_outputs(*outputs))
            made += [probe(file) for file in files]
    return made


def _cutting(part: Part, info: VideoInfo) -> dict[str, Any]:
    rate = _rate(part.fps or info.fps)
    filters = []
    if part.start:
        filters += [f"trim=start={part.start}", f"setpts=PTS-{part.start}/TB"]
    elif part.fps is None:
        end = info.frames if part.frames is None else min(info.frames, part.first + part.frames)
        filters.append(f"trim=start_frame={part.first}:end_frame={end}")
    filters += [DEINTERLACE] if info.interlaced else []
    filters += [f"fps={rate}"] if part.fps is not None and not (info.constant and part.fps == info.fps) else []
    filters += [f"trim=end_frame={part.frames}"] if part.fps is not None and part.frames is not None else []
    filters += [TONE_MAP.format(transfer=info.hdr)] if info.hdr else []
    filters.append(TO_RGB)  # before the crop: in 4:2:0 an odd corner would move the colours against the brightness
    if part.crop is not None:
        left, top, width, height = part.crop
        filters.append(f"crop={width}:{height}:{left}:{top}:exact=1")
    if part.size is not None:
        filters.append(f"scale=w={part.size[0]}:h={part.size[1]}:flags=bicubic+accurate_rnd+bitexact")
    elif not _square(info):
        filters.append(_squaring(info))
    if part.max_side is not None:
        bound = f"min(1\\,{part.max_side}/max(iw\\,ih))"
        filters.append(f"scale=w=trunc(iw*{bound}/2)*2:h=trunc(ih*{bound}/2)*2:flags=area+accurate_rnd+bitexact")
    filters += [EVEN, TO_YUV, "setsar=1", f"settb=1/({rate})", "setpts=N"]
    # Or frames would be moved to the rate that the source's header gives.
    clock = {"fps_mode": "passthrough", "enc_time_base": "filter"}
    return {"map": "0:V:0", "map_metadata": -1, "vf": ",".join(filters), **clock}


def cleaning(info: VideoInfo) -> tuple[str, str]:
    """The filters with which `read_frames` shows a video as `cut` would have made a clip of it; empty for most."""
    after = [TONE_MAP.format(transfer=info.hdr)] if info.hdr else []
    after += [] if _square(info) else [TO_RGB, _squaring(info)]
    return DEINTERLACE if info.interlaced else "", ",".join(after)


def cleaned_width(info: VideoInfo) -> int:
    """The width in px of the frames that `cleaning` leaves."""
    return info.width if _square(info) else int(info.width * info.pixel / 2) * 2


def _square(info: VideoInfo) -> bool:
    """Whether the pixels are, to within two columns of the frame."""
    return abs(info.width * (info.pixel - 1)) < 2


def _squaring(info: VideoInfo) -> str:
    wide = f"trunc(iw*{info.pixel.numerator}/{info.pixel.denominator}/2)*2"
    return f"scale=w={wide}:h=ih:flags=bicubic+accurate_rnd+bitexact"


def transcode(source: Path, target: Path, crf: int, frames: int | None = None) -> VideoInfo:
    """Compress with libx264 at a constant rate factor and the encoder's other defaults, frame by frame.

    frames: how many the source has; None: as many as its packets. Raises: VideoError where the result has not as many.
    """
    packets = probe(source).frames  # which also tells what is wrong with a file that cannot be opened
    expected = packets if frames is None else frames
    with whole(target) as part:
        finish(open_source(source).output(url(part), map="0:V:0", fps_mode="passthrough", **_encoding(crf)))
        after = probe(part)
        if after.frames != expected:
            raise VideoError(f"{expected} frames became {after.frames} at crf {crf}")
    return after


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
