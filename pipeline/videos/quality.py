"""What compression did to a video, read from its stream without decoding: codec, bits a pixel, and the quantiser.

Codecs that ffmpeg can parse tell the quantiser of every slice. x264 also puts its rate factor into its picture
parameter sets, where it stays when its comment on the settings is stripped. Both tell of the last encoding alone: what
an earlier one took is lost all the same, and is not seen here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.videos.ffmpeg_process import ask, source
from pipeline.videos.probing import VideoInfo

PACKETS = 300  # of the start: twelve seconds
FIELD = re.compile(
    r"Packet: (?P<bytes>\d+) bytes|pic_init_qp_minus26 .*= (?P<avc>-?\d+)|\binit_qp_minus26 .*= (?P<hevc>-?\d+)|"
    r"slice_qp_delta .*= (?P<delta>-?\d+)|base_q_idx .*= (?P<index>\d+)"
)
# H.264 and HEVC: the step is 1 at 4 and doubles every 6. AV1 and VP9 have tables of steps (eighths of ours); these are
# points of them, on H.264's scale.
INDEX = np.array([0, 32, 96, 128, 200, 255])
INDEX_QP = np.array([0, 17, 26, 30, 41, 51])
# Measured on x264 (benchmarks/quality.py): its slices' quantisers lie above its rate factor, more or less by content;
# and a guess from bits a pixel, where nothing can be parsed.
OFFSET = -2.0
BITS_SLOPE, BITS_OFFSET = -5.1, 5.1
# What encoders write that note nothing; how far a rate factor may lie from its slices: of x264 12.6 was seen.
UNSET, NEAR = 26, 14
LOSSLESS = 0.0
COARSE = 10  # of 64 coefficients, where a face has its shape
UNCOMPRESSED = ("png", "bmp", "tiff", "ppm", "gif")


@dataclass(frozen=True)
class Quality:
    """What is known of a video's, or a photo's, compression.

    bits: a pixel of a frame. quantiser: mean over slices, on H.264's scale (0..51), NaN where it cannot be read.
    crf: x264's rate factor that would do about as much harm; where `stated` the encoder itself gives it, where only
    `read` it follows from the quantiser, else it is a guess from `bits`.
    """

    codec: str
    bits: float
    quantiser: float
    crf: float
    stated: bool = False

    @property
    def read(self) -> bool:
        return self.quantiser == self.quantiser

    def __str__(self) -> str:
        return f"{self.codec}, {self.bits:.2f} bits a pixel, {'' if self.stated else 'about '}crf {self.crf:.0f}"


def estimate(path: Path, info: VideoInfo) -> Quality:
    """The compression of the first seconds of a video that `probe` has found to be one."""
    options = {"map": "0:V:0", "c": "copy", "bsf:v": "trace_headers", "frames:v": PACKETS, "format": "null"}
    _, log = ask(source(path).output("pipe:", **options), "info")
    return parse(log, info, path.stat().st_size)


def parse(log: str, info: VideoInfo, size: int) -> Quality:
    """Read the log of the bitstream filter trace_headers. size: of the file, for codecs that it cannot parse."""
    sizes: list[int] = []
    quantisers: list[float] = []
    base, stated = UNSET, UNSET
    for found in FIELD.finditer(log):
        kind = str(found.lastgroup)
        value = int(found[kind])
        if kind == "bytes":
            sizes.append(value)
        elif kind == "delta":
            quantisers.append(float(base + value))
        elif kind == "index":
            quantisers.append(float(np.interp(value, INDEX, INDEX_QP)))
        else:
            base = UNSET + value
            stated = base if kind == "avc" else UNSET
    bits = (8 * sum(sizes) / len(sizes) if sizes else 8 * size / info.frames) / (info.width * info.height)
    if not quantisers:
        return Quality(info.codec, bits, float("nan"), by_bits(bits))
    quantiser = float(np.mean(quantisers))
    crf = max(quantiser + OFFSET, LOSSLESS)
    if stated != UNSET and abs(stated - crf) <= NEAR:
        return Quality(info.codec, bits, quantiser, float(stated), stated=True)
    return Quality(info.codec, bits, quantiser, crf)


def photo_quality(codec: str, bits: float, table: Sequence[int] | None) -> Quality:
    """A photo's compression. table: its JPEG luma quantisers, 64 in zigzag order, the coarsest detail first."""
    if table is not None:
        step = float(np.mean(table[:COARSE]))
        quantiser = max(4 + 6 * float(np.log2(step)), 0.0)  # the same step on H.264's scale
        return Quality(codec, bits, quantiser, max(quantiser + OFFSET, LOSSLESS))
    if codec in UNCOMPRESSED:
        return Quality(codec, bits, 0.0, LOSSLESS)
    return Quality(codec, bits, float("nan"), by_bits(bits))


def by_bits(bits: float) -> float:
    """x264's rate factor, guessed from bits a pixel alone."""
    return float(np.clip(BITS_SLOPE * np.log2(max(bits, 1e-6)) + BITS_OFFSET, LOSSLESS, 51.0))
