"""Faces found in drawn videos, and their pixels: read with zipfile and cv2, compared with the video's own frames."""

from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.crops import samples
from pipeline.crops.cropping import crop_set
from pipeline.faces import sampled
from pipeline.faces.detection import detect_set
from pipeline.faces.geometry import Face
from pipeline.faces.sampled import Job, Search
from pipeline.faces.search import detect_all
from pipeline.videos.compression import compress
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.videos.reading import read_frames
from pipeline.videos.sampling import sample
from pipeline.work.errors import UserError
from tests.aids.clips import faces, raw_set
from tests.aids.started import hashes

FRAMES = 8
SEARCH = Search(max_side=400, enlarge=1.3)


def shown(count: int, number: int) -> list[NDArray[np.uint8]]:
    """Video b shows a face in its first frames only, the others in all."""
    images = faces(count, number)
    return images[:2] + [np.full_like(images[0], 90)] * (count - 2) if number == 1 else images


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos, one torn, and all their frames as sampled; what detect leaves in faces/."""
    root = tmp_path_factory.mktemp("data")
    raw = raw_set(root / "raw/original", {video: {} for video in "abcd"}, FRAMES, shown)
    (raw / "d.mp4").write_bytes((raw / "d.mp4").read_bytes()[:900])
    frames = sample("original", read_manifest(raw), read_rejected(raw), FRAMES, 0)
    frames.to_parquet(root / "frames.parquet")
    assert detect_set(raw, frames, root / "faces/original", SEARCH, workers=1)[:2] == (2 * FRAMES + 2, 4 * FRAMES)
    return root


def test_the_pixels_of_each_box_are_those_of_the_video(data: Path) -> None:
    table = pd.read_parquet(data / "faces/original/boxes.parquet")
    for video, rows in table[table["size"].notna()].groupby("video"):
        images = dict(read_frames(data / f"raw/original/{video}.mp4"))
        with ZipFile(data / f"faces/original/{video}.zip") as archive:
            assert archive.namelist() == [f"{frame:06d}.png" for frame in rows["frame"]]
            for row in rows.itertuples():
                content = np.frombuffer(archive.read(f"{row.frame:06d}.png"), np.uint8)
                image = cv2.cvtColor(np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)
                part = images[row.frame][row.top : row.top + row.size, row.left : row.left + row.size]
                assert row.size > 50 and (image == part).all()


def test_every_frame_has_a_row_and_a_cause(data: Path) -> None:
    table = pd.read_parquet(data / "faces/original/boxes.parquet")
    assert list(table["video"]) == [video for video in "abcd" for _ in range(FRAMES)]
    causes = table.groupby("video")["cause"].apply(list)
    assert causes["a"] == causes["c"] == [""] * FRAMES
    assert causes["b"] == ["", ""] + ["no face found"] * (FRAMES - 2)
    assert "moov atom not found" in causes["d"][0]
    assert (table["size"].isna() == (table["cause"] != "")).all()
    assert list(hashes(data / "faces/original")) == ["a.zip", "b.zip", "boxes.parquet", "c.zip"]


def test_same_bytes_with_two_workers(data: Path, tmp_path: Path) -> None:
    detect_set(data / "raw/original", pd.read_parquet(data / "frames.parquet"), tmp_path / "faces", SEARCH, workers=2)
    assert hashes(tmp_path / "faces") == hashes(data / "faces/original")


def test_crops_from_the_kept_pixels_are_those_from_the_video(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And raw is decoded only where they are not there."""
    raw, frames = data / "raw/original", pd.read_parquet(data / "frames.parquet")
    assert compress(raw, tmp_path / "c40", 40, "c40", workers=1) == (3, 1)
    decoded: list[Path] = []

    def counted(path: Path, *rest: Any) -> object:
        decoded.append(path)
        return read_frames(path, *rest)

    monkeypatch.setattr(samples, "read_frames", counted)
    folder, compressed = tmp_path / "faces", {"c40": tmp_path / "c40"}
    for out in ("kept", "decoded"):
        (folder / "original").mkdir(parents=True, exist_ok=True)
        kept = [] if out == "decoded" else list("abc")
        for name in ("boxes.parquet", *(f"{video}.zip" for video in kept)):
            (folder / "original" / name).write_bytes((data / "faces/original" / name).read_bytes())
        for size in (48, 200):
            decoded.clear()
            crop_set(frames, folder, raw, compressed, tmp_path / f"{out}{size}", size, 100, workers=1)
            assert [path.stem for path in decoded if path.parent == raw] == sorted(set("abc") - set(kept))
        for video in kept:
            (folder / "original" / f"{video}.zip").unlink()
    for size in (48, 200):
        assert hashes(tmp_path / f"kept{size}") == hashes(tmp_path / f"decoded{size}")
    (folder / "original/a.zip").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"a\.zip: cannot be read .* run the detect stage again"):
        crop_set(frames, folder, raw, compressed, tmp_path / "torn", 48, 100, workers=1)


