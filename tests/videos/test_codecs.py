"""Each encoder of the bundled ffmpeg on a made-up clip."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.videos import codecs
from pipeline.videos.reading import probe, read_frames
from pipeline.videos.writing import transcode, write_video
from pipeline.work.errors import VideoError
from tests.aids.clips import HEIGHT, WIDTH, pictures

LEVELS = {"h264": (18, 45), "h265": (18, 45), "vp9": (15, 60), "av1": (15, 60)}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, pictures(12), 25, (WIDTH, HEIGHT))
    return path


@pytest.mark.parametrize("codec", codecs.ENCODERS)
def test_every_frame_survives_with_fewer_bits_and_the_same_bytes_each_time(
    clip: Path, tmp_path: Path, codec: str
) -> None:
    if codec not in codecs.available():
        pytest.skip(f"this ffmpeg has no {codecs.ENCODERS[codec]}")
    good, bad = (codecs.encode(clip, tmp_path / f"{level}.mp4", codec, level) for level in LEVELS[codec])
    assert good.frames == bad.frames == 12 and (bad.width, bad.height) == (WIDTH, HEIGHT)
    assert 0 < bad.stream < good.stream < (tmp_path / f"{LEVELS[codec][0]}.mp4").stat().st_size
    raw, near, far = (
        np.array([image for _, image in read_frames(path)]).astype(int)
        for path in (clip, *(tmp_path / f"{level}.mp4" for level in LEVELS[codec]))
    )
    assert 0 < np.abs(near - raw).mean() < np.abs(far - raw).mean() < 40
    codecs.encode(clip, tmp_path / "again.mp4", codec, LEVELS[codec][1])
    assert (tmp_path / "again.mp4").read_bytes() == (tmp_path / f"{LEVELS[codec][1]}.mp4").read_bytes()


def test_h264_is_what_compress_does(clip: Path, tmp_path: Path) -> None:
    codecs.encode(clip, tmp_path / "one.mp4", "h264", 40)
    transcode(clip, tmp_path / "two.mp4", 40)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_an_encoder_that_is_not_there_is_named(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "h264" in codecs.available()
    monkeypatch.setattr(codecs, "available", lambda: frozenset({"h264"}))
    with pytest.raises(VideoError, match="this ffmpeg has no libsvtav1"):
        codecs.encode(clip, tmp_path / "x.mp4", "av1", 30)
    assert not list(tmp_path.iterdir()) and probe(clip).stream < clip.stat().st_size
