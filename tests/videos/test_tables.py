"""Containers whose parts contradict each other, of which ffmpeg gives what it still finds."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.videos.decoder_log import DecoderLog
from pipeline.videos.examining import doubtful, examine
from pipeline.videos.tables import contradiction
from pipeline.work.errors import VideoError
from tests.aids.clips import ffmpeg

FRAMES = 30
PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=96x80:r=25:d=1.2"]
SOUND = ["-f", "lavfi", "-i", "sine=d=1.2"]
H264 = ["-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-c:a", "aac"]
KINDS = {
    "a.mp4": H264,
    "first.mp4": [*H264, "-movflags", "+faststart"],
    "a.mov": H264,
    "fragments.mp4": [*H264, "-movflags", "+frag_keyframe+empty_moov"],
    "mpeg4.avi": ["-map", "0:v", "-map", "1:a", "-c:v", "mpeg4", "-bf", "2", "-c:a", "mp3"],
    "odd.avi": ["-map", "0:v", "-map", "1:a", "-c:v", "mjpeg", "-c:a", "pcm_u8"],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    for name, options in KINDS.items():
        ffmpeg(*PICTURE, *SOUND, *options, folder / name)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_what_is_whole_contradicts_nothing(whole: Path, name: str) -> None:
    assert contradiction(whole / name) == ""


@pytest.mark.parametrize(
    ("said", "is_doubtful"),
    [
        ({}, False),
        ({"torn": True}, True),  # between showinfo's words others may have got lost
        ({"complaints": ["error while decoding MB 1 2"]}, True),
        ({"lost": 1}, True),
        ({"searched": "CRC mismatch"}, True),
        ({"filters": 2}, True),
    ],
)
def test_what_was_said_while_a_few_frames_were_read_is_reason_to_look(
    said: dict[str, object], is_doubtful: bool, whole: Path
) -> None:
    log = DecoderLog(codec="h264", filters=1)
    for name, value in said.items():
        setattr(log, name, value)
    assert doubtful(whole / "a.mp4", log) == is_doubtful


def test_zeros_in_motion_jpeg_are_reason_to_look(whole: Path, tmp_path: Path) -> None:
    """In a picture; of codecs that write as many themselves they are none."""
    data = bytearray((whole / "odd.avi").read_bytes())
    at = data.find(b"\xff\xda", data.find(b"movi")) + 200
    data[at : at + 128] = bytes(128)
    (tmp_path / "a.avi").write_bytes(data)
    for codec, is_doubtful in {"mjpeg": True, "rawvideo": False}.items():
        assert doubtful(tmp_path / "a.avi", DecoderLog(codec=codec, filters=1)) == is_doubtful
    assert not doubtful(whole / "odd.avi", DecoderLog(codec="mjpeg", filters=1))


def test_an_avi_of_live_recording_and_one_without_the_byte_that_evens_go_on(whole: Path, tmp_path: Path) -> None:
    data = bytearray((whole / "mpeg4.avi").read_bytes())
    at = data.find(b"movi")
    odd = next(
        place
        for place in range(at, len(data))
        if data[place : place + 4] == b"00dc" and struct.unpack("<I", data[place + 4 : place + 8])[0] % 2
    )
    end = odd + 8 + struct.unpack("<I", data[odd + 4 : odd + 8])[0]
    (tmp_path / "unpadded.avi").write_bytes(data[:end] + data[end + 1 :])
    assert contradiction(tmp_path / "unpadded.avi") == ""
    data[at - 4 : at] = bytes(4)  # the list's length as long as nobody knows it
    (tmp_path / "live.avi").write_bytes(data[: data.rfind(b"idx1")])
    assert contradiction(tmp_path / "live.avi") == ""


def number(box: bytes, place: int, change: Callable[[int], int]) -> Callable[[bytearray], None]:
    """Change the number of four bytes that lies `place` bytes behind the name of the first box of that name."""

    def damage(data: bytearray) -> None:
        at = data.find(box, data.find(b"vide")) + place
        data[at : at + 4] = change(int.from_bytes(data[at : at + 4], "big")).to_bytes(4, "big")

    return damage


def moved(kind: str) -> Callable[[bytearray], None]:
    def damage(data: bytearray) -> None:
        at = data.find(b"movi") + len(data) // 3
        data[at : at + 512] = data[at : at + 512] * 2 if kind == "doubled" else b""

    return damage


MOV = {
    "fewer samples": (number(b"stsz", 12, lambda _: 5), "different numbers of samples"),
    "more samples": (number(b"stsz", 12, lambda count: count + 256), "different numbers of samples|cut off"),
    "chunks of none": (number(b"stsc", 16, lambda _: 0), "different numbers of samples"),
    "a place beyond the end": (number(b"stco", 12, lambda place: place | 1 << 28), "behind the file's end"),
    "a size beyond the end": (number(b"stsz", 24, lambda size: size | 1 << 30), "behind the file's end"),
    "a frame of next year": (number(b"ctts", 16, lambda _: 1 << 30), "long after its end"),
}
AVI = {
    "removed": (moved("removed"), "start of no chunk"),
    "doubled": (moved("doubled"), "start of no chunk"),
}


@pytest.mark.parametrize(
    ("name", "what"),
    [*[(name, what) for name in ("first.mp4", "a.mov") for what in MOV], *[("mpeg4.avi", w) for w in AVI]],
)
def test_a_contradiction_is_refused(whole: Path, tmp_path: Path, name: str, what: str) -> None:
    damage, said = (MOV | AVI)[what]
    path = tmp_path / name
    data = bytearray((whole / name).read_bytes())
    damage(data)
    path.write_bytes(data)
    assert doubtful(path, DecoderLog(codec="rawvideo"))
    with pytest.raises(VideoError, match=r"damaged or cut short|not readable"):
        examine(path)
    assert re.search(said, contradiction(path))


def test_a_time_too_few_is_some_writers_fault(whole: Path, tmp_path: Path) -> None:
    data = bytearray((whole / "first.mp4").read_bytes())
    number(b"stts", 12, lambda count: count - 1)(data)
    (tmp_path / "a.mp4").write_bytes(data)
    assert contradiction(tmp_path / "a.mp4") == "" and examine(tmp_path / "a.mp4").frames == FRAMES
