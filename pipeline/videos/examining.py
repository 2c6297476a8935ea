"""What a video turns out to be when it is decoded, from its start to its end, once.

Frames are counted as they come out, and damage is seen where something does not decode. What the container says of
length and times, and of anything but the picture, is not relied on.
"""

import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import ffmpeg

from pipeline.videos import endings, formats, jpegs, tables
from pipeline.videos.decoder_log import DecoderLog
from pipeline.videos.ffmpeg_process import running, source
from pipeline.videos.probing import VideoInfo, frame_rate, refuse_unreadable
from pipeline.videos.reading import require_file
from pipeline.videos.zeros import WITHOUT_ZEROS, has_zeros
from pipeline.work.errors import VideoError

# Made to be cut anywhere: what the cut left of a picture at either end is no damage.
STREAMED = ("mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v")
TAIL = 4  # frames at most that the cut at the end costs: those that wait to be put into order
PACKETS = {"map": "0:V:0", "vcodec": "copy", "format": "data"}  # of the picture, without the container
# Said of a frame that is shown all the same. Those that a cut at the start left without what they refer to are not.
SHOWN = "corrupt decoded frame"


def examine(path: Path) -> VideoInfo:
    """Decode all frames of a video: how many there are, their rate and size, and whether all are whole.

    Of a stream that was cut (MPEG-TS, MPEG-PS, elementary streams) the frames up to the last whole one count.
    Raises: VideoError where the file is missing, holds no video, is damaged or cut short, or where the size, the
    orientation or the format of its picture changes half way.
    """
    require_file(path)
    log, zeros = _decode(path)
    opening = "\n".join(log.opening)
    formats.require_video(path, opening)
    refuse_unreadable(opening, log.frames > 0)
    frames = log.frames
    if log.complaints or log.lost:
        frames = _until_the_cut(path, log) if log.container in STREAMED else 0
    if cause := _damage(log, frames, zeros) or (zeros and log.codec == "mjpeg" and _torn_jpeg(path)):
        raise VideoError(f"damaged or cut short: {cause}")
    endings.require_end(path)
    tables.require_sound(path)
    if log.changes:
        raise VideoError(f"its picture changes half way, {log.changes}")
    picture = log.pictures[0]
    fps, constant = frame_rate(log.times[:frames], log.tick, log.nominal)
    # DV is interlaced by its standard, which its streams do not repeat.
    interlaced = log.interlaced or log.codec == "dvvideo"
    width, height = picture.upright()
    return VideoInfo(
        frames=frames,
        fps=fps,
        width=width,
        height=height,
        codec=log.codec,
        pix_fmt=picture.pix_fmt,
        constant=constant,
        interlaced=interlaced,
        hdr=log.hdr,
        pixel=picture.pixel(),
    )


def doubtful(path: Path, log: DecoderLog) -> bool:
    """Whether there is reason to `examine` a video some of whose frames were read. log: what was said meanwhile.

    It costs no decoding, so that a video which is looked at once can be looked at thoroughly only where it must be.
    """
    if log.torn or log.complaints or log.lost or log.searched or log.changes or endings.missing(path):
        return True
    if tables.contradiction(path):
        return True
    if log.codec not in (*WITHOUT_ZEROS, "mjpeg"):
        return False
    with _packets(path) as packets:
        return has_zeros(packets)


def _damage(log: DecoderLog, frames: int, zeros: bool) -> str:
    """Why not all pictures are whole, empty where they are. frames: how many there are before the first complaint."""
    tail = TAIL if frames > 0 else 0
    if log.complaints and log.frames - frames > tail:
        return log.complaints[0]
    if log.lost > 0 and log.frames - frames > tail:
        return "a part of the picture's data is missing"
    if zeros and log.codec in WITHOUT_ZEROS:
        return "a part of the picture's data is zeros"
    if log.searched and (_has_gap(log.times[:frames]) or _ends_early(log)):
        return f"frames are missing ({log.searched})"
    return ""


def _decode(path: Path) -> tuple[DecoderLog, bool]:
    """What ffmpeg says of each frame, and whether the packets of the picture hold a run of zeros."""
    video = source(path, noautorotate=None)  # a turn that changes half way would be lost in the first one
    frames = video.output("-", map="0:V:0", fps_mode="passthrough", vf="showinfo=checksum=0", format="null")
    log = DecoderLog()
    both = ffmpeg.merge_outputs(frames, video.output("pipe:1", **PACKETS))
    with running(both, stdout=subprocess.PIPE, log=log, may_fail=True) as process:
        assert process.stdout is not None
        zeros = has_zeros(process.stdout)
    if log.torn:
        alone = DecoderLog()
        with running(video.output("-", map="0:V:0", fps_mode="passthrough", format="null"), log=alone, may_fail=True):
            pass
        log.hear(alone)
    return log, zeros


@contextmanager
def _packets(path: Path) -> Iterator[IO[bytes]]:
    """The packets of the picture as they lie in the file, one after the other."""
    with running(source(path).output("pipe:1", **PACKETS), stdout=subprocess.PIPE, may_fail=True) as process:
        assert process.stdout is not None
        yield process.stdout


def _until_the_cut(path: Path, log: DecoderLog) -> int:
    """How many frames a stream gives before the first complaint, those at the cut at its start left aside; 0 where
    packets are missing elsewhere than at the cut at its end."""
    video = source(path, noautorotate=None)
    output = video.output("-", map="0:V:0", fps_mode="passthrough", format="null").global_args("-debug_ts")
    order = _Order(log.complains)
    with running(output, log=order, may_fail=True):
        pass
    whole = order.frames if order.whole is None else order.whole
    ends_torn = log.lost > 0 and order.packets <= 2  # that packet, and what of it was left in the parser
    if ends_torn:
        whole = min(whole, order.frames - TAIL)
    return whole if log.lost <= ends_torn else 0


@dataclass
class _Order:
    """The log of `-debug_ts`: in which order the demuxer and the decoder give what they give, and complain.

    frames: decoded; whole: those of them before the first complaint, None without one; packets: behind the last one
    that is incomplete.
    """

    complains: Callable[[str], bool]
    frames: int = 0
    whole: int | None = None
    packets: int = 0

    def read(self, lines: Iterable[str]) -> None:
        for line in lines:
            if "decoder -> pts" in line:
                self.frames += 1
            elif "demuxer -> ist_index" in line:
                self.packets += 1
            elif "corrupt input packet" in line:
                self.packets = 0
            elif self.whole is None and self.complains(line) and (self.frames or SHOWN in line):
                self.whole = self.frames


def _torn_jpeg(path: Path) -> str:
    """What is wrong with the first frame of a Motion JPEG that is not whole. Zeros alone tell nothing: a black area is
    some, where the encoder gave its blocks the shortest code."""
    with _packets(path) as packets:
        return next(filter(None, map(jpegs.complaint, jpegs.split(packets))), "")


def _has_gap(times: list[int]) -> bool:
    """Whether frames are missing between others, or came twice."""
    steps = sorted(later - earlier for earlier, later in pairwise(times))
    return bool(steps) and (2 * steps[-1] > 3 * steps[len(steps) // 2] or steps[0] <= 0)


def _ends_early(log: DecoderLog) -> bool:
    """Whether the container goes on for longer than a frame after its last one."""
    if not log.times or not log.seconds or log.container in STREAMED:  # whose length is guessed
        return False
    shown = float(log.tick) * (log.times[-1] - log.times[0])
    step = shown / (len(log.times) - 1) if len(log.times) > 1 else float(1 / log.nominal)
    return log.seconds - shown > 1.9 * step
