"""Whether what a container says of its own parts agrees: the tables of an MP4 or MOV, the chunks of an AVI.

Where the tables of a track are damaged ffmpeg gives the frames that it still finds, say 5 of 75, without a word.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.videos import avi
from pipeline.videos.boxes import MP4, Box, boxes
from pipeline.work.errors import VideoError

LARGEST = 1 << 28  # bytes of an MP4's tables: an hour's take a few million
CUT_OFF = "a table of its samples is cut off"
INSIDE = (b"mdia", b"minf", b"stbl")  # of a track, each in the one before
Table = NDArray[np.int64]
Track = dict[bytes, bytes]  # the content of its boxes, by name


def require_sound(path: Path) -> None:
    """Raise VideoError where the parts of a container contradict each other."""
    if said := contradiction(path):
        raise VideoError(f"damaged or cut short: {said}")


def contradiction(path: Path) -> str:
    """How the tables of an MP4 or MOV, or the chunks of an AVI, contradict each other; empty where they do not, and for
    all other containers."""
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        start = file.read(12)
        if MP4.match(start):
            return _mp4(file, length)
        if avi.START.match(start):
            return _avi(file, length)
    return ""


def _avi(file: BinaryIO, length: int) -> str:
    stray = avi.walk(file, length).stray
    return "" if stray is None else f"byte {stray} of the AVI is the start of no chunk"


def _mp4(file: BinaryIO, length: int) -> str:
    moov = next((box for box in _children(file, Box(b"", 0, length)) if box.name == b"moov"), None)
    if moov is None or moov.end - moov.start > LARGEST:
        return ""
    tracks = (dict(_inside(file, box)) for box in _children(file, moov) if box.name == b"trak")
    pictures = (track for track in tracks if track.get(b"hdlr", b"")[8:12] == b"vide")
    return next(filter(None, (_samples(track, length) for track in pictures)), "")


def _inside(file: BinaryIO, parent: Box, depth: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """The boxes of a track as (name, content)."""
    for box in _children(file, parent):
        if box.name in INSIDE[depth : depth + 1]:
            yield from _inside(file, box, depth + 1)
            continue
        file.seek(box.start)
        content = file.read(box.end - box.start)
        if box.name != b"hdlr" or content[8:12] == b"vide":  # QuickTime has a second one, of the data's place
            yield box.name, content


def _children(file: BinaryIO, parent: Box) -> Iterator[Box]:
    """The boxes inside another, as far as they lie in it."""
    for box in boxes(file, parent.start, parent.end):
        yield box._replace(end=min(box.end, parent.end))


def _samples(track: Track, length: int) -> str:
    """How a track's tables contradict each other: of sizes, chunks and times of its samples (ISO/IEC 14496-12, 8.6 and
    8.7; a sample is a frame). length: of the file."""
    sizes = track.get(b"stsz", b"")
    alike, count = (
        int.from_bytes(sizes[at : at + 4], "big") for at in (4, 8)
    )  # bytes of each sample, 0: see the table
    if not count:  # all are in fragments
        return ""
    chunks = _table(track, b"stco", ">u4") if b"stco" in track else _table(track, b"co64", ">u8")
    runs, times = _table(track, b"stsc", ">u4", 3), _table(track, b"stts", ">u4", 2)
    if chunks is None or runs is None or times is None or not len(runs):
        return CUT_OFF
    held = _held(runs, len(chunks))
    said = {"sizes": count, "chunks": int(held.sum()), "times": int(times[:, 0].sum())}
    if count > said["chunks"] or abs(count - said["times"]) > 1 >= abs(said["chunks"] - said["times"]):
        return f"its tables tell of different numbers of samples ({', '.join(f'{n} {k}' for k, n in said.items())})"
    if not alike and len(sizes) < 12 + 4 * count:
        return CUT_OFF
    each = alike or np.frombuffer(sizes, ">u4", count, offset=12).astype(np.int64)
    if (chunks[:, 0] + _bytes(held, each, count) > length).any():
        return "some of its samples lie behind the file's end"
    delays = _table(track, b"ctts", ">i4", 2)
    shown = int((times[:, 0] * times[:, 1]).sum())
    if delays is not None and (np.abs(delays[:, 1]) > 10 * max(shown, 1)).any():
        return "some of its samples are shown long after its end"
    return ""


def _held(runs: Table, chunks: int) -> Table:
    """How many samples each chunk holds. runs: (first chunk, from 1; samples; description) of like chunks."""
    firsts = np.maximum.accumulate(np.append(runs[:, 0], chunks + 1).clip(1, chunks + 1))
    firsts[0] = 1
    return np.repeat(runs[:, 1], np.diff(firsts))


def _bytes(held: Table, each: int | Table, count: int) -> Table:
    """How many bytes each chunk holds, of `count` samples of so many bytes, alike or each its own."""
    ends = np.concatenate([[0], np.cumsum(held)]).clip(max=count)  # of each chunk, in samples
    before = ends * each if isinstance(each, int) else np.concatenate([[0], np.cumsum(each)])[ends]
    return np.asarray(np.diff(before), dtype=np.int64)


def _table(track: Track, name: bytes, kind: str, columns: int = 1) -> Table | None:
    """A box that begins with the number of its rows, as (rows, columns); None where they are not all there."""
    box = track.get(name, b"")
    count = int.from_bytes(box[4:8], "big") * columns
    held = max(0, len(box) - 8) // np.dtype(kind).itemsize
    if len(box) < 8 or held < count:
        return None
    return np.frombuffer(box, kind, count, offset=8).astype(np.int64).reshape(-1, columns)
