"""What machines do to a stage: no room, no right to write, a dvc that dies, two at once, a program that is killed."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.videos import ffmpeg_process
from pipeline.videos.compression import compress
from pipeline.videos.examining import examine
from pipeline.videos.manifests import read_rejected
from pipeline.videos.reading import probe, read_frames
from pipeline.work import alone, disk
from pipeline.work.errors import Killed, UserError
from tests.aids.clips import raw_set
from tests.aids.processes import alive, wait_until
from tests.aids.refusing import refusal
from tests.aids.started import ROOT, hashes

VIDEOS = [f"v{number}" for number in range(6)]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return raw_set(tmp_path_factory.mktemp("data") / "raw/original", {video: {} for video in VIDEOS}, frames=6)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 256 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def repository(folder: Path) -> Path:
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text().replace("workers: null", "workers: 1"))
    return folder


def test_a_full_disk_is_one_line_and_after_it_the_same_bytes(raw: Path, small: Path, tmp_path: Path) -> None:
    """A real one: the scratch folder, where videos are encoded, and the outs lie on it."""
    repository(small)
    arguments = ("compress", "--quality", "c23", "--videos", raw, "--out", "c23")
    filler = small / "filler"
    filler.write_bytes(bytes(256_000 - sum(path.stat().st_size for path in small.iterdir()) - 12_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "require", lambda *_: None)  # which would have told before the start
        line = refusal(small, *arguments, begun="c23")
    assert "No space left on device: free some space and run again: what is done is kept" in line
    assert not list(small.rglob("*.part"))
    filler.unlink()
    run = subprocess.run(
        [sys.executable, "-m", f"stages.{arguments[0]}", *map(str, arguments[1:])], cwd=small, capture_output=True,
        text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(small)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    compress(raw, tmp_path / "straight", 23, "c23", workers=1)
    assert hashes(small / "c23") == hashes(tmp_path / "straight")


def test_a_place_that_is_read_only_is_one_line(raw: Path, small: Path) -> None:
    repository(small)
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    line = refusal(small, "compress", "--quality", "c23", "--videos", raw, "--out", "c23")
    assert "Read-only file system: mount it to be written to and run again" in line


def test_a_place_in_the_way_of_outs_is_one_line(raw: Path, tmp_path: Path) -> None:
    (repository(tmp_path) / "data").write_text("a file where a folder must be")
    line = refusal(tmp_path, "compress", "--quality", "c23", "--videos", raw, "--out", "data/c23")
    assert "data" in line and "in the way" in line


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_place_of_somebody_else_is_one_line(raw: Path, tmp_path: Path) -> None:
    (repository(tmp_path) / "data").mkdir(mode=0o500)
    line = refusal(tmp_path, "compress", "--quality", "c23", "--videos", raw, "--out", "data/c23")
    assert "Permission denied: change its owner or permissions and run again" in line


def test_two_processes_do_not_write_one_place(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with alone.alone(tmp_path / "c23"), alone.alone(tmp_path / "c40"):
        line = refusal(tmp_path, "compress", "--quality", "c23", "--videos", raw, "--out", "c23")
    assert "c23: another process still writes it" in line
    with alone.alone(tmp_path / "c23"):  # both before it have let go
        pass
    assert not list((tmp_path / ".scratch").iterdir())


def test_a_lock_that_its_last_holder_has_removed_is_none(tmp_path: Path) -> None:
    """Between the opening of its file and the locking: others lock the file that now has its name."""
    path = tmp_path / "lock"
    with path.open("w") as ours:
        path.unlink()
        assert not alone._held(ours, path)
        with path.open("w") as theirs:
            assert alone._held(theirs, path) and not alone._held(ours, path)


def test_who_has_ended_and_is_not_collected_runs_no_more() -> None:
    """As where what started `make repro` does not look after it."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert process.stdin is not None and alone._runs(str(process.pid)) and alone._runs(None)
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not alone._runs(str(process.pid))
    process.wait()
    assert not alone._runs(str(process.pid))


STAGE = """
import argparse, os, time
from pathlib import Path
from pipeline.work import alone, starting

alone.SECONDS = 0.1

def work(arguments):
    print(os.getpid(), flush=True)
    time.sleep(600)

parser = argparse.ArgumentParser()
parser.set_defaults(out=Path("out"))
starting.run(parser, work)
"""
DVC = """
import os, subprocess, sys
by_dvc, command = sys.argv[1], sys.argv[2]
own = os.environ | ({"DVC_STAGE": "crop"} if by_dvc == "True" else {})
subprocess.run(["/bin/sh", "-c", command], env=own)
"""
GOES, STAYS = 'exec python -c "$STAGE"', 'python -c "$STAGE"; exit $?'  # what shells do by themselves differs


@pytest.mark.parametrize(("by_dvc", "command"), [(True, GOES), (True, STAYS), (False, STAYS)])
def test_a_stage_ends_with_its_dvc_and_goes_on_without_a_shell(by_dvc: bool, command: str, tmp_path: Path) -> None:
    own = {key: value for key, value in os.environ.items() if key != "DVC_STAGE"}
    own |= {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(tmp_path), "STAGE": STAGE}
    own |= {"PATH": f"{Path(sys.executable).parent}:{own['PATH']}"}
    words = [sys.executable, "-c", DVC, str(by_dvc), command]
    dvc = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=own, cwd=tmp_path)
    assert dvc.stdout is not None
    stage = int(dvc.stdout.readline())
    dvc.kill()
    dvc.wait()
    try:
        if by_dvc:
            wait_until(lambda: not alive(stage))
        else:
            with pytest.raises(AssertionError):
                wait_until(lambda: not alive(stage), 1)
    finally:
        with suppress(ProcessLookupError):
            os.kill(stage, signal.SIGKILL)


def test_a_killed_ffmpeg_says_nothing_of_the_video(raw: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whichever of the calls it is: what it told until then looks like a shorter video, or like none."""
    ffmpeg = tmp_path / "ffmpeg"
    real = ffmpeg_process.executable()
    ffmpeg.write_text(f'#!/bin/sh\n"{real}" "$@"\nkill -9 $$\n')
    ffmpeg.chmod(0o755)
    monkeypatch.setattr(ffmpeg_process, "executable", lambda: str(ffmpeg))
    for call in (probe, examine, lambda path: list(read_frames(path))):
        with pytest.raises(Killed, match="ffmpeg was killed"):
            call(raw / "v0.mp4")


@pytest.mark.parametrize("times", [1, 2])
def test_a_video_whose_ffmpeg_is_killed_is_tried_once_more(
    times: int, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipeline.videos.compression as room

    transcode, left = room.transcode, [times]

    def killed(source: Path, *rest: object) -> object:
        if source.stem == "v2" and left[0]:
            left[0] -= 1
            raise Killed("ffmpeg was killed (out of memory?)")
        return transcode(source, *rest)

    monkeypatch.setattr(room, "transcode", killed)
    assert compress(raw, tmp_path / "c23", 23, "c23", workers=1) == (7 - times, times - 1)
    causes = list(read_rejected(tmp_path / "c23")["cause"])
    assert causes == ["ffmpeg was killed (out of memory?)"] * (times - 1)
    shutil.rmtree(tmp_path / "c23")


def test_a_bar_is_told_of_errors_that_say_so() -> None:
    assert disk.barred(OSError(2, "No such file")) is None
    assert disk.full(PermissionError(13, "Permission denied", "x")) is None  # of one video: that video's fault
    with pytest.raises(UserError, match=r"x: Permission denied: change its owner"):
        raise disk.barred(PermissionError(13, "Permission denied", "x")) or AssertionError
