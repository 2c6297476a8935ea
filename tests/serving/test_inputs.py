"""What predict sees of a file is what the pipeline's own clips of it show; what is not whole is refused."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.serving.inputs import Watch, from_images, open_medium, shown
from pipeline.videos.examining import examine
from pipeline.videos.reading import read_frames
from pipeline.work.errors import UserError, VideoError
from tests.aids.clips import cut_one, ffmpeg, numbered, numbers


@pytest.mark.parametrize(
    ("name", "filters", "options"),
    [
        ("plain.mkv", "null", []),
        ("wide.mkv", "setsar=16/11", []),  # pixels that are not square
        ("tall.mkv", "setsar=8/9", []),
        ("interlaced.mkv", "interlace", ["-flags", "+ildct+ilme"]),
        ("hdr.mkv", "gblur=9,setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc", []),
        ("vfr.mkv", "setpts='if(lt(N,3),N,3*N)/50/TB'", ["-fps_mode", "vfr"]),
    ],
)
def test_a_video_is_seen_as_its_clip(tmp_path: Path, name: str, filters: str, options: list[str]) -> None:
    source, clip = tmp_path / name, tmp_path / "clip.mp4"
    picture = f"testsrc2=s=96x80:r=50:d=0.2,gblur=3,{filters},format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-crf", "1", *options, source)
    info, medium = cut_one(source, clip), open_medium(source)
    assert (medium.width, medium.height, medium.frames) == (info.width, info.height, info.frames)
    for (number, seen), (_, cut) in zip(medium.read([1, 3]), read_frames(clip, [1, 3]), strict=True):
        assert seen.shape == (medium.height, medium.width, 3)
        assert np.abs(seen.astype(float) - cut).mean() < 2, number


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_video_is_seen_upright(tmp_path: Path, degrees: int) -> None:
    """As phones turn it: by a matrix in the container."""
    plain, turned = tmp_path / "plain.mp4", tmp_path / "turned.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x80:d=0.2", "-c:v", "libx264", "-crf", "1", plain)
    ffmpeg("-display_rotation", degrees, "-i", plain, "-c", "copy", turned)
    (_, upright), medium = next(iter(read_frames(plain, [2]))), open_medium(turned)
    ((_, seen),) = Watch(medium, [2])
    assert seen.shape == (medium.height, medium.width, 3)
    assert np.abs(seen.astype(float) - np.rot90(upright, degrees // 90)).mean() < 3


def test_an_odd_turn_leaves_the_rate_as_it_is(tmp_path: Path) -> None:
    """ffmpeg complains of it in the middle of the line that tells the clock."""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x80:d=0.2", "-c:v", "libx264", tmp_path / "plain.mp4")
    ffmpeg("-display_rotation", 45, "-i", tmp_path / "plain.mp4", "-c", "copy", tmp_path / "turned.mp4")
    watch = Watch(open_medium(tmp_path / "turned.mp4"), [2])
    assert len(list(watch)) == 1 and watch.medium.fps == 25


def test_colours_that_cannot_be_converted_are_told(tmp_path: Path) -> None:
    logarithmic = ("-bsf:v", "h264_metadata=transfer_characteristics=9")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x80:d=0.2", "-c:v", "libx264", *logarithmic, tmp_path / "a.mp4")
    with pytest.raises(VideoError, match=r"^its colours cannot be converted, encode it anew"):
        list(Watch(open_medium(tmp_path / "a.mp4"), [2]))


def test_frames_that_a_container_counts_and_never_shows(tmp_path: Path) -> None:
    """VP8 of two passes has hidden frames: of the 80 that are counted, 75 exist, and no other is looked for."""
    path = tmp_path / "hidden.webm"
    moving = ("-f", "lavfi", "-i", "testsrc2=s=96x80:d=3", "-c:v", "libvpx", "-b:v", "200k", "-auto-alt-ref", "1")
    for run in (1, 2):
        ffmpeg(*moving, "-lag-in-frames", "16", "-pass", run, "-passlogfile", tmp_path / "log", path)
    medium = open_medium(path)
    assert medium.frames > 75
    watch = Watch(medium, [0, medium.frames - 1])
    assert [number for number, _ in watch] == [0]
    assert (watch.medium.frames, watch.medium.fps) == (75, 25)


def test_the_rate_is_that_of_the_frames(tmp_path: Path) -> None:
    """Packets of MPEG program streams tell times of their own, by which it would be 19."""
    path = tmp_path / "a.mpg"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x80:d=3", "-c:v", "mpeg1video", "-bf", 2, "-f", "vob", path)
    watch = Watch(open_medium(path), [0, 70])
    assert len(list(watch)) == 2 and watch.medium.fps == 25


def spoil(path: Path, share: float, length: int = 512) -> None:
    """A sector of zeros, as disks and downloads leave it."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * share)
    data[start : start + length] = bytes(length)
    path.write_bytes(data)


