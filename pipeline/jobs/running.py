"""One stage through `dvc repro --single-item` in a process of its own; DVC's locks keep those of a machine apart.

The processes are forks of one that has loaded DVC (multiprocessing's forkserver): DVC takes a second to load, and a run
has dozens of stages.
"""

import logging
import multiprocessing
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from pipeline.work.alone import STARTED_BY_JOBS

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["dvc.cli", "dvc.commands.repro", "dvc.repo.reproduce"])
# Starting one process asks all others whether they have ended; two threads that ask one at once read its status twice.
LOCK = threading.Lock()
FAILED = "ERROR: failed to reproduce"  # how DVC's line on a stage that failed begins
HINTS = ("Use `dvc push`", "Data and pipelines are up to date.")  # DVC's after every stage
COLORS = re.compile(r"\x1b\[[0-9;]*m")


def repro(stage: str, environment: Mapping[str, str], cores: Iterable[int] | None) -> str | None:
    """Run a stage if it has to run, and record it; the cause where it failed. What it prints is passed on.

    environment: variables added to this process's. cores: the cores that it may use; None for all.
    """
    arguments = ["--wait-for-lock", "repro", "--single-item", stage]
    said, tells = SERVER.Pipe(duplex=False)
    variables = dict(os.environ) | dict(environment) | {STARTED_BY_JOBS: str(os.getpid())}
    settings = (arguments, Path.cwd(), variables, set(cores or ()), tells)
    process = SERVER.Process(target=_dvc, args=settings)
    with LOCK:
        process.start()
    tells.close()
    last: deque[str] = deque(maxlen=20)
    with os.fdopen(os.dup(said.fileno()), errors="replace") as lines:
        for line in lines:
            if line.strip() and not line.startswith(HINTS):
                print(line, end="", file=sys.stderr, flush=True)
                last.append(COLORS.sub("", line))
    said.close()
    with LOCK:
        process.join()
    return cause(last, process.exitcode) if process.exitcode else None


def cause(lines: Iterable[str], status: int | None) -> str:
    """Why DVC failed, from what it and the stage have printed: the stage's last words, or DVC's where it had none."""
    before = ""
    for line in filter(None, (line.strip() for line in lines)):
        if line.startswith(FAILED):
            # A stage that ended itself has said why; one that was killed has not.
            own = line.endswith("exited with 1") and before
            return before if own else line.partition(": failed to run: ")[2] or line.removeprefix("ERROR: ")
        before = line
    return before.removeprefix("ERROR: ") or f"dvc ended with status {status}"


def _dvc(arguments: list[str], folder: Path, environment: dict[str, str], cores: set[int], said: Connection) -> None:
    os.dup2(said.fileno(), 1)
    os.dup2(said.fileno(), 2)
    said.close()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if cores:
        os.sched_setaffinity(0, cores)
    from dvc.cli import main

    logging.getLogger("dvc").setLevel(logging.WARNING)  # it would say of every stage what to do with dvc.lock
    sys.exit(main(arguments))
