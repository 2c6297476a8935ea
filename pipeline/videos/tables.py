"""Whether what a container says of its own parts agrees: the tables of an MP4 or MOV, the chunks of an AVI.

Of a track whose tables are damaged ffmpeg gives what it still finds, and says nothing: of 75 frames 5.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.work.errors import VideoError

LARGEST = 1 << 28  # bytes of an MP4's tables: an hour's take a few million
AVI_CHUNK = re.compile(rb"(?i)[0-9a-f]{2}[ -~]{2}|ix[0-9a-f]{2}|JUNK|LIST|RIFF|idx1|indx|JUNQ|strd")
INSIDE = (b"mdia", b"minf", b"stbl")  # of a track, each in the one before
Table = NDArray[np.int64]


def require_sound(path: Path) -> None:
    """Raise VideoError where the parts of a container contradict each other."""
    if said := contradiction(path):
        raise VideoError(f"damaged or cut short: {said}")


def contradiction(path: Path) -> str:
    """How the tables of an MP4 or MOV, or the chunks of an AVI, contradict each other; empty where they do not, and for
    all other containers."""
    with path.open("rb") as file:
        start, length = file.read(12), path.stat().st_size
        if start[:4] == b"RIFF" and start[8:] == b"AVI ":
            return _avi(file, length)
        if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return next(filter(None, (_samples(track, length) for track in _pictures(_moov(file, length)))), "")
    return ""


def _avi(file: BinaryIO, length: int) -> str:
    """Microsoft's RIFF: chunks of a name, a length and as much; those of pictures and sound stand in lists called movi.

    A list that says it goes on behind the file's end was cut, but for the one that an index follows: some writers leave
    its length as it was before they knew it.
    """
    at, end, last = 12, 0, b""
    while at + 8 <= length:
        file.seek(at)
        last, size = file.read(4), int.from_bytes(file.read(4), "little")
        if last in (b"LIST", b"RIFF"):
            if file.read(4) == b"movi":
                end = at + 8 + size
            at += 12
            continue
        if at < end and not AVI_CHUNK.fullmatch(last):
            file.seek(at - 1)  # the one before is of an odd length, and lacks the byte that makes it even
            if not AVI_CHUNK.fullmatch(file.read(4)):
                return f"byte {at} of the AVI is the start of no chunk"
            at -= 1
            continue
        at += 8 + size + size % 2
    lost = max(at, end) - length
    return "" if lost <= 1 or last == b"idx1" else f"{lost} bytes are missing at its end"


def _moov(file: BinaryIO, length: int) -> bytes:
    """The box of an MP4 that has the tables, empty where there is none (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at + 8 <= length:
        file.seek(at)
        size, name = int.from_bytes(file.read(4), "big"), file.read(4)
        header = 8
        if size == 1:
            size, header = int.from_bytes(file.read(8), "big"), 16
        if name == b"moov" and header <= size <= LARGEST:
            return file.read(size - header)
        if size < header:
            break
        at += size
    return b""


def _pictures(moov: bytes) -> Iterator[dict[bytes, bytes]]:
    """The boxes of each track of pictures, by name."""
    for name, track in _boxes(moov):
        if name == b"trak":
            boxes = dict(_inside(track))
            if boxes.get(b"hdlr", b"")[8:12] == b"vide":
                yield boxes


def _inside(data: bytes, depth: int = 0) -> Iterator[tuple[bytes, bytes]]:
    for name, content in _boxes(data):
        if name in INSIDE[depth : depth + 1]:
            yield from _inside(content, depth + 1)
        elif name != b"hdlr" or content[8:12] == b"vide":  # QuickTime has a second one, of the data's place
            yield name, content


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8:
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _samples(boxes: dict[bytes, bytes], length: int) -> str:
    """A track's samples (ISO/IEC 14496-12, 8.6 and 8.7), as its tables of sizes, chunks and times have them."""
    chunks = _column(boxes.get(b"stco", b""), ">u4") if b"stco" in boxes else _column(boxes.get(b"co64", b""), ">u8")
    runs, sizes = _column(boxes.get(b"stsc", b""), ">u4", 3), boxes.get(b"stsz", b"")
    times, delays = _column(boxes.get(b"stts", b""), ">u4", 2), _column(boxes.get(b"ctts", b""), ">i4", 2)
    alike, count = (int.from_bytes(sizes[at : at + 4], "big") for at in (4, 8))
    if not count:  # all are in fragments
        return ""
    if chunks is None or runs is None or times is None or not len(runs):
        return "a table of its samples is cut off"
    held = _held(runs, len(chunks))
    said = {"sizes": count, "chunks": int(held.sum()), "times": int(times[:, 0].sum())}
    if count > said["chunks"] or abs(count - said["times"]) > 1 >= abs(said["chunks"] - said["times"]):
        return f"its tables tell of different numbers of samples ({', '.join(f'{n} {k}' for k, n in said.items())})"
    if not alike and len(sizes) < 12 + 4 * count:
        return "a table of its samples is cut off"
    ends = np.concatenate([[0], np.cumsum(held)]).clip(max=count)  # of each chunk, in samples
    if alike:
        filled = ends * alike
    else:
        filled = np.concatenate([[0], np.cumsum(np.frombuffer(sizes, ">u4", count, offset=12).astype(np.int64))])[ends]
    if (chunks[:, 0] + np.diff(filled) > length).any():
        return "some of its samples lie behind the file's end"
    lasts = int((times[:, 0] * times[:, 1]).sum())
    if delays is not None and (np.abs(delays[:, 1]) > 10 * max(lasts, 1)).any():
        return "some of its samples are shown long after its end"
    return ""


def _held(runs: Table, chunks: int) -> Table:
    """How many samples each chunk holds. runs: (first chunk, from 1; samples; description) of like chunks."""
    firsts = np.maximum.accumulate(np.append(runs[:, 0], chunks + 1).clip(1, chunks + 1))
    firsts[0] = 1
    return np.repeat(runs[:, 1], np.diff(firsts))


def _column(box: bytes, kind: str, columns: int = 1) -> Table | None:
    """The rows of a box that tells their number first; None where they are not all there."""
    count = int.from_bytes(box[4:8], "big") * columns
    held = max(0, len(box) - 8) // np.dtype(kind).itemsize
    if len(box) < 8 or held < count:
        return None
    return np.frombuffer(box, kind, count, offset=8).astype(np.int64).reshape(-1, columns)
