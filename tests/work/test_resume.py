"""Stages that are killed, started again, and run out of disk."""

import errno
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.videos import compression
from pipeline.videos.compression import compress
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.videos.probing import VideoInfo
from pipeline.videos.sampling import sample
from pipeline.videos.writing import transcode
from pipeline.work import disk, resume
from pipeline.work.errors import NothingUsable, UserError, VideoError
from pipeline.work.parallel import Rejected, map_videos
from pipeline.work.resume import Scratch
from tests.aids.clips import faces, raw_set
from tests.aids.processes import noted, wait_until
from tests.aids.started import Started, hashes, straight

VIDEOS = [f"v{number:02}" for number in range(9)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of small videos, one of them torn, with frames and boxes as if sampled and detected."""
    root = tmp_path_factory.mktemp("data")
    raw = raw_set(root / "raw/original", {video: {} for video in VIDEOS}, frames=8, shown=faces)
    (raw / "v03.mp4").write_bytes((raw / "v03.mp4").read_bytes()[:900])
    for folder in ("frames", "faces/original"):
        (root / folder).mkdir(parents=True)
    frames = sample("original", read_manifest(raw), read_rejected(raw), 4, 0)
    frames.to_parquet(root / "frames/original.parquet")
    boxes = frames[["video", "frame"]].assign(left=12, top=16, size=40, cause="")
    boxes.astype(dict.fromkeys(("left", "top", "size"), "Int64")).to_parquet(root / "faces/original/boxes.parquet")
    return root


def stage(data: Path, name: str, out: Path) -> list[str]:
    raw = ["--videos", str(data / "raw/original")]
    if name == "compress":
        return [name, "--quality", "c23", *raw, "--out", str(out)]
    frames = ["--frames", str(data / "frames/original.parquet")]
    if name == "detect":
        return [name, *raw, *frames, "--out", str(out)]
    folders = {"faces": "faces", "raw": "raw/original", "compressed": "compressed/original"}
    paths = [part for key, folder in folders.items() for part in (f"--{key}", str(data / folder))]
    return [name, "--set", "original", *frames, *paths, "--out", str(out)]


@pytest.mark.parametrize(("name", "workers", "qualities"), [("compress", 2, 1), ("detect", 1, 1), ("crop", 1, 3)])
def test_a_killed_stage_goes_on_and_leaves_the_same_bytes(
    name: str, workers: int, qualities: int, data: Path, tmp_path: Path
) -> None:
    """Killed with SIGKILL, its outs deleted as DVC does. Each encoder or decoder that starts is counted."""
    if name == "crop":
        for quality, crf in {"c23": 23, "c40": 40}.items():
            compress(data / "raw/original", data / "compressed/original" / quality, crf, quality, workers=1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    work = straight(stage(data, name, whole), tmp_path / "a")
    scratch = tmp_path / "b/.scratch"
    first = Started(stage(data, name, killed), tmp_path / "b", workers=workers, hold=4 * qualities)
    wait_until(lambda: done(scratch) >= 3 or first.ended())
    first.kill()
    finished = done(scratch)
    assert 3 <= finished < len(VIDEOS) - 2
    shutil.rmtree(killed, ignore_errors=True)
    last = Started(stage(data, name, killed), tmp_path / "b", workers=workers).check()
    assert f"goes on, {finished} of" in last
    assert hashes(killed) == hashes(whole) and len(hashes(killed)) > 2
    assert not list(scratch.iterdir())
    assert len(noted(tmp_path / "b")) - len(work) <= workers * qualities


def done(scratch: Path) -> int:
    return len(list(scratch.glob("*/*.npz")))


def half(number: int, notes: Path) -> float:
    with (notes / "calls.txt").open("a") as file:
        file.write(f"{number}\n")
    if number == 3:
        raise VideoError("three is odd")
    if number == 6 and not (notes / "mended").exists():
        raise UserError("six is not there yet")
    return number / 2


def test_only_what_is_not_kept_is_done_again(tmp_path: Path) -> None:
    work = partial(half, notes=tmp_path)
    expected = [Rejected(3, "three is odd") if n == 3 else n / 2 for n in range(9)]
    with pytest.raises(UserError, match="six"), Scratch("halve", tmp_path, {"by": 2}, []) as scratch:
        list(map_videos(work, range(9), workers=1, what="halve", keep=scratch))
    (tmp_path / "mended").touch()
    (scratch.folder / "1.npz").write_bytes(b"torn")
    with Scratch("halve", tmp_path, {"by": 2}, []) as scratch:
        assert list(map_videos(work, range(9), workers=1, what="halve", keep=scratch)) == expected
    assert (tmp_path / "calls.txt").read_text().split() == [*"0123456", *"1678"]
    assert not scratch.folder.exists()


def test_other_settings_inputs_or_outs_never_go_on(tmp_path: Path) -> None:
    source = tmp_path / "video.mp4"
    source.write_bytes(b"12")
    folders = [Scratch("s", tmp_path, {"a": 1}, [source]).folder, Scratch("s", tmp_path, {"a": 2}, [source]).folder]
    folders.append(Scratch("s", tmp_path / "b", {"a": 1}, [source]).folder)
    source.write_bytes(b"21")
    os.utime(source, (1, 1))
    with Scratch("s", tmp_path, {"a": 1}, [source]) as current:
        folders.append(current.folder)
        other = Scratch("s", tmp_path / "b", {"a": 1}, [source])
        assert current.folder.exists()
        Scratch("s", tmp_path, {"a": 3}, [source])  # the same place with other settings: what was kept is of no use
        assert not current.folder.exists()
    folders.append(other.folder)
    assert len(set(folders)) == 5


@pytest.mark.parametrize(("error", "kept"), [(UserError, {"a"}), (NothingUsable, set())])
def test_what_no_video_could_be_used_for_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[UserError], kept: set[str]
) -> None:
    """A full disk ends a stage whose results are good. Where none is, what was wrong may be mended by the next run."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    def run(ends: bool) -> set[str]:
        with Scratch("toy", tmp_path / "out", {}, []) as scratch:
            found = scratch.done()
            resume.store(scratch.place("a"), VideoError("no good"))
            if ends:
                raise error("the end")
            return found

    with pytest.raises(error):
        run(True)
    assert run(False) == kept


def test_a_full_disk_stops_the_stage_and_loses_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full refuses every byte with ENOSPC, to ffmpeg as to Python."""
    calls: list[str] = []

    def crowded(source: Path, target: Path, *settings: int) -> VideoInfo:
        calls.append(source.stem)
        if source.stem == "v05" and not (tmp_path / "room").exists():
            target = Path("/dev/full")
            monkeypatch.setattr("pipeline.videos.writing.whole", Device)
        return transcode(source, target, *settings)

    monkeypatch.setattr(compression, "transcode", crowded)
    raw, out = data / "raw/original", tmp_path / "c23"
    with pytest.raises(UserError, match="No space left on device: free some space and run again: what is done is kept"):
        compress(raw, out, 23, "c23", workers=1)
    monkeypatch.undo()
    monkeypatch.setattr(compression, "transcode", crowded)
    (tmp_path / "room").touch()
    assert compress(raw, out, 23, "c23", workers=1) == (8, 1)
    assert calls == [*VIDEOS[:6], *VIDEOS[5:]]
    assert compress(raw, tmp_path / "straight", 23, "c23", workers=1) == (8, 1)
    assert hashes(out) == hashes(tmp_path / "straight")


class Device:
    """files.whole for a device, which cannot be renamed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *error: object) -> None:
        pass


