"""A stage handed over to the warm process: its output, status and environment are those of a process of its own."""

import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.work import warm
from tests.aids.processes import alive, wait_until
from tests.aids.started import ROOT

STAGE = """
import os, sys, time
from pathlib import Path
from pipeline.work import warm

def main():
    told = sys.argv[1]
    main = sys.modules["__main__"].__spec__.name  # what a cluster's node would import
    print(told, os.environ["WORD"], main, "json.tool" in sys.modules, flush=True)
    assert warm.ADDRESS not in os.environ and "LOADING" not in os.environ
    print("aside", file=sys.stderr)
    if told == "wait":
        Path("pid").write_text(str(os.getpid()))
        time.sleep(600)
    if told == "raise":
        raise ValueError("odd")
    if told == "die":
        os._exit(3)
    sys.exit({"refuse": "stage: no such video", "three": 3, "minus": -1}.get(told))

if __name__ == "__main__":
    if warm.ADDRESS in os.environ:
        sys.exit(warm.hand_over(os.environ[warm.ADDRESS], "toy_stage"))
    main()
"""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, of this process and of those that it starts; the path of a socket is short."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def stage(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    (tmp_path / "toy_stage.py").write_text(STAGE)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(warm, "LIBRARIES", ("json.tool", "no_such_library"))
    serve = tmp_path / "elsewhere/serve.py"  # Python puts its folder on the path: the stage's own has to be there
    serve.parent.mkdir()
    libraries = f"warm.LIBRARIES = {warm.LIBRARIES}"
    note = f"open({str(tmp_path / 'server')!r}, 'w').write(str(os.getpid()))"
    serve.write_text(
        f"import os, sys\n{note}\nfrom pipeline.work import warm\n{libraries}\nwarm.serve(int(sys.argv[1]))\n"
    )
    with warm.server({"LOADING": "1"}, [sys.executable, str(serve)]) as told:
        yield {**os.environ, **told, "WORD": "said"}