FAST: dict[str, list[object]] = {
    "libvpx-vp9": ["-deadline", "realtime", "-cpu-used", 8],
    "libx265": ["-preset", "ultrafast", "-x265-params", "log-level=error"],
}


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "mpeg4"])
def test_a_damaged_video_is_never_judged_in_silence(tmp_path: Path, codec: str) -> None:
    """Wherever the damage lies: also between the frames that are looked at, and where the decoder says nothing."""
    path = tmp_path / "a.mkv"
    moving = ("-f", "lavfi", "-i", "testsrc2=s=160x120:d=1", "-c:v", codec, "-b:v", "800k")
    ffmpeg(*moving, *FAST.get(codec, []), path)
    assert len(list(Watch(open_medium(path), [0, 24]))) == 2
    whole = path.read_bytes()
    for share in (0.2, 0.5, 0.8):
        path.write_bytes(whole)
        spoil(path, share)
        with pytest.raises(VideoError):
            list(Watch(open_medium(path), [0, 24]))


def test_a_picture_that_changes_its_size_is_refused(tmp_path: Path) -> None:
    """Numbers of frames would begin anew at the change."""
    parts = []
    for width in (96, 64):
        parts.append(numbered(tmp_path / f"{width}.h264", 10, "-c:v", "libx264", filters=f"scale={width}:80"))
    (tmp_path / "a.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(VideoError, match="its picture changes half way, from 96x80"):
        list(Watch(open_medium(tmp_path / "a.h264"), [1, 12]))


def test_of_a_stream_that_was_cut_the_whole_frames_count(tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.ts", 60, "-c:v", "libx264", "-g", 10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    medium = open_medium(path)
    watch = Watch(medium, range(medium.frames))
    seen = numbers(image for _, image in watch)
    assert watch.medium.frames == examine(path).frames >= 20
    assert seen[: watch.medium.frames] == list(range(watch.medium.frames))


@pytest.mark.parametrize(("text", "name"), [(b"words\n" * 99, "a.mp4"), ("gewählt ☺".encode() * 200, "b.avi")])
def test_a_text_is_called_one(tmp_path: Path, text: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(VideoError, match="no video: a text"):
        open_medium(tmp_path / name)


def test_names_are_shown_in_one_line() -> None:
    assert shown("a\nb\x1b[31m.mp4") == "a\\nb\\x1b[31m.mp4"
    assert shown("Andr\udce9.mp4") == "André.mp4" and shown("ü 中.mp4") == "ü 中.mp4"


@pytest.mark.parametrize(
    "pixels",
    [
        [],
        np.zeros((8, 8, 3), np.uint8),  # one image, not a list of them
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 3), np.float32),
        [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)],
        ["a.png"],
    ],
)
def test_images_that_are_not_rgb_of_one_size_are_refused(pixels: list[np.ndarray]) -> None:
    with pytest.raises(UserError, match="from_images: "):
        from_images(pixels, crf=23)
