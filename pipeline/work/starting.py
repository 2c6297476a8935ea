"""How every stage starts: arguments in, one outcome line out, a mendable error as one line and exit status 1."""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

from pipeline.work import alone, cluster, disk, memory, streams, warm
from pipeline.work.errors import UserError
from pipeline.work.files import require_own_folder

Work = Callable[[argparse.Namespace], str]


def run(parser: argparse.ArgumentParser, work: Work) -> None:
    """Parse the command line, do `work`, print the outcome that it returns as one line after the stage's name."""
    name = Path(sys.argv[0]).stem
    parser.prog = f"python -m stages.{name}"
    streams.require()
    alone.end_with_parent()
    try:
        arguments = parser.parse_args()
        require_own_folder(arguments.out)
        with alone.alone(arguments.out):
            outcome = _full_disk_told(work, arguments)
    except UserError as error:
        sys.exit(f"{name}: {error}")  # a string goes to stderr, exit status 1
    print(f"{name}: {outcome}", flush=True)


def run_on_device(parser: argparse.ArgumentParser, work: Work, place: Callable[[], tuple[str | None, int]]) -> None:
    """`run` for work with a network: on the device of this machine, or as a task of the cluster.

    place: tells the cluster's address, None without one, and how many tasks share a GPU of it.

    Under `python -m pipeline.jobs` a fork of its warm process does it, which has torch loaded.
    """

    streams.require()
    spec = sys.modules["__main__"].__spec__
    assert spec is not None, "stages are started as python -m stages.x"
    module = spec.name
    if there := os.environ.get(warm.ADDRESS):
        alone.end_with_parent()
        if (status := warm.hand_over(there, module)) is not None:
            sys.exit(status)

    def placed(arguments: argparse.Namespace) -> str:
        address, per_gpu = place()
        call = partial(_on_device, module, work.__name__, arguments)
        return call() if address is None else cluster.run_stage(call, address, per_gpu, arguments.out.name)

    run(parser, placed)


def _on_device(module: str, work: str, arguments: argparse.Namespace) -> str:
    """Imported by its name, the work is the same thing on every node of a cluster."""
    memory.keep_freed()
    return _full_disk_told(getattr(import_module(module), work), arguments)


def _full_disk_told(work: Work, arguments: argparse.Namespace) -> str:
    try:
        return work(arguments)
    except OSError as error:
        raise disk.barred(error) or error from None
