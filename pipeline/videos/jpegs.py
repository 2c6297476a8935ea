"""Whether JPEGs are whole, by libjpeg's warnings, which Pillow and OpenCV do not pass on."""

import re
from collections.abc import Iterator
from typing import IO

import simplejpeg

# What libjpeg says where bits were lost. What it says of profiles, of versions and of kinds that it cannot decode (12
# bits, lossless) is no damage; nor are a few bytes before the end, with which some cameras pad.
DAMAGE = re.compile(
    r"premature end|bad Huffman code|bad arithmetic code|instead of RST|extraneous bytes|Inconsistent progression",
    re.IGNORECASE,
)
PADDING = re.compile(r"\b\d{1,2} extraneous bytes before marker 0xd9")
BETWEEN = re.compile(rb"(?<=\xff\xd9)\0*(?=\xff\xd8\xff)")  # the end of one and the start of the next
BLOCK = 1 << 20


def complaint(data: bytes) -> str:
    """What libjpeg says of the first JPEG in `data` where that is damaged, empty where it is whole."""
    try:
        simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, strict=True)  # an eighth of each side: quick
    except ValueError as error:
        said = str(error)
        return said if DAMAGE.search(said) and not PADDING.search(said) else ""
    return ""


def split(stream: IO[bytes]) -> Iterator[bytes]:
    """The JPEGs that follow one another, with or without zeros between them."""
    kept = b""
    while block := stream.read(BLOCK):
        *whole, kept = BETWEEN.split(kept + block)
        yield from whole
    yield kept
