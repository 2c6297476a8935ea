"""Per-video work on all cores. Results come in the order of the items, whatever the number of workers."""

import multiprocessing
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from pipeline.errors import UserError, VideoError
from pipeline.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")

# Results that wait for an earlier, slower video are held in memory: this bounds them.
AHEAD = 4
# More than one thread a process only slows the others down, and changes the bytes of some encoders.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


@dataclass(frozen=True)
class Rejected(Generic[Item]):
    """A video that cannot be used: the item that was given, and why."""

    item: Item
    cause: str


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_videos(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None = None,
    what: str,
    name: Callable[[Item], str] = str,
) -> Iterator[Result | Rejected[Item]]:
    """Yield function(item) for each item, in order; a VideoError becomes Rejected(item, cause).

    It is lazy: nothing runs before the first result is asked for, and only a few results are held at once.
    Each worker is a fresh process of one thread, so `function` and the items must pickle (functools.partial of a
    module's function does). workers: None or 0 for all cores; 1 works in this process.

    Raises: UserError where a worker dies; RuntimeError naming the video for any other exception.
    """
    count = min(workers or cores(), max(len(items), 1))
    outcomes = _in_processes(function, items, count) if count > 1 else (_call(function, item) for item in items)
    for item, outcome in zip(items, progress(_guard(outcomes, what), len(items), what), strict=True):
        if isinstance(outcome, VideoError):
            yield Rejected(item, str(outcome))
        elif isinstance(outcome, UserError):
            raise outcome
        elif isinstance(outcome, _Failed):
            raise RuntimeError(f"{what} failed at {name(item)}: {outcome.error}\n{outcome.trace}")
        else:
            yield outcome


@dataclass(frozen=True)
class _Failed:
    error: str
    trace: str


Outcome: TypeAlias = Result | VideoError | UserError | _Failed


def _call(function: Callable[[Item], Result], item: Item) -> Outcome[Result]:
    _one_thread()
    try:
        return function(item)
    except (VideoError, UserError) as error:
        return error
    except Exception as error:  # as text: an exception that does not unpickle would break the pool
        return _Failed(f"{type(error).__name__}: {error}", traceback.format_exc())


def _in_processes(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Outcome[Result]]:
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # children read it when they load their libraries
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    waiting: deque[Future[Outcome[Result]]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(_call, function, item))
            if len(waiting) >= workers * AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _guard(outcomes: Iterator[Outcome[Result]], what: str) -> Iterator[Outcome[Result]]:
    try:
        yield from outcomes
    except BrokenProcessPool as error:
        raise UserError(f"{what}: a worker process died (out of memory?): set fewer `workers` and run again") from error


def _end_with_parent() -> None:
    """Workers of a stage that was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _one_thread() -> None:
    import cv2  # only workers need it

    cv2.setNumThreads(1)
