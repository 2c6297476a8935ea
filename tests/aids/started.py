"""Stages whose work is noted: straight in this process, or in a process of its own, to be held and killed."""

import hashlib
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.aids.processes import noted, noting

ROOT = Path(__file__).parents[2]
# What Python runs as it starts, in the stage and in each of its workers.
SITE = """
import subprocess
from pathlib import Path
from tests.aids.processes import noting
subprocess.Popen = noting(Path({notes!r}), {hold})
"""


Changes = Sequence[tuple[str, str]]  # texts of params.yaml, and what stands in their place


def straight(arguments: Sequence[str], root: Path, changes: Changes = ()) -> list[str]:
    """Run a stage undisturbed, in this process and without workers; what it noted in its folder `root`."""
    prepare(root, changes, workers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("DVC_ROOT", str(root))
        patch.setattr(subprocess, "Popen", noting(root / "work.txt"))
        patch.delitem(sys.modules, f"stages.{arguments[0]}", raising=False)
        patch.setattr(sys, "argv", [f"stages/{arguments[0]}.py", *arguments[1:]])
        runpy.run_module(f"stages.{arguments[0]}", run_name="__main__", alter_sys=True)
    return noted(root)


def prepare(root: Path, changes: Changes, workers: int) -> None:
    root.mkdir(exist_ok=True)
    settings = (ROOT / "params.yaml").read_text()
    for old, new in (("workers: null", f"workers: {workers}"), *changes):
        assert old in settings
        settings = settings.replace(old, new)
    (root / "params.yaml").write_text(settings)


class Started:
    """A stage in a process of its own, which notes its work in its folder `root`.

    hold: of `noting`: where it is killed does not depend on how fast or busy the machine is.
    """

    def __init__(
        self, arguments: Sequence[str], root: Path, changes: Changes = (), workers: int = 2, hold: int = 0
    ) -> None:
        prepare(root, changes, workers)
        # A folder for each hold: of two files written in one second Python would take the compiled first for both.
        site = root / f"hold{hold}"
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(SITE.format(notes=str(root / "work.txt"), hold=hold))
        environment = os.environ | {"DVC_ROOT": str(root), "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
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
