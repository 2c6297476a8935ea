"""Videos as cameras, phones and broken lines leave them, each made here by the bare ffmpeg: mended, or told apart."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.videos.examining import examine
from pipeline.videos.reading import probe, read_frames
from pipeline.work.errors import VideoError
from tests.aids.clips import cut_one, ffmpeg

BAR = "color=gray:s=96x80:r=50:d=0.4[g];color=white:s=16x80:r=50[b];[g][b]overlay=x='n*4':shortest=1"


def decoded(path: Path) -> NDArray[np.float64]:
    return np.array([image for _, image in read_frames(path)]).astype(float)  # (N, H, W, 3)


def comb(images: NDArray[np.float64]) -> float:
    """How much a line differs from the mean of those above and below it, in grey levels."""
    return float(np.abs(images[:, 1:-1] - (images[:, :-2] + images[:, 2:]) / 2)[:, 4:-4].mean())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mkv", ["-c:v", "libx264", "-crf", "1", "-flags", "+ildct+ilme"]),
        ("mpeg2.ts", ["-c:v", "mpeg2video", "-qscale:v", "1", "-flags", "+ildct+ilme", "-field_order", "tt"]),
    ],
)
def test_interlaced_frames_lose_their_comb(tmp_path: Path, name: str, options: list[str]) -> None:
    source, out = tmp_path / name, tmp_path / "out.mp4"
    ffmpeg("-f", "lavfi", "-i", f"{BAR},interlace", "-pix_fmt", "yuv420p", *options, source)
    before, info = examine(source), cut_one(source, out)
    assert before.interlaced and not info.interlaced
    assert (info.frames, info.fps) == (before.frames, 25)
    assert comb(decoded(out)) < comb(decoded(source)) / 5
    bars = decoded(out)[2:-2, 40, :, 0] > 180
    assert (abs(bars.sum(1) - 16) <= 3).all()  # one bar of its width, not the two of both fields


def test_progressive_frames_keep_their_lines(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x80:r=25:d=0.2", "-c:v", "libx264", "-crf", "0", tmp_path / "a.mkv")
    assert not probe(tmp_path / "a.mkv").interlaced
    cut_one(tmp_path / "a.mkv", tmp_path / "out.mp4")
    assert np.abs(decoded(tmp_path / "out.mp4") - decoded(tmp_path / "a.mkv")).mean() < 1


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize(("primaries", "matrix"), [("bt2020", "bt2020nc"), ("unknown", "unknown")])
def test_high_dynamic_range_is_tone_mapped(tmp_path: Path, transfer: str, primaries: str, matrix: str) -> None:
    """A ramp of greys up to white paper, coded as HDR by another chain, comes out as the SDR ramp that it was: also
    where a file tells of nothing but the transfer."""
    ramp = "color=black:s=96x80:r=25:d=0.2,format=gray,geq=lum='2.55*X/0.95',format=yuv444p"
    to_hdr = f"zscale=tin=bt709:pin=bt709:min=bt709:t={transfer}:p=bt2020:m=bt2020nc:npl=203"
    said = f"format=yuv420p10le,setparams=color_primaries={primaries}:colorspace={matrix}"
    source, out = tmp_path / "hdr.mp4", tmp_path / "out.mp4"
    coded = ["-c:v", "libx265", "-x265-params", "log-level=0:lossless=1"]
    ffmpeg("-f", "lavfi", "-i", f"{ramp},{to_hdr},{said}", *coded, source)
    assert probe(source).hdr == transfer and probe(source).pix_fmt == "yuv420p10le"
    info = cut_one(source, out)
    assert (info.frames, info.pix_fmt, info.hdr) == (5, "yuv420p", "")
    columns = decoded(out)[2, 40]  # (W, 3)
    line, sdr = columns.mean(1), np.arange(96) * 2.55 / 0.95
    shades = sdr <= 150  # below the shoulder
    assert np.abs(line - sdr)[shades].max() < 6
    assert (np.diff(line[shades]) >= 0).all() and 200 < line[-1] <= 255
    assert np.ptp(columns, axis=1).max() < 8  # grey stays grey


def test_a_variable_rate_becomes_constant_at_its_mean(tmp_path: Path) -> None:
    source = tmp_path / "phone.mp4"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=96x80:r=30:d=1.2",
        "-vf",
        "select='lt(n,12)+not(mod(n,2))'",
        "-fps_mode",
        "vfr",
        source,
    )
    before = probe(source)
    assert not before.constant and before.frames == 24
    info = cut_one(source, tmp_path / "out.mp4")
    assert info.constant and info.fps == before.fps
    assert abs(float(info.frames / info.fps) - 1.2) < 0.15


def test_turned_odd_and_deep_videos_become_plain(tmp_path: Path) -> None:
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=96x80:r=25:d=0.2,scale=95:79",
        "-pix_fmt",
        "yuv444p10le",
        "-c:v",
        "libx264",
        tmp_path / "a.mp4",
    )
    ffmpeg("-display_rotation", "-90", "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "turned.mp4")
    assert (probe(tmp_path / "turned.mp4").width, probe(tmp_path / "turned.mp4").height) == (79, 95)
    info = cut_one(tmp_path / "turned.mp4", tmp_path / "out.mp4")
    assert (info.width, info.height, info.pix_fmt, info.frames) == (78, 94, "yuv420p", 5)
    upright = np.rot90(decoded(tmp_path / "a.mp4"), -1, (1, 2))[:, :94, :78]
    assert np.abs(decoded(tmp_path / "out.mp4") - upright).mean() < 8  # edges of colour are halved in 4:2:0


@pytest.mark.parametrize("name", ["cut.mkv", "cut.avi", "cut.webm", "front.mp4"])
def test_a_video_that_was_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    codec = {"cut.avi": "mjpeg", "cut.webm": "libvpx-vp9"}.get(name, "libx264")
    flags = ["-movflags", "+faststart"] if name == "front.mp4" else []
    whole = tmp_path / f"whole{Path(name).suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x80:r=25:d=1", "-c:v", codec, *flags, whole)
    assert probe(whole).frames == 25
    (tmp_path / name).write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with pytest.raises(VideoError, match="damaged or cut short") as caught:
        cut_one(tmp_path / name, tmp_path / "out.mp4")
    assert "0x" not in str(caught.value)  # the same text in every run


def test_files_without_pictures_are_refused(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.3", tmp_path / "sound.m4a")
    ffmpeg("-f", "lavfi", "-i", "color=s=32x32:d=0.04", tmp_path / "cover.png")
    cover = ["-i", tmp_path / "cover.png", "-map", "0", "-map", "1", "-c", "copy", "-disposition:v", "attached_pic"]
    ffmpeg("-i", tmp_path / "sound.m4a", *cover, tmp_path / "song.m4a")
    ffmpeg("-f", "lavfi", "-i", "color=s=32x32", "-t", "0", "-c:v", "libx264", tmp_path / "no_time.mp4")
    (tmp_path / "empty.mp4").touch()
    causes = {"sound.m4a": "no video stream", "song.m4a": "no video stream", "no_time.mp4": "not readable|no video",
              "empty.mp4": r"empty \(0 bytes\)"}  # fmt: skip
    for name, cause in causes.items():
        with pytest.raises(VideoError, match=cause):
            cut_one(tmp_path / name, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_rate_of_a_film_is_kept_exactly(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x80:r=24000/1001:d=0.5", "-c:v", "libvpx-vp9", tmp_path / "a.webm")
    assert cut_one(tmp_path / "a.webm", tmp_path / "out.mp4").fps == Fraction(24000, 1001)


def test_a_second_track_is_used_or_told(tmp_path: Path) -> None:
    """The first video is read, a cover aside, and never in silence where players show the second."""
    sources = ("testsrc2=s=96x80:d=0.4", "color=s=64x48:d=0.4")
    two = [part for source in sources for part in ("-f", "lavfi", "-i", source)]
    two += ["-map", "0", "-map", "1", "-disposition:v:1", "default"]
    ffmpeg(*two, "-c:v", "libx264", "-disposition:v:0", "default", tmp_path / "first.mkv")
    ffmpeg(*two, "-c:v", "mjpeg", "-disposition:v:0", "attached_pic", tmp_path / "cover.mp4")
    ffmpeg(*two, "-c:v", "libx264", "-disposition:v:0", "0", tmp_path / "second.mkv")
    assert examine(tmp_path / "first.mkv").width == probe(tmp_path / "first.mkv").width == 96
    assert examine(tmp_path / "cover.mp4").width == probe(tmp_path / "cover.mp4").width == 64
    for look in (examine, probe):
        with pytest.raises(VideoError, match=r"players show another than its first video track.* -map 0:v:1 "):
            look(tmp_path / "second.mkv")


def test_a_frame_an_hour_is_a_rate(tmp_path: Path) -> None:
    """As time lapses of surveillance have it."""
    source = tmp_path / "slow.mkv"
    slow = "testsrc2=s=96x80:r=25:d=0.4,setpts=N*3600/TB"
    ffmpeg("-f", "lavfi", "-i", slow, "-c:v", "libx264", "-fps_mode", "passthrough", source)
    assert examine(source).fps == probe(source).fps == Fraction(1, 3600)
    assert (made := cut_one(source, tmp_path / "out.mp4")).fps == Fraction(1, 3600) and made.frames == 10
