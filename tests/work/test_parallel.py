import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import _ExecutorManagerThread
from functools import partial
from pathlib import Path

import pytest

from pipeline.work import processes
from pipeline.work.errors import UserError
from pipeline.work.parallel import Rejected, map_videos
from tests.aids.halving import deadly, gated, half, idle
from tests.aids.processes import alive, wait_until
from tests.aids.started import ROOT


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_bad_videos_as_rejected(workers: int) -> None:
    results = list(map_videos(half, range(20), workers=workers, what="halve"))
    assert results == [Rejected(3, "three is odd") if n == 3 else n / 2 for n in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_at_one_video_is_told_and_the_others_go_on(workers: int, capfd: pytest.CaptureFixture[str]) -> None:
    work = partial(half, stumble=7)
    results = list(map_videos(work, range(20), workers=workers, what="halve", name="video {}".format))
    fault = "Stumble: 7 and fell (a fault of this program: see the stage's log)"
    rejected = {3: Rejected(3, "three is odd"), 7: Rejected(7, fault)}
    assert results == [rejected.get(number, number / 2) for number in range(20)]
    told = capfd.readouterr().err
    assert "halve failed at video 7: Stumble: 7 and fell" in told and "raise Stumble(" in told
    assert "halve: 1 of 20 failed by a fault of this program" in told
    with pytest.raises(UserError, match=r"params\.yaml: too large"):
        list(map_videos(half, [1, 100, 2], workers=workers, what="halve"))


def test_a_fault_at_every_video_stops_the_run_and_names_the_first() -> None:
    work = partial(half, stumble=7)
    with pytest.raises(RuntimeError, match="halve failed at video 7: Stumble: 7 and fell"):
        list(map_videos(work, [3, 7, 7], workers=1, what="halve", name="video {}".format))
    assert list(map_videos(work, [3], workers=1, what="halve")) == [Rejected(3, "three is odd")]


def test_an_address_hands_the_videos_to_its_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """None at all are not worth a connection."""
    asked = []

    def run(calls: list[Callable[[], float]], address: str, *_: object) -> Iterator[float]:
        asked.append((address, len(calls)))
        return (call() for call in calls)

    monkeypatch.setattr("pipeline.work.cluster.run", run)
    assert list(map_videos(half, [2, 4], workers="head:6379", what="halve")) == [1, 2]
    assert list(map_videos(half, [], workers="head:6379", what="halve")) == []
    assert asked == [("head:6379", 2)]


def test_workers_end_with_a_killed_stage(tmp_path: Path) -> None:
    script = tmp_path / "stage.py"
    script.write_text(
        "import os, time\nfrom pathlib import Path\nfrom pipeline.work.parallel import map_videos\n"
        f"def work(n):\n    Path({str(tmp_path)!r}, f'{{os.getpid()}}.pid').touch()\n    time.sleep(0.2)\n"
        "if __name__ == '__main__':\n    list(map_videos(work, range(1000), workers=2, what='wait'))\n"
    )
    stage = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)})
    wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    stage.kill()
    stage.wait()
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    wait_until(lambda: not any(alive(pid) for pid in workers))


def test_a_worker_that_is_killed_while_the_pool_ends_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that waits for work holds the lock by which the others hear that they shall end."""
    results: list[int] = []

    def end(manager: _ExecutorManagerThread) -> None:
        if results and results[0] in manager.processes:  # pools of other tests may end meanwhile
            os.kill(results[0], signal.SIGKILL)
            time.sleep(0.1)
        shutdown(manager)

    shutdown = _ExecutorManagerThread.shutdown_workers
    monkeypatch.setattr(_ExecutorManagerThread, "shutdown_workers", end)
    calls = [partial(idle, number, tmp_path) for number in range(2)]

    def work() -> None:
        for number in processes.in_processes(calls, 2, "idle"):
            results.append(number)

    pool = threading.Thread(target=work, daemon=True)
    pool.start()
    pool.join(120)
    hangs = pool.is_alive()
    for process in multiprocessing.active_children() if hangs else []:
        process.kill()
    assert not hangs and len(set(results)) == 2


def test_nothing_to_do() -> None:
    assert list(map_videos(half, [], what="halve")) == []


def test_a_video_that_ends_its_worker_is_rejected_and_the_others_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As the kernel does where memory runs out. The others are kept, in order, whatever they were at."""
    results = list(map_videos(partial(deadly, notes=tmp_path), range(12), workers=2, what="halve"))
    lost = Rejected(5, "the process that worked on it ended twice, the second time alone (out of memory?)")
    assert results == [lost if n == 5 else n / 2 for n in range(12)]
    assert "halve: a worker process ended (out of memory?)" in capfd.readouterr().err


