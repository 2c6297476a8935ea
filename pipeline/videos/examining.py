"""What a video turns out to be when it is decoded, from its start to its end, once.

Its frames are counted as they come out, and that it is damaged is seen because it does not decode. What the container
says of its length, of its times and of things other than the picture is not relied on.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import ffmpeg

from pipeline.videos import endings, formats, jpegs, tables
from pipeline.videos.decoder_log import DecoderLog
from pipeline.videos.ffmpeg_process import command, require_own_end, source
from pipeline.videos.probing import VideoInfo, frame_rate, refuse_unreadable
from pipeline.videos.reading import require_file
from pipeline.work.errors import VideoError

# Made to be cut anywhere: what the cut left of a picture at either end is no damage.
STREAMED = ("mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v")
TAIL = 4  # frames at most that the cut at the end costs: those that wait to be put into order
# Disks and downloads that lost a part of a file leave zeros there, and most decoders make some picture of them without
# a word: of 25 sectors of zeros in H.264, half. None of these codecs writes so many in a row.
WITHOUT_ZEROS = {
    "h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "wmv3", "h263", "flv1",
    "theora", "mpeg1video", "mpeg2video",
}  # fmt: skip
ZEROS = bytes(64)
STUFFING = (b"\x01", b"\xff\xd8")  # the ends of a start code (00 00 01) and a JPEG's start, which zeros may precede
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
    if formats.REFUSED in opening:
        raise VideoError(formats.refusal(path))
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
    return VideoInfo(
        frames, fps, *picture.upright(), log.codec, picture.pix_fmt, constant, interlaced, log.hdr, picture.pixel()
    )


def doubtful(path: Path, log: DecoderLog) -> bool:
    """Whether there is reason to `examine` a video some of whose frames were read. log: what was said meanwhile.

    It costs no decoding, so that a video which is looked at once can be looked at thoroughly only where it must be.
    """
    if log.complaints or log.lost or log.searched or log.changes or endings.missing(path):
        return True
    if tables.contradiction(path):
        return True
    if log.codec not in (*WITHOUT_ZEROS, "mjpeg"):
        return False
    packets = source(path).output("pipe:1", map="0:V:0", vcodec="copy", format="data")
    with _running(packets) as (stdout, _):
        return _has_zeros(stdout)


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
    packets = video.output("pipe:1", map="0:V:0", vcodec="copy", format="data")
    log = DecoderLog()
    with _running(ffmpeg.merge_outputs(frames, packets)) as (stdout, stderr):
        zeros = _has_zeros(stdout)
        log.read(stderr())
    return log, zeros


def _until_the_cut(path: Path, log: DecoderLog) -> int:
    """How many frames a stream gives before the first complaint, those at the cut at its start left aside; 0 where
    packets are missing elsewhere than at the cut at its end."""
    video = source(path, noautorotate=None)
    output = video.output("-", map="0:V:0", fps_mode="passthrough", format="null").global_args("-debug_ts")
    frames, whole, packets = 0, None, 0
    with _running(output) as (_, stderr):
        for line in stderr():
            # The demuxer and the decoder each say in order what they give and what is wrong with it.
            if "decoder -> pts" in line:
                frames += 1
            elif "demuxer -> ist_index" in line:
                packets += 1
            elif "corrupt input packet" in line:
                packets = 0
            elif whole is None and log.complains(line) and (frames or SHOWN in line):
                whole = frames
    if whole is None:
        whole = frames
    ends_torn = log.lost > 0 and packets <= 2  # that packet, and what of it was left in the parser
    if ends_torn:
        whole = min(whole, frames - TAIL)
    return whole if log.lost <= ends_torn else 0


@contextmanager
def _running(output: Any) -> Iterator[tuple[IO[bytes], Any]]:
    """Run ffmpeg; give its standard output, and a function that waits for its end and yields the lines of its log."""
    arguments = command(output.global_args("-nostats", "-loglevel", "level+info"))
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)

        def log() -> Iterator[str]:
            require_own_end(process.wait())
            errors.seek(0)
            return (line.decode(errors="replace").rstrip("\n") for line in errors)

        assert process.stdout is not None
        try:
            yield process.stdout, log
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def _has_zeros(packets: IO[bytes]) -> bool:
    """Read to the end; whether there are as many zeros in a row as ZEROS, other than stuffing."""
    found, kept = False, b""
    while block := packets.read(1 << 20):
        data = kept + block
        kept = data[1 - len(ZEROS) :]
        at = data.find(ZEROS)
        while at >= 0:
            rest = data[at:].lstrip(b"\0")
            if len(rest) < 2:
                kept = ZEROS + rest  # what follows is in the next block
                break
            found = found or not rest.startswith(STUFFING)
            at = data.find(ZEROS, len(data) - len(rest))
    return found or kept.startswith(ZEROS)


def _torn_jpeg(path: Path) -> str:
    """What is wrong with the first frame of a Motion JPEG that is not whole. Zeros alone tell nothing: a black area is
    some, where the encoder gave its blocks the shortest code."""
    packets = source(path).output("pipe:1", map="0:V:0", vcodec="copy", format="data")
    with _running(packets) as (stdout, _):
        return next(filter(None, map(jpegs.complaint, jpegs.split(stdout))), "")


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
