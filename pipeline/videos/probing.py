"""What ffmpeg says about a video, as numbers. (imageio-ffmpeg brings no ffprobe.)"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from pipeline.videos.ffmpeg_process import first_complaint
from pipeline.work.errors import VideoError

STREAM = re.compile(r"Stream #\S+: Video: \w+(?: \([^)]*\))*, (\w+)(?:\(([^)]*)\))?")
ROTATION = re.compile(r"rotation of (-?[\d.]+) degrees")
INTERLACED = re.compile(r"\b(top|bottom) (coded )?first")
TRANSFERS = ("smpte2084", "arib-std-b67")  # PQ and HLG (BT.2100)
SERIOUS = re.compile(r"\[(warning|error|fatal)\]")
DAMAGE = re.compile(r"partial file|corrupt|truncat|prematurely|invalid data|not found|end of file", re.IGNORECASE)


@dataclass(frozen=True)
class VideoInfo:
    """What a video is.

    width, height: pixels of the upright frame as it is decoded; constant: whether all frames last equally long;
    interlaced: whether frames may hold two fields; hdr: the transfer of a high dynamic range, empty for all others;
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
    stream: int = field(default=0, compare=False)


def parse_probe(packets: str, log: str) -> VideoInfo:
    """Read the output of `-c copy -f framecrc` (a line a packet) and the log of `-loglevel level+info`.

    Raises: VideoError saying why this is no whole video.
    """
    header = dict(re.findall(r"^#(\w+) 0: (.*)$", packets, re.MULTILINE))
    rows = [line.split(",") for line in packets.splitlines() if line.startswith("0,")]
    problem = first_complaint("\n".join(s for s in log.splitlines() if SERIOUS.search(s) and DAMAGE.search(s)))
    if "matches no streams" in log:
        raise VideoError("the file holds no video stream")
    if not rows or "dimensions" not in header:
        raise VideoError(f"not readable as a video: {problem or 'no packets'}")
    if problem:
        raise VideoError(f"damaged or cut short: {problem}")
    width, height = (int(side) for side in header["dimensions"].split("x"))
    rotation = ROTATION.search(log)
    if rotation and round(float(rotation[1])) % 180 == 90:
        width, height = height, width
    formats = STREAM.findall(log.partition("Output #0")[2])
    pix_fmt, details = formats[0] if formats else ("unknown", "")
    fps, constant = _rate(rows, Fraction(header["tb"]))
    # DV is interlaced by its standard, which its streams do not repeat.
    interlaced = header["codec_id"] == "dvvideo" or bool(INTERLACED.search(details))
    hdr = next((transfer for transfer in TRANSFERS if transfer in details), "")
    stream = sum(int(row[4]) for row in rows)
    return VideoInfo(len(rows), fps, width, height, header["codec_id"], pix_fmt, constant, interlaced, hdr, stream)


def _rate(rows: list[list[str]], tick: Fraction) -> tuple[Fraction, bool]:
    """Frames a second, and whether it is constant to the precision of the time base."""
    times = sorted(int(row[2]) for row in rows if row[2].strip().lstrip("-").isdigit())
    if len(times) < 2 or times[-1] == times[0]:
        duration = int(rows[0][3]) if rows[0][3].strip().isdigit() else 0
        return (1 / (duration * tick) if duration else Fraction(25)), True
    mean = Fraction(times[-1] - times[0], len(times) - 1)
    constant = len(times) == len(rows) and all(abs(later - earlier - mean) <= 1 for earlier, later in pairwise(times))
    return _nearest_rate(1 / (mean * tick)), constant


def _nearest_rate(measured: Fraction) -> Fraction:
    """Whole rates and their NTSC forms (30000/1001), which time bases of milliseconds only approximate."""
    whole = Fraction(max(1, round(measured)))
    ntsc = Fraction(1000 * max(1, round(measured * Fraction(1001, 1000))), 1001)
    nearest = min(whole, ntsc, key=lambda rate: abs(rate - measured))
    return nearest if abs(nearest - measured) / measured < Fraction(4, 10000) else measured.limit_denominator(1001)
