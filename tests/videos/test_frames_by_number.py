"""Frames are what the decoder gives, counted from 0, in any container: the frames of these videos tell their number."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.videos.cutting import OUTPUTS, Excerpt, cut
from pipeline.videos.examining import examine
from pipeline.videos.reading import SPANS, bounded, probe, read_frames
from tests.aids.clips import cut_one, ffmpeg, numbered, numbers

X264 = ("-c:v", "libx264", "-crf", "10", "-g", "50", "-bf", "3")
XVID = ("-c:v", "mpeg4", "-q:v", "2", "-g", "50", "-bf", "2")


def told(path: Path) -> list[int]:
    return numbers(image for _, image in read_frames(path))


def plain(path: Path) -> None:
    numbered(path, 120, *X264)


def late(path: Path) -> None:
    """The sound begins 0.8 s before the picture."""
    video = numbered(path.with_name("plain.mp4"), 120, *X264)
    sound = ("-f", "lavfi", "-i", "sine=d=5")
    ffmpeg("-itsoffset", "0.8", "-i", video, *sound, "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", path)


def trimmed(path: Path) -> None:
    """Its first 20 frames are there to be decoded, and left out by an edit list."""
    video = numbered(path.with_name("plain.mp4"), 140, *X264, filters="setpts=PTS")
    ffmpeg("-ss", "0.8", "-i", video, "-c", "copy", path)


def pausing(path: Path) -> None:
    """Nothing for five seconds, half way."""
    numbered(path, 120, *X264, "-fps_mode", "passthrough", filters="setpts='PTS+if(gte(N,60),5,0)/TB'")


def hidden(path: Path) -> None:
    """Two passes of VP8, with frames that are never shown."""
    for number in (1, 2):
        log = ("-pass", number, "-passlogfile", path.with_suffix(".log"))
        numbered(path, 120, "-c:v", "libvpx", "-b:v", "300k", "-auto-alt-ref", 1, "-lag-in-frames", 16, *log)


def coded(*options: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        numbered(path, 120, *options)

    return make


MAKERS: dict[str, Callable[[Path], None]] = {
    "plain.mp4": plain,
    "plain.mkv": plain,
    "plain.flv": plain,
    "plain.ts": plain,
    "plain.h264": plain,
    "late.mp4": late,
    "late.ts": late,
    "trimmed.mp4": trimmed,
    "pausing.mp4": pausing,
    "hidden.webm": hidden,
    "vp9.webm": coded("-c:v", "libvpx-vp9", "-crf", 10, "-b:v", 0, "-deadline", "realtime", "-cpu-used", 8),
    "xvid.avi": coded(*XVID),
    "xvid.mp4": coded(*XVID),
    "xvid.m4v": coded(*XVID, "-f", "m4v"),
    "mpeg1.mpg": coded("-c:v", "mpeg1video", "-q:v", 2, "-g", 50, "-bf", 2),
    "mpeg2.vob": coded("-c:v", "mpeg2video", "-q:v", 2, "-g", 50, "-bf", 2, "-f", "vob"),
    "wmv2.wmv": coded("-c:v", "wmv2", "-q:v", 2),
    "hevc.mp4": coded("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
}


@pytest.mark.parametrize("name", list(MAKERS))
def test_a_clip_begins_at_its_first_frame_and_holds_each_frame_once(tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    MAKERS[name](source)
    info = examine(source)
    whole = told(source)
    begin = 20 if name == "trimmed.mp4" else 0
    assert whole == list(range(begin, begin + 120))
    assert (info.frames, info.fps) == (120, 25)
    spans = {"a": (0, 30), "b": (37, 50), "c": (90, 30)}
    clips = {tmp_path / f"{clip}.mp4": Excerpt(first, frames) for clip, (first, frames) in spans.items()}
    for (file, clip), made in zip(clips.items(), cut(source, info, clips), strict=True):
        assert told(file) == whole[clip.first : clip.first + (clip.frames or 0)]
        assert (made.frames, made.fps, made.constant) == (clip.frames, 25, True)
    assert numbers(image for _, image in read_frames(source, [5, 77, 119])) == [whole[5], whole[77], whole[119]]


def test_a_variable_rate_keeps_its_frames_and_goes_at_their_mean_rate(tmp_path: Path) -> None:
    times = "setpts='if(lt(N,60),N,60+(N-60)*2)/30/TB'"
    source = numbered(tmp_path / "phone.mp4", 120, *X264, "-fps_mode", "passthrough", rate=30, filters=times)
    info = examine(source)
    assert not info.constant and info.fps == Fraction(119 * 30, 178)
    made = cut_one(source, tmp_path / "out.mp4", first=50, frames=30)
    assert told(tmp_path / "out.mp4") == list(range(50, 80))
    assert made.constant and made.fps == info.fps


def test_packets_without_a_time_do_not_make_a_rate(tmp_path: Path) -> None:
    """B-frames in AVI have none, nor do elementary streams; `probe` sees packets, `examine` frames."""
    for name, options in (("a.avi", XVID), ("a.h264", X264), ("a.m4v", (*XVID, "-f", "m4v"))):
        source = numbered(tmp_path / name, 60, *options)
        assert examine(source).fps == 25
        assert 1 <= probe(source).fps <= 60


def test_many_clips_of_a_video_and_the_frames_at_its_end(tmp_path: Path) -> None:
    source = numbered(tmp_path / "a.mp4", 60, *X264)
    clips = {tmp_path / f"{first}.mp4": Excerpt(first, 2) for first in range(OUTPUTS + 3)}
    clips[tmp_path / "end.mp4"] = Excerpt(50, 30)
    infos = cut(source, examine(source), clips)
    assert [info.frames for info in infos] == [2] * (OUTPUTS + 3) + [10]
    assert [told(file) for file in clips] == [[n, n + 1] for n in range(OUTPUTS + 3)] + [list(range(50, 60))]


@pytest.mark.parametrize("wanted", [range(0, 240, 2), range(1, 250, 4), [0, 1, 248, 249], range(249, 250), range(250)])
def test_any_number_of_frames_is_picked(tmp_path: Path, wanted: list[int]) -> None:
    source = numbered(tmp_path / "a.mp4", 250, *X264)
    picked = dict(read_frames(source, wanted))
    assert list(picked) == list(wanted) == numbers(picked.values())


def test_what_is_asked_of_ffmpeg_does_not_grow_with_the_frames() -> None:
    spans = bounded(range(0, 20_000, 2), SPANS)
    assert len(spans) == SPANS and sum(map(len, spans)) < 20_000
    assert bounded([1, 2, 3, 9, 11, 30], 6) == [range(1, 4), range(9, 10), range(11, 12), range(30, 31)]
    assert bounded([1, 2, 3, 9, 11, 30], 3) == [range(1, 4), range(9, 12), range(30, 31)]
    assert bounded([1, 2, 3, 9, 11, 30], 1) == [range(1, 31)]
