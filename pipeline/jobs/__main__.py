"""`dvc repro` with several stages at a time: python -m pipeline.jobs

DVC runs one stage after the other (iterative/dvc#755). Here stages that do not depend on each other run side by side,
each through a `dvc repro --single-item` of its own: trainings and tests of models one to a GPU (jobs.per_gpu), or one
to a core where there is none, or wherever a Ray cluster has room (cluster.address). With --plan it runs nothing and
says what there is to run, and what that takes.
"""

import argparse
import getpass
import os
import sys
from pathlib import Path

from pipeline.work import streams
from pipeline.work.errors import UserError
from pipeline.work.parallel import cores


def main() -> None:
    streams.require()
    _complete_user()
    parser = argparse.ArgumentParser(prog="python -m pipeline.jobs", description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=cores(), help="stages of one core at a time (default: the cores)")
    parser.add_argument("--plan", action="store_true", help="say what would run, and what it takes; run nothing")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        parser.error("--jobs must be at least 1")
    try:
        sys.exit(_main(arguments))
    except UserError as error:
        sys.exit(f"jobs: {error}")
    except KeyboardInterrupt:
        sys.exit("jobs: interrupted; what is done is kept: run again to go on")


def _complete_user() -> None:
    """Containers run as users who have neither a name nor a home, and DVC and torch look for both; accounts of services
    have a shell that refuses, and DVC starts stages by it."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # before Python 3.13, and since
        os.environ["USER"] = f"uid{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"
    if Path(os.environ.get("SHELL", "")).name in ("nologin", "false"):
        del os.environ["SHELL"]  # DVC takes /bin/sh then


def _main(arguments: argparse.Namespace) -> int:
    # Loaded here: the process of each stage reads this file again, and needs none of it.
    from pipeline.jobs.machine import find
    from pipeline.params.schema import load

    params = load()
    machine = find(params, arguments.jobs)
    if arguments.plan:
        from pipeline.jobs.amounts import absent
        from pipeline.jobs.plan import plan

        if missing := absent(params):  # at once: the plan measures for minutes
            print(f"missing    {missing}", flush=True)
        print(plan(params, machine))
        return 0
    from pipeline.jobs.reproduce import reproduce

    return reproduce(machine)


if __name__ == "__main__":
    main()
