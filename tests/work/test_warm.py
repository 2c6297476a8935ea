"""A stage handed over to the warm process: its output, status and environment are those of a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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
    print(told, os.environ["WORD"], warm.ADDRESS in os.environ, "json.tool" in sys.modules, flush=True)
    print("aside", file=sys.stderr)
    if told == "wait":
        Path("pid").write_text(str(os.getpid()))
        time.sleep(600)
    if told == "raise":
        raise ValueError("odd")
    if told == "die":
        os._exit(3)
    sys.exit({"refuse": "stage: no such video", "three": 3}.get(told))

if __name__ == "__main__":
    if warm.ADDRESS in os.environ:
        sys.exit(warm.hand_over(os.environ[warm.ADDRESS], "toy_stage"))
    main()
"""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    (tmp_path / "toy_stage.py").write_text(STAGE)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(warm, "LIBRARIES", ("json.tool", "no_such_library"))
    command = [sys.executable, "-c", f"from pipeline.work import warm; warm.LIBRARIES = {warm.LIBRARIES}; "
               "import sys; warm.serve(int(sys.argv[1]))"]  # fmt: skip
    with warm.server({}, command) as told:
        yield {**os.environ, **told, "WORD": "said"}


def start(stage: dict[str, str], folder: Path, word: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "toy_stage", word]
    return subprocess.Popen(command, cwd=folder, env=stage, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize(
    ("word", "status", "said"),
    [
        ("fine", 0, "aside"),
        ("three", 3, "aside"),
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
    assert (process.returncode, out) == (status, f"{word} said False True\n")
    assert err.strip().splitlines()[-1] == said


def test_who_kills_the_stage_kills_its_fork(stage: dict[str, str], tmp_path: Path) -> None:
    process = start(stage, tmp_path, "wait")
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    fork = int((tmp_path / "pid").read_text())
    assert alive(fork)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not alive(fork))


def test_nobody_there() -> None:
    assert warm.hand_over("/nowhere/warm", "toy_stage") is None


STARTER = """
import sys, time
from pipeline.work import warm

note = "import os, sys; from pipeline.work import warm; open('pid', 'w').write(str(os.getpid())); "
with warm.server({}, [sys.executable, "-c", note + "warm.LIBRARIES = (); warm.serve(int(sys.argv[1]))"]):
    time.sleep(600)
"""


def test_it_ends_with_who_started_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    starter = subprocess.Popen([sys.executable, "-c", STARTER], cwd=tmp_path, env=environment)
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    server = int((tmp_path / "pid").read_text())
    assert alive(server)
    starter.kill()
    starter.wait()
    wait_until(lambda: not alive(server))
