"""`dvc repro` with several stages at a time: python -m pipeline.jobs --first crop --jobs 2

DVC runs one stage after the other (iterative/dvc#755). A third of a short training is its start, on one core, so cells
that do not depend on each other run side by side, one thread each, every one through a `dvc repro --single-item` of its
own; DVC's locks keep them apart. Stages that already use every core (all up to `--first`) run before, one at a time. A
last plain `dvc repro` checks the whole graph.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from dvc.repo import Repo

from pipeline.parallel import cores

Graph = dict[str, set[str]]  # stage -> the stages that it depends on


def load_graph() -> Graph:
    """The stages of dvc.yaml and what each depends on."""
    with Repo() as repo:
        graph = repo.index.graph
        return {stage.addressing: {other.addressing for other in graph.successors(stage)} for stage in graph}


def dvc(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], check=False).returncode


def side_by_side(graph: Graph, done: set[str], jobs: int) -> int:
    """Run the stages of `graph` that are not in `done`, at most `jobs` at a time; the first failure's exit status.

    A stage starts when all that it depends on are done, those with the longest way to the end first. After a failure
    nothing new starts, and those running finish.
    """
    heights = height(graph)
    done, left = set(done), set(graph) - done
    running: dict[Future[int], list[str]] = {}
    status = 0
    with ThreadPoolExecutor(jobs) as pool:
        while running or (left and not status):
            ready = sorted((name for name in left if graph[name] <= done), key=lambda name: (-heights[name], name))
            while ready and len(running) < jobs and not status:
                # Several stages a call while many wait: each call of DVC takes seconds to read the graph.
                share = max(1, len(ready) // (2 * jobs))
                batch, ready = ready[:share], ready[share:]
                left -= set(batch)
                call = pool.submit(dvc, "--wait-for-lock", "repro", "--quiet", "--single-item", *batch)
                running[call] = batch
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for call in finished:
                done |= set(running.pop(call))
                status = status or call.result()
    return status


def height(graph: Graph) -> dict[str, int]:
    """How many stages must still run one after the other once a stage is done."""
    found = dict.fromkeys(graph, 0)
    for _ in graph:  # settles after as many rounds as the longest way has stages
        raised = {d: found[name] + 1 for name in graph for d in graph[name] if found[d] <= found[name]}
        if not raised:
            break
        for name, value in raised.items():
            found[name] = max(found[name], value)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", required=True, help="run these stages, and what they need, one at a time before")
    parser.add_argument("--jobs", type=int, default=cores(), help="stages at a time (default: the number of cores)")
    arguments = parser.parse_args()
    graph = load_graph()
    first = sorted(name for name in graph if name.split("@")[0] == arguments.first)
    # Each of the jobs gets its share of the cores, unless the user has said otherwise.
    status = dvc("repro", *first)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // arguments.jobs)))
    if not status and arguments.jobs > 1:
        status = side_by_side(graph, upstream(graph, first), arguments.jobs)
    sys.exit(status or dvc("repro"))


def upstream(graph: Graph, names: list[str]) -> set[str]:
    """The stages and everything that they depend on."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


if __name__ == "__main__":
    main()
