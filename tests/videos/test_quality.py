"""The estimate of a video's compression: codecs that tell their quantiser, and those that do not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.serving.inputs import open_medium
from pipeline.videos.quality import Quality, estimate
from pipeline.videos.reading import probe
from pipeline.videos.writing import transcode, write_video
from tests.aids.clips import faces, ffmpeg


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("raw") / "raw.mp4"
    noisy = [np.clip(f + random.normal(0, 6, f.shape), 0, 255).astype(np.uint8) for f in faces(12)]
    write_video(path, noisy, 25, (168, 132))
    return path


def quality(path: Path) -> Quality:
    return estimate(path, probe(path))


@pytest.mark.parametrize("crf", [18, 23, 32, 40, 45])
def test_x264s_rate_factor_is_read(raw: Path, tmp_path: Path, crf: int) -> None:
    transcode(raw, tmp_path / "x.mp4", crf)
    found = quality(tmp_path / "x.mp4")
    assert found.stated and found.crf == crf and abs(found.quantiser - crf) < 10


def test_lossless_is_nothing_lost(raw: Path) -> None:
    assert quality(raw).crf == 0 and quality(raw).codec == "h264"


@pytest.mark.parametrize(
    "encoder", ["libx265 -x265-params log-level=none", "libvpx-vp9 -b:v 0", "libaom-av1 -cpu-used 8"]
)
def test_other_codecs_tell_their_quantisers(raw: Path, tmp_path: Path, encoder: str) -> None:
    found = []
    for crf in (20, 45):
        ffmpeg("-i", raw, "-frames:v", 6, "-c:v", *encoder.split(), "-crf", crf, tmp_path / f"{crf}.mkv")
        found.append(quality(tmp_path / f"{crf}.mkv"))
    assert all(one.read and not one.stated for one in found)
    assert found[1].crf - found[0].crf > 8 and found[1].bits < found[0].bits


def test_without_quantisers_bits_are_a_guess(raw: Path, tmp_path: Path) -> None:
    found = []
    for scale in (3, 25):
        ffmpeg("-i", raw, "-c:v", "mpeg4", "-q:v", scale, tmp_path / f"{scale}.avi")
        found.append(quality(tmp_path / f"{scale}.avi"))
    assert not any(one.read for one in found) and found[0].crf < found[1].crf


def test_photos_by_their_tables(tmp_path: Path) -> None:
    picture = faces(1)[0]
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    for name, level in (("b.jpg", 92), ("c.jpg", 20)):
        cv2.imwrite(str(tmp_path / name), picture, [cv2.IMWRITE_JPEG_QUALITY, level])
    png, fine, coarse = (open_medium(tmp_path / name).quality for name in ("a.png", "b.jpg", "c.jpg"))
    assert png.crf == 0 and 0 < fine.crf < 18 and 25 < coarse.crf < 40
