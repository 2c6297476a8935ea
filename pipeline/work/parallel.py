"""Per-video work on all cores, or on a Ray cluster. Results come in the order of the items, whoever worked them out."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from pipeline.work import cluster, disk, resume
from pipeline.work.errors import Killed, UserError, VideoError
from pipeline.work.processes import AHEAD, ONE_THREAD, in_processes
from pipeline.work.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")
Workers: TypeAlias = int | str | None  # processes of this machine (None or 0: one a core), or a Ray cluster's address


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
    workers: Workers = None,
    what: str,
    name: Callable[[Item], str] = str,
    keep: resume.Scratch | resume.Findings | None = None,
) -> Iterator[Result | Rejected[Item]]:
    """Yield function(item) for each item, in order; what fails becomes Rejected(item, cause), and the rest goes on.

    What an exception of the function means:
    - VideoError: something is wrong with the video. Its cause is the error's text.
    - UserError, such as for a full disk: the work ends at once.
    - Any other: a fault of this program. The cause has the exception's name, stderr gets the traceback, and a line at
      the end counts them: one fault must not cost a user the results of a thousand other videos. Where no item at all
      succeeds the fault is hardly one video's, and is raised after the last of them.
    A video whose worker process is killed twice, say for its memory, is rejected with that cause; see processes.py.

    It is lazy: nothing runs before the first result is asked for, and only a few results are held at once.
    Each worker is a fresh process of one thread, so `function` and the items must pickle (functools.partial of a
    module's function does). workers: 1 works in this process. keep: where results are kept, under the items' names, so
    that after a kill only those in flight are worked out again.

    Raises: UserError where no worker process lives or the disk is full; RuntimeError naming the first video where none
    succeeds and one fails by a fault of the program.
    """
    done = keep.done() if keep else set()
    calls = [_Call(function, item, keep.place(name(item)) if keep else None) for item in items]
    todo = [call for item, call in zip(items, calls, strict=True) if name(item) not in done]
    if len(todo) < len(items):
        print(f"{what}: goes on, {len(items) - len(todo)} of {len(items)} are done", file=sys.stderr, flush=True)
    worked = _work(todo, workers, what)
    kept = (name(item) in done for item in items)
    outcomes = (_kept(call) if old else next(worked) for call, old in zip(calls, kept, strict=True))
    faults = _Faults(what)
    succeeded = False
    for item, outcome in zip(items, progress(outcomes, len(items), what), strict=True):
        if isinstance(outcome, _Stored):
            outcome = resume.load(outcome.place, function)
        if isinstance(outcome, VideoError):
            yield Rejected(item, str(outcome))
        elif isinstance(outcome, UserError):
            raise outcome
        elif isinstance(outcome, _Failed):
            faults.tell(name(item), outcome)
            yield Rejected(item, f"{outcome.error} (a fault of this program: see the stage's log)")
        else:
            succeeded = True
            yield outcome
    faults.end(len(items), succeeded)


class _Faults:
    """Exceptions that are no VideoError: each told on stderr, its traceback once."""

    def __init__(self, what: str) -> None:
        self.what, self.first, self.count = what, "", 0
        self.shown: set[str] = set()

    def tell(self, name: str, failed: "_Failed") -> None:
        self.count += 1
        self.first = self.first or f"{self.what} failed at {name}: {failed.error}\n{failed.trace}"
        print(f"{self.what} failed at {name}: {failed.error}", file=sys.stderr, flush=True)
        if failed.trace not in self.shown:
            self.shown.add(failed.trace)
            print(failed.trace, file=sys.stderr, flush=True)

    def end(self, items: int, succeeded: bool) -> None:
        if self.count and not succeeded:
            raise RuntimeError(self.first)
        if self.count:
            print(
                f"{self.what}: {self.count} of {items} failed by a fault of this program, told above with its "
                "traceback; they are listed as rejected",
                file=sys.stderr,
                flush=True,
            )


@dataclass(frozen=True)
class _Failed:
    error: str
    trace: str


@dataclass(frozen=True)
class _Stored:
    place: Path


Outcome: TypeAlias = Any  # what the function gave, VideoError, UserError, _Failed or _Stored


@dataclass(frozen=True)
class _Call:
    function: Callable[[Any], Any]
    item: Any
    place: Path | None  # of the result, if it is kept

    def __call__(self) -> Outcome:
        _one_thread()
        try:
            outcome = self._outcome()
            if self.place is None:
                return outcome
            resume.store(self.place, outcome)
            return _Stored(self.place)  # what is on the disk needs not travel, or stay in memory
        except UserError as error:
            return error
        except Exception as error:  # as text: an exception that does not unpickle would break the pool
            told = disk.full(error) if isinstance(error, OSError) else None
            return told or _Failed(f"{type(error).__name__}: {error}", traceback.format_exc())

    def _outcome(self) -> Outcome:
        for last in (False, True):
            try:
                return self.function(self.item)
            except VideoError as error:
                if last or not isinstance(error, Killed):
                    return error


def _kept(call: _Call) -> Outcome:
    assert call.place is not None
    try:
        return resume.load(call.place, call.function)
    except LookupError:
        return call()


def _work(calls: Sequence[_Call], workers: Workers, what: str) -> Iterator[Outcome]:
    if isinstance(workers, str):
        return cluster.run(calls, workers, ONE_THREAD, AHEAD, what) if calls else iter(())
    count = min(workers or cores(), len(calls))
    return in_processes(calls, count, what) if count > 1 else (call() for call in calls)


def _one_thread() -> None:
    if cv2 := sys.modules.get("cv2"):  # loaded with the function, where that needs it
        cv2.setNumThreads(1)
