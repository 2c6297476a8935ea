"""Whether the picture is whole is seen by decoding it: damage that containers hide, and complaints that mean none."""

import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.videos.decoder_log import DecoderLog
from pipeline.videos.examining import _decode, examine
from pipeline.videos.reading import read_frames
from pipeline.work.errors import VideoError
from tests.aids.clips import ffmpeg, numbered, numbers

DAMAGED = "damaged or cut short"
PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=2"]
SOUND = ["-f", "lavfi", "-i", "sine=d=2"]
PACKET = 188  # bytes of MPEG-TS


def overwritten(path: Path, at: int, data: bytes) -> Path:
    whole = bytearray(path.read_bytes())
    whole[at : at + len(data)] = data
    path.write_bytes(whole)
    return path


def refused(path: Path) -> str:
    with pytest.raises(VideoError) as caught:
        examine(path)
    assert not re.search(r"0x\w{5,}|\n", str(caught.value))  # no address: the same text in every run
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", ["-c:v", "libx264", "-movflags", "+faststart"]),
        ("a.mkv", ["-c:v", "libx264"]),
        ("a.h264", ["-c:v", "libx264"]),
        ("hevc.mp4", ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"]),
        ("vp8.webm", ["-c:v", "libvpx", "-b:v", "2M", "-deadline", "realtime", "-cpu-used", "-5"]),
        ("mpeg4.avi", ["-c:v", "mpeg4", "-q:v", "2"]),
        ("mpeg2.mpg", ["-c:v", "mpeg2video", "-q:v", "2"]),
    ],
)
def test_a_sector_of_zeros_is_seen_wherever_it_lies(tmp_path: Path, name: str, options: list[str]) -> None:
    source = tmp_path / name
    ffmpeg(*PICTURE, *options, source)
    assert examine(source).frames == 50
    whole = source.read_bytes()
    for share in (0.25, 0.5, 0.75):  # beyond the tables at the start and at the end
        source.write_bytes(whole)
        overwritten(source, int(len(whole) * share) // 512 * 512, bytes(512))
        assert refused(source).startswith(DAMAGED)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_a_tail_of_zeros_is_seen(tmp_path: Path, name: str) -> None:
    """As a download leaves it that had room made for the whole file."""
    flags = ["-movflags", "+faststart"] if name == "a.mp4" else []
    codec = "libvpx-vp9" if name == "a.webm" else "libx264"
    ffmpeg(*PICTURE, "-c:v", codec, *flags, tmp_path / name)
    size = (tmp_path / name).stat().st_size
    overwritten(tmp_path / name, size * 2 // 3, bytes(size - size * 2 // 3))
    assert refused(tmp_path / name).startswith(DAMAGED)


def test_a_lost_packet_of_the_picture_is_seen_and_one_of_the_sound_is_none(tmp_path: Path) -> None:
    stream = tmp_path / "a.ts"
    ffmpeg(*PICTURE, *SOUND, "-c:v", "libx264", "-g", "25", "-c:a", "aac", stream)
    data = stream.read_bytes()
    packets = [data[at : at + PACKET] for at in range(0, len(data), PACKET)]
    of = {pid: [n for n, p in enumerate(packets) if (p[1] & 31) << 8 | p[2] == pid] for pid in (0x100, 0x101)}
    for pid, whole in ((0x101, True), (0x100, False)):
        lost = of[pid][len(of[pid]) // 2]
        stream.write_bytes(b"".join(packet for n, packet in enumerate(packets) if n != lost))
        if whole:
            assert examine(stream).frames == 50
        else:
            assert refused(stream).startswith(DAMAGED)


def test_complaints_of_what_is_no_picture_are_no_damage(tmp_path: Path) -> None:
    chapters = tmp_path / "chapters.txt"
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=1\ntitle=one\n")
    source = tmp_path / "a.mp4"
    ffmpeg(*PICTURE, *SOUND, "-i", chapters, "-map_metadata", 2, "-map", 0, "-map", 1, "-c:v", "libx264", source)
    data = source.read_bytes()
    reference = data.find(b"chap") + 4
    assert data[reference : reference + 3] == bytes(3)
    spoilt = {
        "a chapter track that is not there": (reference, b"\0\0\0\x63"),
        "a brand that nobody knows": (8, b"what"),
        "a size at the end that reaches beyond it": (len(data), b"\0\1\0\0free"),
    }
    for what, (at, said) in spoilt.items():
        source.write_bytes(data)
        assert examine(overwritten(source, at, said)).frames == 50, what
    (tmp_path / "a.avi").write_bytes(b"")
    ffmpeg(*PICTURE, *SOUND, "-c:v", "mpeg4", "-c:a", "mp3", tmp_path / "a.avi")
    rate = (tmp_path / "a.avi").read_bytes().find(b"avih") + 8
    for at in (4, rate, rate + 16):  # the length of the file, the duration of a frame, their number
        assert examine(overwritten(tmp_path / "a.avi", at, b"\xff\xff\xff\x7f")).frames == 50
    noise = np.random.default_rng(0).bytes(3000)
    ffmpeg(*PICTURE, *SOUND, "-c:v", "libx264", "-c:a", "pcm_s16le", tmp_path / "a.mkv")
    ffmpeg("-i", tmp_path / "a.mkv", "-map", "0:a", "-c", "copy", "-f", "s16le", tmp_path / "sound")
    at = (tmp_path / "a.mkv").read_bytes().find((tmp_path / "sound").read_bytes()[10_000:10_400])
    assert at > 0 and examine(overwritten(tmp_path / "a.mkv", at, noise[:400])).frames == 50


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.ts", ["-c:v", "libx264", "-bf", "3", "-g", "25"]),
        ("mpeg2.ts", ["-c:v", "mpeg2video", "-bf", "2", "-q:v", "2", "-g", "25"]),
        ("mpeg1.mpg", ["-c:v", "mpeg1video", "-bf", "2", "-q:v", "2", "-g", "25"]),
    ],
)
def test_a_stream_that_was_cut_is_used_as_far_as_its_frames_are_whole(
    tmp_path: Path, name: str, options: list[str]
) -> None:
    source = numbered(tmp_path / name, 120, *options, filters="noise=alls=40:allf=t")
    data = source.read_bytes()
    source.write_bytes(data[len(data) * 3 // 10 : len(data) * 9 // 10])
    info = examine(source)
    whole = numbers(image for _, image in read_frames(source, range(info.frames)))
    assert 40 < info.frames < 110 and info.fps == 25
    assert whole == list(range(whole[0], whole[0] + info.frames)) and whole[0] > 20


def test_two_streams_that_were_joined_are_one_video(tmp_path: Path) -> None:
    for name in "ab":
        numbered(tmp_path / f"{name}.ts", 50, "-c:v", "libx264", "-g", "25")
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    info = examine(joined)
    assert (info.frames, info.fps) == (100, 25)
    assert numbers(image for _, image in read_frames(joined)) == [*range(50), *range(50)]


def test_a_picture_that_changes_half_way_is_refused(tmp_path: Path) -> None:
    options = ["-c:v", "libx264"]
    numbered(tmp_path / "a.ts", 25, *options)
    changes = {
        "from 96x80 px in yuv420p to 48x40 px in yuv420p": ["-vf", "scale=48:40"],
        "from 96x80 px in yuv420p to 80x96 px in yuv420p": ["-vf", "transpose"],
        "from 96x80 px in yuv420p to 96x80 px in yuv444p": ["-pix_fmt", "yuv444p"],
        "another description of its colours": ["-colorspace", "bt709", "-color_primaries", "bt709"],
    }
    for change, how in changes.items():
        ffmpeg("-i", tmp_path / "a.ts", *how, *options, tmp_path / "b.ts")
        joined = tmp_path / "joined.ts"
        joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
        assert "its picture changes half way" in refused(joined) and change in refused(joined)


def test_what_other_threads_say_between_showinfos_words_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By chance of the machine's load: here every seam of joined streams is told in the middle of a frame's line."""
    read = DecoderLog.read
    torn: list[str] = []

    def tear(log: DecoderLog, lines: Iterable[str]) -> None:
        told: list[str] = []
        for line in lines:
            if "timestamp discontinuity" in line and any("showinfo" in one for one in told):
                place = max(index for index, one in enumerate(told) if " type:" in one)
                torn.append(line)
                told[place] += line.partition("[warning] ")[2]
                told.insert(place + 1, told[place].partition("[info]")[0] + "[info] ")
            else:
                told.append(line)
        read(log, told)

    monkeypatch.setattr(DecoderLog, "read", tear)
    for name in "ab":
        numbered(tmp_path / f"{name}.ts", 50, "-c:v", "libx264", "-g", "25")
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    assert examine(joined).frames == 100 and torn


def test_a_whole_video_is_decoded_once(tmp_path: Path) -> None:
    """No line of showinfo is taken for a torn one: the user data of x264, its empty line, a turn, colours."""
    source = numbered(tmp_path / "a.mp4", 10, "-c:v", "libx264", "-colorspace", "bt709", "-color_trc", "bt709")
    ffmpeg("-display_rotation", "90", "-i", source, "-c", "copy", tmp_path / "turned.mp4")
    for path in (source, tmp_path / "turned.mp4"):
        log, _ = _decode(path)
        assert log.frames == 10 and not log.torn and log.pictures[0].rotation == (90 if path != source else 0)


SHOWINFO = "[Parsed_showinfo_0 @ 0x1] [info] "
FRAME = " pts_time:0 duration:1 fmt:yuv420p10le cl:left sar:1/1 s:96x80 i:P iskey:1 type:I "
START = (
    "[info] Input #0, matroska,webm, from 'a.mkv':",
    "[info]   Duration: 01:00:02.50, start: 2.500000, bitrate: 9 kb/s",
    "[info] Stream mapping:",
    "[info]   Stream #0:0 -> #0:0 (av1 (libdav1d) -> wrapped_avframe (native))",
)


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("[libdav1d @ 0x1] [error] Error parsing OBU data", True),
        ("[vist#0:0/av1 @ 0x2] [dec:libdav1d @ 0x3] [error] Error submitting packet to decoder", True),
        ("[libdav1d @ 0x1] [warning] corrupt decoded frame", True),
        ("[libdav1d @ 0x1] [warning] odd", False),
        ("[libdav1d @ 0x1] [error] mmco: unref short failure", False),  # where streams were joined
        ("[av1 @ 0x1] [error] of the parser, not the decoder", False),
        ("[aist#0:1/aac @ 0x2] [aac @ 0x4] [error] of the sound", False),
    ],
)
def test_which_complaints_are_of_the_picture(line: str, counts: bool) -> None:
    log = DecoderLog()
    log.read([*START, line])
    assert (log.container, log.codec, log.seconds) == ("matroska,webm", "av1", 3600)
    assert bool(log.complaints) == counts


def test_the_container_is_heard_while_frames_are_decoded() -> None:
    log = DecoderLog()
    log.read([*START, "[in#0/matroska,webm @ 0x1] [info] EBML", "[in#0/matroska,webm @ 0x1] [info] CRC mismatch"])
    assert not log.searched and sum("[in#0" in line for line in log.opening) == 2
    log.read(["[in#0/matroska,webm @ 0x1] [error] Invalid track number 9"])
    assert log.searched == "Invalid track number 9"


def test_what_frames_do_not_have_is_left_as_it_was() -> None:
    """A time, a rate, the transfer of a high dynamic range."""
    log = DecoderLog()
    colours = [f"color_range:tv color_space:bt2020nc color_primaries:bt2020 color_trc:{trc}" for trc in ("arib-std-b67",
               "bt709")]  # fmt: skip
    frames = [
        f"n:   0 pts:NOPTS{FRAME}",
        colours[0],
        f"n:   1 pts:     -1{FRAME}",
        colours[1],
        f"n:   2 pts:  1{FRAME}",
    ]
    log.read([*START, *(SHOWINFO + said for said in ("config in time_base: 1/1000, frame_rate: 0/1", *frames))])
    assert (log.frames, log.times, log.tick, log.nominal) == (3, [-1, 1], Fraction(1, 1000), 25)
    assert log.hdr == "arib-std-b67" and len(log.pictures) == 1 and not log.torn


def test_a_video_of_one_frame(tmp_path: Path) -> None:
    ffmpeg(*PICTURE, "-frames:v", 1, "-c:v", "libx264", tmp_path / "a.mp4")
    info = examine(tmp_path / "a.mp4")
    assert (info.frames, info.fps, info.width, info.height) == (1, 25, 320, 240)


def test_a_black_area_of_motion_jpeg_is_no_lost_sector(tmp_path: Path) -> None:
    """Its blocks have the shortest code, which is zeros: all of a letterbox's bars."""
    source = tmp_path / "a.avi"
    ffmpeg(*PICTURE, "-vf", "trim=end_frame=5,pad=960:960:320:320:black", "-c:v", "mjpeg", "-q:v", "3", source)
    data = source.read_bytes()
    assert bytes(64) in data[data.find(b"movi") :] and examine(source).frames == 5
    textured = data.find(b"\xff\xda") + 2000
    assert refused(overwritten(source, data.find(b"\xff\xda", textured) + 3000, bytes(512))).startswith(DAMAGED)


def test_a_short_video_that_is_damaged_is_no_video_of_no_frames(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    ffmpeg(*PICTURE, "-frames:v", 3, "-c:v", "libx264", "-movflags", "+faststart", source)
    overwritten(source, source.read_bytes().find(b"mdat") + 3000, np.random.default_rng(0).bytes(2000))
    assert refused(source).startswith(DAMAGED)


@pytest.mark.parametrize("name", ["a.ts", "a.mpg"])
def test_damage_in_the_first_frame_of_a_stream_is_no_cut_at_its_start(tmp_path: Path, name: str) -> None:
    """What is said before the first frame was taken for what a cut at the start leaves."""
    codec = ["-c:v", "libx264", "-g", "10"] if name == "a.ts" else ["-c:v", "mpeg2video", "-q:v", "2"]
    ffmpeg(*PICTURE, "-frames:v", 15, *codec, tmp_path / name)
    overwritten(tmp_path / name, 5000, np.random.default_rng(0).bytes(60))
    assert refused(tmp_path / name).startswith(DAMAGED)


def test_a_matroska_that_loses_the_thread_until_its_end_is_refused(tmp_path: Path) -> None:
    """Nothing comes behind it any more, so that no gap is seen."""
    source = tmp_path / "a.mkv"
    ffmpeg(*PICTURE, "-frames:v", 25, "-c:v", "mpeg4", "-q:v", 4, source)
    data = source.read_bytes()
    end = len(data) * 6 // 10
    source.write_bytes(data[:end] + data[end - 512 :])
    with pytest.raises(VideoError, match="damaged or cut short"):
        examine(source)
