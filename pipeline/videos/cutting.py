"""Lossless clips cut out of any video: upright, at a constant rate, without fields, HDR or pixels that are not square.

What `cut` makes of a video as a clip, `cleaning` shows of it frame by frame without making one.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from pipeline.videos.ffmpeg_process import finish, url
from pipeline.videos.ffmpeg_process import source as open_source
from pipeline.videos.probing import VideoInfo
from pipeline.videos.reading import TO_RGB, probe
from pipeline.videos.writing import TO_YUV, encoding, rate
from pipeline.work.errors import VideoError
from pipeline.work.files import whole

# Two fields are two moments: a moving face would be a comb. One frame comes out for each that went in.
DEINTERLACE = "bwdif=mode=send_frame:deint=interlaced"
# Taken for SDR, PQ and HLG would be dull and pale, as no SDR video of the same set is. What is as bright as white paper
# (203 cd/m2, ITU-R BT.2408) or darker, such as a face, keeps its SDR brightness; lights are pressed together above it.
TONE_MAP = (
    "zscale=tin={transfer}:pin=bt2020:min=bt2020nc:transfer=linear:primaries=bt2020:npl=203,format=gbrpf32le,"
    "zscale=primaries=bt709,tonemap=mobius:desat=0,zscale=transfer=bt709:matrix=bt709:range=tv,format=yuv444p"
)
OUTPUTS = 16  # clips cut in one decoding: each has an encoder of its own
EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"  # 4:2:0 halves both sides


@dataclass(frozen=True)
class Excerpt:
    """What a clip takes of a video.

    first: its first frame, as the decoder counts them from 0; frames: how many at most (None: to the end).
    start, fps: in place of `first`, from where in seconds, with frames repeated or dropped to this rate.
    crop: (left, top, width, height) in pixels of the upright frame; size: (width, height) that this is scaled to;
    max_side: larger frames are scaled down to it, px.
    """

    first: int = 0
    frames: int | None = None
    start: float = 0.0
    fps: Fraction | None = None
    crop: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None
    max_side: int | None = None


def cut(source: Path, info: VideoInfo, clips: Mapping[Path, Excerpt]) -> list[VideoInfo]:
    """Leave lossless clips of a video (file -> what it holds), all decoded in one go. Returns what each turned out.

    The frames are those that the decoder gives, none twice and none left out, whatever their times: at a variable
    rate they follow one another at its mean. They are turned upright, cut to even sides and taken to RGB once, like a
    fake's. Interlaced ones are deinterlaced, a high dynamic range (PQ, HLG) is tone mapped to BT.709, pixels that are
    not square are made so; the rest is as it was.

    info: what examining the source found. Raises: VideoError where the source has no frame for one of the clips, or
    where nothing would be left of its height or width.
    """
    shortest, longest = sorted((info.width, info.height))
    shares = [min(1.0, clip.max_side / longest) for clip in clips.values() if clip.max_side is not None]
    if shortest * min([1.0, *shares]) < 2:
        raise VideoError(f"{info.width}x{info.height} px: too small, or too flat, for a face")
    made: list[VideoInfo] = []
    waiting = list(clips.items())
    for start in range(0, len(waiting), OUTPUTS):
        with ExitStack() as stack:
            video = open_source(source)
            parts, outputs = [], []
            for target, clip in waiting[start : start + OUTPUTS]:
                parts.append(stack.enter_context(whole(target)))
                outputs.append(video.output(url(parts[-1]), **_options(clip, info), **encoding(0)))
            finish(ffmpeg.merge_outputs(*outputs))
            made += [probe(part) for part in parts]
    return made


def cleaning(info: VideoInfo) -> tuple[str, str]:
    """The filters with which `read_frames` shows a video as `cut` would have made a clip of it; empty for most."""
    after = [TONE_MAP.format(transfer=info.hdr)] if info.hdr else []
    after += [] if _square(info) else [TO_RGB, _squaring(info)]
    return DEINTERLACE if info.interlaced else "", ",".join(after)


def cleaned_width(info: VideoInfo) -> int:
    """The width in px of the frames that `cleaning` leaves."""
    return info.width if _square(info) else int(info.width * info.pixel / 2) * 2


def _options(clip: Excerpt, info: VideoInfo) -> dict[str, Any]:
    filters = [*_timing(clip, info)]
    filters += [TONE_MAP.format(transfer=info.hdr)] if info.hdr else []
    filters += [*_framing(clip, info), EVEN, TO_YUV, "setsar=1", f"settb=1/({rate(clip.fps or info.fps)})", "setpts=N"]
    # Or frames would be moved to the rate that the source's header gives.
    clock = {"fps_mode": "passthrough", "enc_time_base": "filter"}
    return {"map": "0:V:0", "map_metadata": -1, "vf": ",".join(filters), **clock}


def _timing(clip: Excerpt, info: VideoInfo) -> list[str]:
    """The filters that choose the frames, and make whole ones of fields before any is dropped or repeated."""
    filters = []
    if clip.start:
        filters += [f"trim=start={clip.start}", f"setpts=PTS-{clip.start}/TB"]
    elif clip.fps is None:
        end = info.frames if clip.frames is None else min(info.frames, clip.first + clip.frames)
        filters.append(f"trim=start_frame={clip.first}:end_frame={end}")
    filters += [DEINTERLACE] if info.interlaced else []
    if clip.fps is not None:
        filters += [f"fps={rate(clip.fps)}"] if not (info.constant and clip.fps == info.fps) else []
        filters += [f"trim=end_frame={clip.frames}"] if clip.frames is not None else []
    return filters


def _framing(clip: Excerpt, info: VideoInfo) -> list[str]:
    """The filters that choose the region and its size, in RGB: in 4:2:0 an odd corner would move the colours against
    the brightness."""
    filters = [TO_RGB]
    if clip.crop is not None:
        left, top, width, height = clip.crop
        filters.append(f"crop={width}:{height}:{left}:{top}:exact=1")
    if clip.size is not None:
        filters.append(f"scale=w={clip.size[0]}:h={clip.size[1]}:flags=bicubic+accurate_rnd+bitexact")
    elif not _square(info):
        filters.append(_squaring(info))
    if clip.max_side is not None:
        bound = f"min(1\\,{clip.max_side}/max(iw\\,ih))"
        filters.append(f"scale=w=trunc(iw*{bound}/2)*2:h=trunc(ih*{bound}/2)*2:flags=area+accurate_rnd+bitexact")
    return filters


def _square(info: VideoInfo) -> bool:
    """Whether the pixels are, to within two columns of the frame."""
    return abs(info.width * (info.pixel - 1)) < 2


def _squaring(info: VideoInfo) -> str:
    wide = f"trunc(iw*{info.pixel.numerator}/{info.pixel.denominator}/2)*2"
    return f"scale=w={wide}:h=ih:flags=bicubic+accurate_rnd+bitexact"