def test_a_result_that_does_not_fit_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(place: Path, result: object) -> None:
        with Path("/dev/full").open("wb") as file:
            file.write(bytes(10_000))

    (tmp_path / "mended").touch()
    with Scratch("halve", tmp_path, {}, []) as scratch:
        with monkeypatch.context() as patch:
            patch.setattr(resume, "store", full)
            with pytest.raises(UserError, match="No space left on device"):
                list(map_videos(partial(half, notes=tmp_path), [1], workers=1, what="halve", keep=scratch))
        assert list(map_videos(partial(half, notes=tmp_path), [1], workers=1, what="halve", keep=scratch)) == [0.5]
    assert disk.full(OSError(errno.EACCES, "denied")) is None


def test_too_small_a_disk_is_told_before_the_start(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match=r"compress c23 original needs about 0\.\d MB, but only 0\.0 MB are free there"):
        compress(data / "raw/original", tmp_path / "c23", 23, "c23", workers=1)
    assert not (tmp_path / "c23").exists()


def test_the_estimate_is_near_the_truth(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs: list[int] = []
    monkeypatch.setattr(disk, "require", lambda folder, need, what: needs.append(need))
    compress(data / "raw/original", tmp_path, 23, "c23", workers=1)
    size = sum(path.stat().st_size for path in tmp_path.glob("*.mp4"))
    assert size / 10 < needs[0] < 10 * size


@pytest.mark.parametrize("keeps", [lambda out: Scratch("s", out, {}, []), lambda out: resume.Findings("f", {})])
def test_results_of_other_code_are_not_gone_on_from(
    keeps: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a room that is loaded, or of the stage: what it left is removed."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "root"))
    file = tmp_path / "made_up.py"
    file.write_text("a = 1")
    monkeypatch.setitem(sys.modules, "pipeline.videos.made_up", SimpleNamespace(__file__=str(file)))
    first = keeps(tmp_path / "out").folder
    first.mkdir(parents=True, exist_ok=True)
    assert keeps(tmp_path / "out").folder == first and first.exists()
    file.write_text("a = 2")
    assert keeps(tmp_path / "out").folder != first and not first.exists()
    monkeypatch.delitem(sys.modules, "pipeline.videos.made_up")
    monkeypatch.setitem(sys.modules, "elsewhere.made_up", SimpleNamespace(__file__=str(file)))
    plain = keeps(tmp_path / "out").folder
    file.write_text("a = 3")
    assert keeps(tmp_path / "out").folder == plain, "code of others does not count"
    script = tmp_path / "stages/compress.py"
    script.parent.mkdir()
    script.write_text("b = 1")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    assert keeps(tmp_path / "out").folder != plain
