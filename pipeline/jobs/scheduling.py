"""Stages side by side, each through a `dvc repro --single-item` of its own; DVC's locks keep them apart."""

import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from pipeline.jobs.graph import Graph, height


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