def test_a_target_lends_its_box_but_not_its_pixels(data: Path, tmp_path: Path) -> None:
    """Also to a fake of its video's name: the pixels must be the fake's own."""
    fakes = {"a": {"target": "a", "label": 1}}
    raw = raw_set(tmp_path / "raw/fake", fakes, FRAMES, lambda count, _: [image[::-1] for image in faces(count)])
    assert compress(raw, tmp_path / "c40", 40, "c40", workers=1) == (1, 0)
    frames = sample("fake", read_manifest(raw), read_rejected(raw), FRAMES, 0)
    crop_set(frames, data / "faces", raw, {"c40": tmp_path / "c40"}, tmp_path / "out", 64, 100, workers=1)
    index = pd.read_parquet(tmp_path / "out/index.parquet")
    images = dict(read_frames(raw / "a.mp4"))
    content = (tmp_path / "out/b0-000000.tar").read_bytes()
    for row in index.itertuples():
        box = images[row.frame][row.top : row.top + row.size, row.left : row.left + row.size]
        crop = cv2.cvtColor(cv2.resize(box, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
        start = content.index(b"\x89PNG", row.offset)
        stored = cv2.imdecode(np.frombuffer(content[start : row.offset + row.bytes], np.uint8), cv2.IMREAD_COLOR)
        assert stored is not None and (stored == crop).all()


def noted(calls: list[int], image: NDArray[np.uint8], max_side: int) -> list[Face]:
    calls.append(max_side)
    return detect_all(image, max_side)


@pytest.mark.parametrize(("near", "searches"), [(0, FRAMES), (1, FRAMES // 2), (3, FRAMES // 4), (100, 1)])
def test_near_searches_whole_frames_only_so_often(
    near: int, searches: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The face moves by two pixels a frame, and so does its box; its size stays until the next whole search."""
    calls: list[int] = []
    monkeypatch.setattr(sampled, "detect_all", partial(noted, calls))
    search = Search(max_side=400, enlarge=1.3, near=near)
    found = sampled.find_video(Job("a", list(range(FRAMES))), data / "raw/original", search, tmp_path)
    boxes = np.array([row[:4] for row in found.rows])
    assert calls == [400] * searches
    frame, left, _, size = boxes.T
    assert np.abs(left + size / 2 - (70 + 2 * frame)).max() < 10
    assert all(len(set(size[start : start + near + 1])) == 1 for start in range(0, FRAMES, near + 1))


def test_near_falls_back_to_the_whole_frame_and_to_none(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(sampled, "detect_all", partial(noted, calls))
    search = Search(max_side=400, enlarge=1.3, near=100)
    found = sampled.find_video(Job("b", list(range(4))), data / "raw/original", search, tmp_path)
    assert [size is not None for *_, size, _ in found.rows] == [True, True, False, False]
    assert len(calls) == 3
