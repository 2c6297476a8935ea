"""Work whose standard streams are closed goes on, and no file gets their numbers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.aids.started import ROOT

WORK = """
import sys
from pipeline.work import streams
streams.require()
from pipeline.work.progress import progress

with open("result.txt", "w") as file:
    print("said")
    print("complained", file=sys.stderr)
    for number in progress(range(3), 3, "count"):
        file.write(f"{number} ")
    import subprocess
    subprocess.run(["sh", "-c", "echo noise; echo noise >&2"], check=True)
print(sys.stdin.read(), end="")
"""


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_cost_nothing(closed: tuple[int, ...], tmp_path: Path) -> None:
    shell = "exec " + " ".join(f"{number}>&-" for number in closed) + '; exec "$@"'
    command = ["sh", "-c", shell, "sh", sys.executable, "-c", WORK]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    assert (done.returncode, (tmp_path / "result.txt").read_text()) == (0, "0 1 2 ")
    assert bool(done.stderr) == (2 not in closed) and bool(done.stdout) == (1 not in closed)
