"""Bring every stage of dvc.yaml up to date, several at a time."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from pipeline.jobs.graph import CORES, DEVICE, changed, downstream, load_pipeline
from pipeline.jobs.machine import environment, usable
from pipeline.jobs.running import repro
from pipeline.jobs.scheduling import Machine, Place, side_by_side
from pipeline.work import warm
from pipeline.work.errors import UserError

SHORT = 70  # bytes of the path of the folder for temporary files: a socket below it has 32 more, and 107 at most


def reproduce(machine: Machine) -> int:
    """Run what has changed and what depends on it; 0, or the exit status of a failure, with the causes on stderr.

    At the end a plain `dvc repro` checks the whole graph. Raises: UserError.
    """
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > SHORT:
        raise UserError(
            f"TMPDIR {folder}: a path too long for the sockets that stages are started by; set it to one of {SHORT} "
            "bytes at most, such as /tmp"
        )
    pipeline = load_pipeline()
    todo = pipeline.due(changed())
    print(f"jobs: {len(todo)} of {len(pipeline.graph)} stages to run; {machine}", file=sys.stderr, flush=True)
    with _warm(machine, any(pipeline.uses[name] == DEVICE for name in todo)) as told:
        failed = side_by_side(pipeline.graph, pipeline.uses, todo, machine, partial(_run, machine, told))
    if not failed:
        return subprocess.run([sys.executable, "-m", "dvc", "repro"], check=False).returncode
    left = downstream(pipeline.graph, failed) - set(failed)
    waiting = f", and {len(left)} that need them did not run" if left else ""
    print(f"jobs: {len(failed)} failed{waiting}; the others are done and kept: mend it and run again", file=sys.stderr)
    for name, cause in sorted(failed.items()):
        print(f"  {name}: {cause}", file=sys.stderr)
    return 1


@contextmanager
def _warm(machine: Machine, wanted: bool) -> Iterator[dict[str, str]]:
    """The process that stages with a network fork from, where it pays and can be; what stages are told of it."""
    if not wanted or machine.devices:
        yield {}
        return
    with warm.server(environment(machine, Place(CORES, 1))) as told:
        yield told


def _run(machine: Machine, told: dict[str, str], name: str, place: Place) -> str | None:
    where = f" on GPU {place.device}" if place.device is not None else ""
    print(f"jobs: {name}{where}", file=sys.stderr, flush=True)
    return repro(name, environment(machine, place) | told, usable(machine, place))
