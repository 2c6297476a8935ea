"""The boxes that an MP4 or MOV file is made of (ISO/IEC 14496-12, 4.2), one after the other and inside each other."""

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MP4 = re.compile(rb"(?s)....(ftyp|moov|mdat|wide|free|skip|styp)")  # how such a file begins


class Box(NamedTuple):
    """name: four bytes; start, end: of its content, as positions in the file."""

    name: bytes
    start: int
    end: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes between two positions of the file. The last one may claim to end behind `end`.

    A size of 1 stands for one of eight bytes behind the name, a size of 0 for all that is left. Whatever is shorter
    than its own header is no box, and nothing is looked for behind it.
    """
    while start + 8 <= end:
        file.seek(start)
        size, name = int.from_bytes(file.read(4), "big"), file.read(4)
        header = 8
        if size == 1:
            size, header = int.from_bytes(file.read(8), "big"), 16
        elif size == 0:
            size = end - start
        if size < header:
            return
        yield Box(name, start + header, start + size)
        start += size
