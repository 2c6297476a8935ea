"""A file that ends before its container does is cut short, also where ffmpeg finds nothing to complain of."""

import os
from pathlib import Path

import pytest

from pipeline.videos.decoder_log import DecoderLog
from pipeline.videos.endings import missing
from pipeline.videos.examining import doubtful, examine
from pipeline.videos.reading import probe
from pipeline.work.errors import VideoError
from tests.aids.clips import ffmpeg

PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=96x80:r=25:d=0.8"]
H264 = ["-c:v", "libx264"]
CONTAINERS = {
    "a.mkv": H264,
    "a.webm": ["-c:v", "libvpx", "-b:v", "100k"],
    "a.mp4": [*H264, "-movflags", "+faststart"],
    "fragments.mp4": [*H264, "-g", "5", "-movflags", "+frag_keyframe+empty_moov"],
    "a.avi": ["-c:v", "mpeg4"],
    "a.flv": H264,
    "a.ogv": ["-c:v", "libtheora"],
    "a.wmv": ["-c:v", "wmv2"],
}
# Cuts between two parts, behind which nothing need follow, and in an AVI's index, behind which no picture comes.
UNKNOWN = {"fragments.mp4": 200, "a.avi": 46, "a.flv": 22, "a.ogv": 8}


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_end_is_missed_wherever_the_cut_falls(tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    ffmpeg(*PICTURE, *CONTAINERS[name], source)
    length, unseen = source.stat().st_size, 0
    assert missing(source) == 0
    for at in range(length - 9, length // 2, -7 if length > 30_000 else -1):
        os.truncate(source, at)
        unseen += not missing(source)
    assert unseen <= UNKNOWN.get(name, 0)


def test_a_cut_between_two_packets_is_refused(tmp_path: Path) -> None:
    """ffmpeg reads what is left of such a file without a word: 10 of 20 frames."""
    source, cut = tmp_path / "a.mkv", tmp_path / "cut.mkv"
    ffmpeg(*PICTURE, *H264, source)
    whole = source.read_bytes()
    block = b"\xa3"  # a Matroska SimpleBlock starts so
    tried, silent = 0, DecoderLog(codec="h264")
    at = whole.find(block, len(whole) // 2)
    while at >= 0 and tried < 30:
        cut.write_bytes(whole[:at])
        for look in (examine, probe):
            with pytest.raises(VideoError, match="damaged or cut short"):
                look(cut)
        assert doubtful(cut, silent)
        tried, at = tried + 1, whole.find(block, at + 1)
    assert tried > 9


@pytest.mark.parametrize("name", ["live.mkv", "live.webm", "tail.mp4", "tail.flv", "a.avi", "a.ts", "a.mpg"])
def test_what_says_no_end_or_more_than_there_is_goes_on(tmp_path: Path, name: str) -> None:
    """As browsers and streams record, and files with something behind their end."""
    source = tmp_path / name
    codec = {".webm": ["-c:v", "libvpx"], ".avi": ["-c:v", "mpeg4"], ".mpg": ["-c:v", "mpeg2video"]}
    live = ["-live", "1"] if name.startswith("live") else []
    ffmpeg(*PICTURE, *codec.get(source.suffix, H264), *live, source)
    if name.startswith("tail"):
        source.write_bytes(source.read_bytes() + b"\0" * 100)
    assert missing(source) == 0
    assert examine(source).frames == 20
