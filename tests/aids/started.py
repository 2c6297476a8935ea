"""Stages whose work is noted: straight in this process, or in a process of its own, to be held and killed."""

import hashlib
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.aids.noting import noted, noting

ROOT = Path(__file__).parents[2]
# What Python runs as it starts, in the stage and in each of its workers.
SITE = """
import subprocess
from pathlib import Path
from tests.aids.noting import noting
subprocess.Popen = noting(Path({notes!r}), {hold})
"""


def straight(arguments: Sequence[str], root: Path, changes: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Run a stage undisturbed, in this process and without workers; what it noted.

    root: its folder, see `Started`.
    """
    prepare(root, changes, workers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("DVC_ROOT", str(root))
        patch.setattr(subprocess, "Popen", noting(root / "work.txt"))
        patch.delitem(sys.modules, f"stages.{arguments[0]}", raising=False)
        patch.setattr(sys, "argv", [f"stages/{arguments[0]}.py", *arguments[1:]])
        runpy.run_module(f"stages.{arguments[0]}", run_name="__main__", alter_sys=True)
    return noted(root)


def prepare(root: Path, changes: Sequence[tuple[str, str]], workers: int) -> None:
    root.mkdir(exist_ok=True)
    settings = (ROOT / "params.yaml").read_text()
    for old, new in (("workers: null", f"workers: {workers}"), *changes):
        assert old in settings
        settings = settings.replace(old, new)
    (root / "params.yaml").write_text(settings)


class Started:
    """A stage in a process of its own, with two workers; it notes its work in its folder `root`.

    changes: texts of params.yaml and what stands in their place. hold: of `noting`, however fast or busy the machine.
    """

    def __init__(
        self, arguments: Sequence[str], root: Path, changes: Sequence[tuple[str, str]] = (), hold: int = 0
    ) -> None:
        prepare(root, changes, workers=2)
        (root / "sitecustomize.py").write_text(SITE.format(notes=str(root / "work.txt"), hold=hold))
        environment = os.environ | {"DVC_ROOT": str(root), "PYTHONPATH": f"{root}{os.pathsep}{ROOT}"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"stages.{arguments[0]}", *arguments[1:]],
            cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def ended(self) -> bool:
        return self.process.poll() is not None

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def check(self) -> str:
        output = self.process.communicate()[0]
        assert self.process.returncode == 0, output
        return output


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def wait_until(condition: Callable[[], bool], seconds: float = 600) -> None:
    """Long only where it fails: a machine with much else to do starts processes slowly, in minutes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and waits to be collected does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # gone meanwhile, or a system without /proc
        return not Path("/proc/self").exists()