def start(stage: dict[str, str], folder: Path, word: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "toy_stage", word]
    return subprocess.Popen(command, cwd=folder, env=stage, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize(
    ("word", "status", "said"),
    [
        ("fine", 0, "aside"),
        ("three", 3, "aside"),
        ("minus", 255, "aside"),
        ("refuse", 1, "stage: no such video"),
        ("raise", 1, "ValueError: odd"),
        ("die", 1, "toy_stage: its process was killed (out of memory?)"),
    ],
)
def test_it_ends_as_a_process_of_its_own_would(
    stage: dict[str, str], tmp_path: Path, word: str, status: int, said: str
) -> None:
    process = start(stage, tmp_path, word)
    out, err = process.communicate(timeout=600)
    assert (process.returncode, out) == (status, f"{word} said toy_stage True\n")
    assert err.strip().splitlines()[-1] == said


def test_who_kills_the_stage_kills_its_fork(stage: dict[str, str], tmp_path: Path) -> None:
    process = start(stage, tmp_path, "wait")
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    fork = int((tmp_path / "pid").read_text())
    assert alive(fork)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not alive(fork))


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_what_nohup_ignores_its_forks_ignore(
    handler: signal.Handlers, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A terminal that is closed would else end the trainings of `nohup make repro &`."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        process = start(request.getfixturevalue("stage"), tmp_path, "wait")
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    status = Path(f"/proc/{(tmp_path / 'pid').read_text()}/status").read_text()
    (ignored,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigIgn"))
    process.kill()
    process.communicate()
    assert bool(ignored >> (signal.SIGHUP - 1) & 1) == (handler == signal.SIG_IGN)


def test_an_interrupt_is_told_once_by_the_fork(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A terminal sends it to both; who waits for the fork's status has nothing to say of its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run in the background
    try:
        process = start(request.getfixturevalue("stage"), tmp_path, "wait")
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    process.send_signal(signal.SIGINT)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 1 and err.count("Traceback") == 1 and err.endswith("KeyboardInterrupt\n")


def test_forks_that_have_ended_are_collected_at_the_next_stage(stage: dict[str, str], tmp_path: Path) -> None:
    start(stage, tmp_path, "fine").communicate(timeout=600)
    server = psutil.Process(int((tmp_path / "server").read_text()))
    (first,) = server.children()
    wait_until(lambda: first.status() == psutil.STATUS_ZOMBIE)
    start(stage, tmp_path, "fine").communicate(timeout=600)
    assert first.pid not in {one.pid for one in server.children()}


def test_where_it_is_killed_its_forks_keep_nobody_waiting(stage: dict[str, str], tmp_path: Path) -> None:
    process = start(stage, tmp_path, "wait")
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    server = int((tmp_path / "server").read_text())
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not alive(server))
    with socket.socket(socket.AF_UNIX) as connection:
        assert connection.connect_ex(stage[warm.ADDRESS]) == errno.ECONNREFUSED
    process.kill()
    process.communicate()


def test_libraries_are_loaded_with_the_variables_given(tmp_path: Path, temporary: Path) -> None:
    """Such as the number of threads, which they read once: it cannot be told to a fork."""
    note = f"import os, sys; open({str(tmp_path / 'note')!r}, 'w').write(os.environ['THREADS']); sys.stdin.read()"
    with warm.server({"THREADS": "3"}, [sys.executable, "-c", note]):
        pass
    assert (tmp_path / "note").read_text() == "3"


DEVICE = """
import argparse, errno, os, sys
from pathlib import Path
from pipeline.work import starting
from pipeline.work.errors import UserError

def main(arguments):
    if arguments.word == "refuse":
        raise UserError("no such video")
    if arguments.word == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x")
    assert None not in (sys.stdin, sys.stdout, sys.stderr)
    return f"done below {os.getppid()}"

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("word")
    parser.add_argument("--out", type=Path, default=Path("out"))
    starting.run_on_device(parser, main, lambda: (None, 1))
"""


@pytest.mark.parametrize("there", [True, False])
def test_a_stage_with_a_network_runs_in_a_fork_where_there_is_one(
    there: bool, stage: dict[str, str], tmp_path: Path
) -> None:
    """And says the same, whichever process it is."""
    (tmp_path / "toy_device.py").write_text(DEVICE)
    own = {name: value for name, value in stage.items() if there or name != warm.ADDRESS}

    def run(word: str, closed: str = "") -> tuple[int, str, str]:
        command = ["sh", "-c", f'exec {closed} "$@"', "sh", sys.executable, "-m", "toy_device", word]
        done = subprocess.run(command, cwd=tmp_path, env=own, text=True, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr

    fine = run("fine")
    parent = (tmp_path / "server").read_text() if there else str(os.getpid())
    assert fine == run("fine", "0<&- 2>&-") == (0, f"toy_device: done below {parent}\n", "")
    assert run("refuse") == (1, "", "toy_device: no such video\n")
    status, _, said = run("full")
    assert status == 1 and said.startswith("toy_device: x: No space left on device: free") and said.count("\n") == 1


def test_nobody_there() -> None:
    assert warm.hand_over("/nowhere/warm", "toy_stage") is None


STARTER = """
import signal, sys, time
from pipeline.work import warm

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
note = "import os, sys; from pipeline.work import warm; "
serve = "warm.LIBRARIES = (); open('pid', 'w').write(str(os.getpid())); warm.serve(int(sys.argv[1]))"
with warm.server({}, [sys.executable, "-c", note + serve]):
    time.sleep(600)
"""


def started(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Who starts a warm process, at the head of a group of their own, and that one's number."""
    command, environment = [sys.executable, "-c", STARTER], {**os.environ, "PYTHONPATH": str(ROOT)}
    starter = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    wait_until(lambda: (folder / "pid").exists() and (folder / "pid").read_text() != "")
    server = int((folder / "pid").read_text())
    assert alive(server)
    return starter, server


@pytest.mark.parametrize(
    ("end", "number"), [(os.kill, signal.SIGKILL), (os.killpg, signal.SIGTERM), (os.killpg, signal.SIGHUP)]
)
def test_it_ends_with_who_started_it_and_leaves_nothing(
    end: Callable[[int, int], None], number: int, tmp_path: Path, temporary: Path
) -> None:
    starter, server = started(tmp_path)
    assert list(temporary.glob("*/warm"))
    end(starter.pid, number)
    starter.wait()
    wait_until(lambda: not alive(server))
    assert not list(temporary.iterdir())


def test_what_killed_runs_left_goes_and_running_ones_stay(
    tmp_path: Path, temporary: Path, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    starter, server = started(tmp_path)
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    wait_until(lambda: not alive(server))
    left = set(temporary.glob("*/warm"))
    (temporary / "add-other").mkdir()
    (temporary / "add-other/warm").touch()  # no socket
    running = request.getfixturevalue("stage")
    assert len(left) == 1 and not any(path.parent.exists() for path in left)
    with warm.server({}, [sys.executable, "-c", "import sys; sys.stdin.read()"]):
        assert start(running, tmp_path, "fine").communicate(timeout=600)[0] == "fine said toy_stage True\n"
    assert Path(running[warm.ADDRESS]).exists() and (temporary / "add-other/warm").exists()
    assert capfd.readouterr().err == "", "being asked whether it is there is no stage"
