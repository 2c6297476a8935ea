"""What ffmpeg says about a video, as numbers. (imageio-ffmpeg brings no ffprobe.)"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from statistics import median_low

from pipeline.videos.ffmpeg_process import first_complaint
from pipeline.work.errors import VideoError

STREAM = re.compile(r"Stream #\S+: Video: (\w+)(?: \([^)]*\))*, (\w+)(?:\(([^)]*)\))?")
TRACK = re.compile(r"Stream #0:\d+\S*: (Video: .*)")
NO_TRACK = ("(attached pic)", "(timed thumbnails)")  # ffmpeg's words for pictures that are no video
ROTATION = re.compile(r"rotation of (-?[\d.]+) degrees")
INTERLACED = re.compile(r"\b(top|bottom) (coded )?first")
TRANSFERS = ("smpte2084", "arib-std-b67")  # PQ and HLG (BT.2100)
SERIOUS = re.compile(r"\[(warning|error|fatal)\]")
# What ffmpeg says of a container that ends before its own tables say so. Its other complaints, of a missing chapter or
# a packet of sound, do not touch the picture: whether that is whole is seen by decoding it (`examining`).
CUT_SHORT = re.compile(
    r"partial file|ended prematurely|truncat|moov atom not found|error during demuxing", re.IGNORECASE
)
NO_INDEX = "moov atom not found"  # of an MP4, which is often at its end
MAPPED = re.compile(r"Stream #0:(\d+) -> #0:0")
OFFSET = re.compile(r"stream (\d+), offset \w+: ")
DISCARDED = 4  # ffmpeg's flag of a packet that is decoded and not shown, as before the start of an edit list
NO_TIME = -(2**63)  # ffmpeg's AV_NOPTS_VALUE
REGULAR = 0.9  # of all frames' distances: with so many alike, the others are pauses and do not change the rate


@dataclass(frozen=True)
class VideoInfo:
    """What a video is.

    width, height: pixels of the upright frame as it is decoded; constant: whether all frames last equally long;
    interlaced: whether frames may hold two fields; hdr: the transfer of a high dynamic range, empty for all others;
    pixel: width by height of a pixel of the upright frame (DV and DVD have none that are square);
    stream: bytes of the video itself, without its container.
    """

    frames: int
    fps: Fraction
    width: int
    height: int
    codec: str
    pix_fmt: str
    constant: bool
    interlaced: bool = False
    hdr: str = ""
    pixel: Fraction = Fraction(1)
    stream: int = field(default=0, compare=False)


def parse_probe(packets: str, log: str) -> VideoInfo:
    """Read the output of `-c copy -f framecrc` (a line a packet) and the log of `-loglevel level+info`.

    Raises: VideoError saying why this is no video, or one that was cut short.
    """
    header = dict(re.findall(r"^#(\w+) 0: (.*)$", packets, re.MULTILINE))
    rows = [line.split(",") for line in packets.splitlines() if line.startswith("0,")]
    width, height = (int(side) for side in header.get("dimensions", "0x0").split("x"))
    refuse_unreadable(log, bool(rows) and width * height > 0)
    shown = [row for row in rows if not _flags(row) & DISCARDED]
    pixel = pixel_aspect(header.get("sar", "").replace("/", ":"))
    rotation = ROTATION.search(log)
    if rotation and turned(float(rotation[1])):
        width, height, pixel = height, width, 1 / pixel
    formats = STREAM.findall(log.partition("Output #0")[2])
    _, pix_fmt, details = formats[0] if formats else ("", "unknown", "")
    times = [int(row[2]) for row in shown if row[2].strip().lstrip("-").isdigit()]
    duration = int(rows[0][3]) if rows[0][3].strip().isdigit() else 0
    tick = Fraction(header["tb"])
    fps, constant = frame_rate(times, tick, 1 / (duration * tick) if duration > 0 else Fraction(25))
    # DV is interlaced by its standard, which its streams do not repeat.
    interlaced = header["codec_id"] == "dvvideo" or bool(INTERLACED.search(details))
    hdr = next((transfer for transfer in TRANSFERS if transfer in details), "")
    return VideoInfo(
        frames=len(shown),
        fps=fps,
        width=width,
        height=height,
        codec=header["codec_id"],
        pix_fmt=pix_fmt,
        constant=constant and len(times) == len(shown),
        interlaced=interlaced,
        hdr=hdr,
        pixel=pixel,
        stream=sum(int(row[4]) for row in rows),
    )


def refuse_unreadable(log: str, readable: bool) -> None:
    """Raise VideoError where the log of `-loglevel level+info` says that the container has no whole video."""
    mapped = MAPPED.search(log)
    serious = [line for line in log.splitlines() if SERIOUS.search(line)]
    cut = [line for line in serious if CUT_SHORT.search(line) and _of(line) in (None, mapped and mapped[1])]
    if "matches no streams" in log:
        raise VideoError("the file holds no video stream")
    _refuse_other_track(log)
    if not readable:
        said = first_complaint(chr(10).join(cut or serious)) or "no packets"
        raise VideoError(f"not readable as a video: {f'cut short, or no MP4 ({said})' if said == NO_INDEX else said}")
    if cut:
        raise VideoError(f"damaged or cut short: {OFFSET.sub('', first_complaint(cut[0]))}")


def _refuse_other_track(log: str) -> None:
    """The first video track is read; Matroska and MP4 may say that players show another one."""
    tracks = TRACK.findall(log.partition("Stream mapping")[0])
    videos = [number for number, said in enumerate(tracks) if not any(word in said for word in NO_TRACK)]
    shown = [number for number in videos if "(default)" in tracks[number]]
    if shown and shown[0] != videos[0]:
        raise VideoError(
            f"players show another than its first video track: keep it, ffmpeg -i IN -map 0:v:{shown[0]} -c copy OUT"
        )


def frame_rate(times: Sequence[int], tick: Fraction, nominal: Fraction) -> tuple[Fraction, bool]:
    """Frames a second, and whether all frames last equally long, to the precision of the time base.

    times: of the frames, in ticks of `tick` seconds; those without one are left out. nominal: the rate where they
    tell none. Where nearly all distances are alike it is the rate of these, else the mean over the whole video.
    """
    known = sorted({time for time in times if time != NO_TIME})
    if len(known) < 2:
        return nominal, True
    steps = [later - earlier for earlier, later in pairwise(known)]
    usual = median_low(steps)
    alike = [step for step in steps if abs(step - usual) <= 1 and 2 * abs(step - usual) <= usual]
    kept = alike if len(alike) >= REGULAR * len(steps) else steps
    measured = 1 / (Fraction(sum(kept), len(kept)) * tick)
    # One tick more or less between the first and the last frame is within the precision of the clock.
    if abs(nominal - measured) * sum(kept) <= measured:
        return nominal, len(alike) == len(steps)
    return _nearest_rate(measured), len(alike) == len(steps)


def pixel_aspect(ratio: str) -> Fraction:
    """Width by height of a pixel, from text such as 16:11; 1 where it is unknown (0:1) or no camera's (beyond 4:1)."""
    width, _, height = ratio.partition(":")
    known = width.isdigit() and height.isdigit() and int(width) > 0 and int(height) > 0
    pixel = Fraction(int(width), int(height)) if known else Fraction(1)
    return pixel if Fraction(1, 4) <= pixel <= 4 else Fraction(1)


def turned(degrees: float) -> bool:
    """Whether a rotation lays the frame on its side."""
    return round(degrees) % 180 == 90


def _of(line: str) -> str | None:
    """The number of the stream that a complaint names, if it does."""
    found = OFFSET.search(line)
    return found and found[1]


def _flags(row: Sequence[str]) -> int:
    return next((int(part.strip()[2:], 16) for part in row[6:] if part.strip().startswith("F=")), 0)


def _nearest_rate(measured: Fraction) -> Fraction:
    """Whole rates and their NTSC forms (30000/1001), which time bases of milliseconds only approximate."""
    whole = Fraction(max(1, round(measured)))
    ntsc = Fraction(1000 * max(1, round(measured * Fraction(1001, 1000))), 1001)
    nearest = min(whole, ntsc, key=lambda rate: abs(rate - measured))
    return nearest if abs(nearest - measured) / measured < Fraction(4, 10000) else simple_rate(measured)


def simple_rate(fps: Fraction) -> Fraction:
    """A rate near to this in numbers that formats and encoders hold; of less than one frame a second as 1/3600."""
    return fps.limit_denominator(1001) if fps >= 1 else 1 / (1 / fps).limit_denominator(1001)
