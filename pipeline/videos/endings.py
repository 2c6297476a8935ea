"""Whether a file ends before its container does.

Where a cut falls between two packets ffmpeg takes it for the end of the video, and says nothing. MediaInfo is no help:
it calls every live recording (Matroska without a size) truncated, and sees no cut in FLV, Ogg and ASF.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from pipeline.videos import avi
from pipeline.videos.boxes import MP4, boxes
from pipeline.work.errors import VideoError

BOX_NAME = re.compile(rb"[ -~\xa9]{4}")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
HEADER = 1 << 16  # bytes of an ASF file that hold its properties


def require_end(path: Path) -> None:
    """Raise VideoError where a part of the file is missing at its end."""
    if count := missing(path):
        raise VideoError(f"damaged or cut short: {count} bytes are missing at its end")


def missing(path: Path) -> int:
    """How many bytes the container of a Matroska, WebM, MP4, MOV, AVI, FLV, Ogg or ASF file says it has beyond the
    file's end; 0 for all others, where all are there, and where the container does not say (a live recording)."""
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        start = file.read(12)
        end = next((read for magic, read in ENDS.items() if magic.match(start)), _unknown)(file, length)
    return max(0, end - length)


def _unknown(file: BinaryIO, length: int) -> int:
    return 0


def _matroska(file: BinaryIO, length: int) -> int:
    """EBML (RFC 8794): the header, then one segment. A size whose bits are all ones is not known."""
    file.seek(4)
    header = _ebml_size(file) or 0
    file.seek(header, os.SEEK_CUR)
    segment = file.read(4)
    size = _ebml_size(file) if segment == b"\x18\x53\x80\x67" else None
    return 0 if size is None else file.tell() + size


def _ebml_size(file: BinaryIO) -> int | None:
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    size = int.from_bytes(first + file.read(width - 1), "big") - (1 << 7 * width)
    return None if size == (1 << 7 * width) - 1 else size


def _mp4(file: BinaryIO, length: int) -> int:
    """Where the last box ends. One that holds no picture (free, udta) may claim too much: some writers' fault."""
    last = None
    for box in boxes(file, 0, length):
        if not BOX_NAME.fullmatch(box.name):  # something behind the last box
            return 0
        last = box
    return last.end if last and last.name in (b"mdat", b"moof") else 0


def _avi(file: BinaryIO, length: int) -> int:
    """Where the last chunk and the list of pictures end. A byte is no loss, and some writers leave the list's length
    as it was before they knew it: then an index follows."""
    found = avi.walk(file, length)
    return 0 if found.stray is not None or found.indexed or found.end - length <= 1 else found.end


def _flv(file: BinaryIO, length: int) -> int:
    """Adobe's FLV 10.1, annex E: tags of a header (11 bytes), data, and the size of both (4 bytes)."""
    at = 13
    while at < length:
        file.seek(at)
        head = file.read(4)
        if head and head[0] & 0x1F not in (8, 9, 18):  # something behind the last tag
            return 0
        at += 15 + int.from_bytes(head[1:], "big")
    return at


def _ogg(file: BinaryIO, length: int) -> int:
    """RFC 3533: pages of a header (27 bytes), the lengths of its segments, and these."""
    at = 0
    while at < length:
        file.seek(at)
        head = file.read(27)
        if not head.startswith(b"OggS"[: len(head)]):
            return 0
        if len(head) < 27:
            return at + 27
        at += 27 + head[26] + sum(file.read(head[26]))
    return at


def _asf(file: BinaryIO, length: int) -> int:
    """ASF 01.20.05, 3.2: the file's properties hold its size, which does not count in a broadcast."""
    file.seek(0)
    _, found, properties = file.read(HEADER).partition(ASF_PROPERTIES)
    broadcast = len(properties) < 68 or properties[64] & 1
    return 0 if not found or broadcast else int.from_bytes(properties[24:32], "little")


ENDS: dict[re.Pattern[bytes], Callable[[BinaryIO, int], int]] = {
    re.compile(rb"\x1a\x45\xdf\xa3"): _matroska,
    MP4: _mp4,
    avi.START: _avi,
    re.compile(rb"FLV\x01"): _flv,
    re.compile(rb"OggS"): _ogg,
    re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"): _asf,
}
