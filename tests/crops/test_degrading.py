"""Degraded crops through the real code on made-up videos, against compress and crop and against plain numpy."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.crops import degrading
from pipeline.crops.degrading import degrade_set
from pipeline.crops.pixels import degraded
from pipeline.crops.shards import DEGRADED, ENCODING, INDEX, read_index, read_sample
from pipeline.params.degradations import Step, step
from pipeline.videos.manifests import read_manifest
from pipeline.videos.reading import read_frames
from pipeline.videos.sampling import thin
from pipeline.work.errors import UserError
from tests.crops.test_cropping import data, hashes, shards  # noqa: F401  (fixtures)


def degrade(data: Path, out: Path, *steps: str, workers: int = 1, count: int | None = None) -> tuple[int, int]:  # noqa: F811
    frames = thin(pd.read_parquet(data / "frames/faceswap.parquet"), count)
    return degrade_set("x", [step(text) for text in steps], frames, data / "faces", data / "raw/faceswap", out, size=32,
                       shard_frames=4, seed=0, workers=workers)  # fmt: skip


def crops(folder: Path, name: str = DEGRADED) -> dict[str, np.ndarray]:
    return {
        row.key: cv2.imdecode(np.frombuffer(read_sample(row.path, row.offset, row.bytes)[f"{name}.png"], np.uint8), 1)
        for row in read_index([folder]).itertuples()
    }


def test_h264_gives_the_crops_that_compress_and_crop_give(data: Path, shards: Path, tmp_path: Path) -> None:  # noqa: F811
    assert degrade(data, tmp_path / "a", "h264-40") == (11, 1)
    found, wanted = crops(tmp_path / "a"), crops(shards, "c40")
    assert found.keys() == wanted.keys() and all((found[key] == wanted[key]).all() for key in found)
    columns = ["key", "set", "video", "person", "bucket", "label", "target", "donor", "frame", "left", "top", "size"]
    pd.testing.assert_frame_equal(read_index([tmp_path / "a"])[columns], read_index([shards])[columns])
    (lost,) = pd.read_parquet(tmp_path / "a/rejected.parquet")["cause"]
    assert lost == "no face found"
    table = pd.read_csv(tmp_path / "a" / ENCODING)
    raw = read_manifest(data / "raw/faceswap").set_index("video")
    for row in table.itertuples():
        file = data / f"compressed/faceswap/c40/{row.video}.mp4"
        assert 0 < row.bytes < file.stat().st_size and row.frames == raw.loc[row.video, "frames"] == 12


def test_a_chain_gives_the_same_bytes_with_one_worker_and_with_two(data: Path, tmp_path: Path) -> None:  # noqa: F811
    chain = ("noise-8", "h264-23", "scale-0.5", "small-0.5", "h264-40", "blur-1", "jpeg-40")
    degrade(data, tmp_path / "one", *chain)
    degrade(data, tmp_path / "two", *chain, workers=2)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    assert pd.read_csv(tmp_path / "one" / ENCODING)["bytes"].notna().all()
    degrade(data, tmp_path / "three", "noise-8")
    assert pd.read_csv(tmp_path / "three" / ENCODING)["bytes"].isna().all()


def test_each_step_of_a_chain_takes_more(data: Path, shards: Path, tmp_path: Path) -> None:  # noqa: F811
    raw = crops(shards, "raw")
    lost = []
    for number, steps in enumerate([["h264-23"], ["h264-23", "scale-0.25"], ["h264-23", "scale-0.25", "h264-45"]]):
        degrade(data, tmp_path / str(number), *steps)
        found = crops(tmp_path / str(number))
        lost.append(np.mean([np.abs(found[key].astype(int) - raw[key]).mean() for key in raw]))
    assert 0 < lost[0] < lost[1] < lost[2]


def test_a_picture_step_works_on_the_square_before_it_is_resized(data: Path, tmp_path: Path) -> None:  # noqa: F811
    degrade(data, tmp_path / "x", "jpeg-30")
    for row in read_index([tmp_path / "x"]).itertuples():
        frame = dict(read_frames(data / f"raw/faceswap/{row.video}.mp4"))[row.frame][..., ::-1]
        _, data_ = cv2.imencode(".jpg", frame[16:56, 12:52], [cv2.IMWRITE_JPEG_QUALITY, 30])
        wanted = cv2.resize(cv2.imdecode(data_, cv2.IMREAD_COLOR), (32, 32), interpolation=cv2.INTER_AREA)
        assert (crops(tmp_path / "x")[row.key] == wanted).all()


def test_pixels_against_plain_numpy() -> None:
    random = np.random.default_rng(0)
    image = random.integers(60, 190, (40, 30, 3), dtype=np.uint8)
    noisy = degraded(image, Step("noise", 8), "a/b/1", seed=0).astype(int)
    assert 7 < (noisy - image).std() < 9 and abs((noisy - image).mean()) < 0.5
    assert (noisy == degraded(image, Step("noise", 8), "a/b/1", seed=0)).all()
    assert (noisy != degraded(image, Step("noise", 8), "a/b/2", seed=0)).any()
    assert (noisy != degraded(image, Step("noise", 8), "a/b/1", seed=1)).any()
    flat = np.full((20, 20, 3), 77, np.uint8)
    for one in ("blur-2", "scale-0.3", "jpeg-50"):
        assert np.abs(degraded(flat, step(one), "", 0).astype(int) - 77).max() <= 1
    point = np.zeros((31, 31, 3), np.uint8)
    point[15, 15] = 255
    assert degraded(point, Step("blur", 2), "", 0)[15, 15, 0] == pytest.approx(255 / (2 * np.pi * 4), abs=1)
    half = degraded(image, Step("scale", 0.5), "", 0)
    blocks = image.reshape(20, 2, 15, 2, 3).mean((1, 3))
    assert half.shape == image.shape
    assert np.abs(half.reshape(20, 2, 15, 2, 3).mean((1, 3)) - blocks).mean() < 6


def test_frames_are_thinned_evenly() -> None:
    frames = pd.DataFrame({"set": "a", "video": ["x"] * 12 + ["y"] * 2, "frame": [*range(12), 3, 9]})
    assert thin(frames, 3)[["video", "frame"]].values.tolist() == [["x", 0], ["x", 6], ["x", 11], ["y", 3], ["y", 9]]
    assert thin(frames, None) is frames and len(thin(frames, 99)) == 14


def test_a_lacking_encoder_rejects_every_video_and_stops_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr(degrading, "available", lambda: frozenset({"h264"}))
    done, lost = degrade(data, tmp_path / "x", "av1-30")
    assert done == 0 and lost == 12 and not (tmp_path / "x" / INDEX).exists() and not list(tmp_path.glob("x/*.tar"))
    causes = pd.read_parquet(tmp_path / "x/rejected.parquet").query("stage == 'degrade'")["cause"]
    assert set(causes) == {"this ffmpeg has no libsvtav1"} and len(causes) == 2
    assert pd.read_csv(tmp_path / "x" / ENCODING).empty


def test_one_bad_video_is_listed_and_all_bad_ones_are_an_error(data: Path, tmp_path: Path) -> None:  # noqa: F811
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in (data / "raw/faceswap").iterdir():
        (raw / path.name).write_bytes(path.read_bytes())
    (raw / "a_b.mp4").write_bytes((raw / "a_b.mp4").read_bytes()[:900])
    frames = pd.read_parquet(data / "frames/faceswap.parquet")
    settings = {"size": 32, "shard_frames": 4, "seed": 0, "workers": 1}
    done, lost = degrade_set("x", [step("h264-40")], frames, data / "faces", raw, tmp_path / "out", **settings)
    assert (done, lost) == (6, 6)
    rejected = pd.read_parquet(tmp_path / "out/rejected.parquet").query("stage == 'degrade'")
    assert rejected["video"].tolist() == ["a_b"]
    (raw / "b_a.mp4").write_bytes(b"")
    with pytest.raises(UserError, match="none of the 12 frames could be degraded"):
        degrade_set("x", [step("h264-40")], frames, data / "faces", raw, tmp_path / "none", **settings)
