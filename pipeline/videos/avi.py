"""The chunks that an AVI file is made of (Microsoft's RIFF): each a name, a length, and as many bytes.

Those of pictures and sound stand in lists called movi.
"""

import re
from typing import BinaryIO, NamedTuple

START = re.compile(rb"(?s)RIFF....AVI ")  # how such a file begins
CHUNK = re.compile(rb"(?i)[0-9a-f]{2}[ -~]{2}|ix[0-9a-f]{2}|JUNK|LIST|RIFF|idx1|indx|JUNQ|strd")
LISTS = (b"LIST", b"RIFF")  # their chunks follow behind a second name


class Walk(NamedTuple):
    """What is found from chunk to chunk.

    end: where the last chunk and the last movi end by their lengths, which may be behind the file's end;
    indexed: whether the last chunk is the index; stray: the byte where a chunk should begin and none does.
    """

    end: int
    indexed: bool = False
    stray: int | None = None


def walk(file: BinaryIO, length: int) -> Walk:
    """Go through the chunks of a file of `length` bytes, without reading them."""
    at, movi_end, name = 12, 0, b""
    while at + 8 <= length:
        file.seek(at)
        name, size = file.read(4), int.from_bytes(file.read(4), "little")
        if name in LISTS:
            if file.read(4) == b"movi":
                movi_end = at + 8 + size
            at += 12
        elif at >= movi_end or CHUNK.fullmatch(name):
            at += 8 + size + size % 2  # chunks begin at even bytes
        else:
            file.seek(at - 1)  # some writers leave out the byte that makes an odd length even
            if not CHUNK.fullmatch(file.read(4)):
                return Walk(at, stray=at)
            at -= 1
    return Walk(max(at, movi_end), name == b"idx1")