def test_where_only_all_together_are_too_large_fewer_work_at_a_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One pool ends, if its two meet, and not one after the other."""
    work = partial(deadly, notes=tmp_path, crowd=1)
    assert list(map_videos(work, [1, 2, 3, 4, 6, 7, 8], workers=2, what="halve")) == [0.5, 1, 1.5, 2, 3, 3.5, 4]
    assert capfd.readouterr().err.count("a worker process ended") <= 1


def test_where_every_worker_ends_the_stage_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MOST_LOST", 2)
    with pytest.raises(UserError, match=r"halve: each of 2 worker processes ended .*`workers: 1`"):
        list(map_videos(partial(deadly, notes=tmp_path), [5] * 20, workers=2, what="halve"))


@pytest.mark.parametrize("first", [True, False])
def test_where_one_video_succeeds_the_machine_is_not_to_blame(
    first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is done before a worker ends, or when what that one was at is tried again."""
    monkeypatch.setattr(processes, "MOST_LOST", 2)
    videos = [1, 5, 5, 5, 2] if first else [5, 1, 5, 5, 2]
    results = map_videos(partial(deadly, notes=tmp_path, gate="go"), videos, workers=2, what="halve")
    found = [next(results)] if first else []
    (tmp_path / "go").touch()
    found += results
    assert [isinstance(one, Rejected) for one in found] == [number == 5 for number in videos]


def test_who_leaves_early_waits_for_what_has_begun(tmp_path: Path) -> None:
    """Else an encoder would go on without its worker, into a file that nobody waits for."""
    results = processes.in_processes([partial(gated, number, tmp_path) for number in (0, 1)], 2, "wait")
    assert next(results) == 0
    wait_until((tmp_path / "1.begun").exists)
    threading.Timer(0.3, (tmp_path / "go").touch).start()
    results.close()
    assert (tmp_path / "1.done").exists()


def test_only_a_few_results_wait_for_a_slow_one(tmp_path: Path) -> None:
    found: list[int] = []
    calls = [partial(gated, number, tmp_path) for number in range(1, 31)]
    work = threading.Thread(target=lambda: found.extend(processes.in_processes(calls, 2, "wait")))
    work.start()
    ahead = 2 * processes.AHEAD - 1
    wait_until(lambda: len(list(tmp_path.glob("*.done"))) >= ahead)
    time.sleep(0.3)
    done = len(list(tmp_path.glob("*.done")))
    (tmp_path / "go").touch()
    work.join()
    assert done == ahead and found == list(range(1, 31))


def test_workers_have_one_thread_and_who_starts_them_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = processes.ONE_THREAD
    monkeypatch.setenv(first, "7")
    for name in others:
        monkeypatch.delenv(name, raising=False)
    calls = [partial(os.getenv, name) for name in processes.ONE_THREAD]
    assert list(processes.in_processes(calls, 2, "ask")) == ["1"] * 3
    assert [os.environ.get(name) for name in processes.ONE_THREAD] == ["7", None, None]


def test_where_no_worker_can_be_told_of_its_work_what_to_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there is no /dev/shm, or one that may not be written to."""

    def no_lock(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", no_lock)
    with pytest.raises(UserError, match=r"Read-only file system.*/dev/shm .*`workers: 1`.*--jobs 1"):
        list(map_videos(half, [1, 2], workers=2, what="halve"))
    assert list(map_videos(half, [1, 2], workers=1, what="halve")) == [0.5, 1]
