"""`dvc repro` with several stages at a time: python -m pipeline.jobs --first crop --jobs 2

DVC runs one stage after the other (iterative/dvc#755). A third of a short training is its start, on one core, so cells
that do not depend on each other run side by side, one thread each, every one through a `dvc repro --single-item` of its
own; DVC's locks keep them apart. Stages that already use every core (all up to `--first`) run before, one at a time. A
last plain `dvc repro` checks the whole graph.
"""

import argparse
import os
import sys

from pipeline.jobs.graph import load_graph, upstream
from pipeline.jobs.scheduling import dvc, side_by_side
from pipeline.params.schema import load
from pipeline.work.errors import UserError
from pipeline.work.parallel import cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", required=True, help="run these stages, and what they need, one at a time before")
    parser.add_argument("--jobs", type=int, default=cores(), help="stages at a time (default: the number of cores)")
    arguments = parser.parse_args()
    try:
        load()  # what is wrong with the params is told before anything runs
    except UserError as error:
        sys.exit(f"jobs: {error}")
    graph = load_graph()
    first = sorted(name for name in graph if name.split("@")[0] == arguments.first)
    # Each of the jobs gets its share of the cores, unless the user has said otherwise.
    status = dvc("repro", *first)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // arguments.jobs)))
    if not status and arguments.jobs > 1:
        status = side_by_side(graph, upstream(graph, first), arguments.jobs)
    sys.exit(status or dvc("repro"))


if __name__ == "__main__":
    main()
