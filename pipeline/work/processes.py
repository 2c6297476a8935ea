"""Work in fresh processes of one thread, and what a process that ends on its work costs: that one, not the rest."""

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from pipeline.work.errors import UserError, VideoError

# Results that wait for an earlier, slower video are held in memory: this bounds them.
AHEAD = 4
MOST_LOST = 8
LOST = VideoError("the process that worked on it ended twice, the second time alone (out of memory?)")
# More than one thread a process only slows the others down, and changes the bytes of some encoders.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

Outcome: TypeAlias = Any
Call: TypeAlias = Callable[[], Outcome]  # pickles


def in_processes(calls: Sequence[Call], workers: int, what: str) -> Iterator[Outcome]:
    """Yield call() of each, in order, worked out by processes of one thread.

    A process that ends takes its pool with it. The calls that may have ended it are then tried again, each alone in a
    process: one that ends this too is LOST, and the others go on. Where none of them does, all together took too much
    memory: half as many go on at a time.
    Raises: UserError where the first MOST_LOST are lost and nothing succeeds: no process lives here.
    """
    left, lost, succeeded = deque(calls), 0, False
    with _one_thread_each():
        while left:
            begun: deque[tuple[Call, Future[Outcome]]] = deque()
            with suppress(BrokenProcessPool):
                for outcome in _in_pool(left, workers, begun):
                    succeeded = True
                    yield outcome
                return
            broken = [call for call, future in begun if not _finished(future)]
            left.extendleft(reversed(broken[workers:]))  # calls are started in order: these had not begun
            print(f"{what}: a worker process ended (out of memory?); what it was at is tried again alone",
                  file=sys.stderr, flush=True)  # fmt: skip
            guilty = 0
            for outcome in _again(begun, broken[:workers]):
                guilty += outcome is LOST
                succeeded = succeeded or outcome is not LOST
                yield outcome
            lost += guilty
            if lost >= MOST_LOST and not succeeded:
                raise UserError(f"{what}: each of {lost} worker processes ended (out of memory?): free some memory, "
                                "or see why with `workers: 1`, and run again")  # fmt: skip
            workers = workers if guilty else max(1, workers // 2)


def _again(begun: Iterable[tuple[Call, Future[Outcome]]], suspects: Sequence[Call]) -> Iterator[Outcome]:
    """Of the calls that were begun, what is finished, and of the suspects what each gives alone in a process."""
    waiting = deque(suspects)
    for call, future in begun:
        if _finished(future):
            yield future.result()
        elif waiting and call is waiting[0]:
            yield _alone(waiting.popleft())


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Have the processes that are started meanwhile read ONE_THREAD when they load their libraries."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _in_pool(left: deque[Call], workers: int, begun: deque[tuple[Call, Future[Outcome]]]) -> Iterator[Outcome]:
    """Yield call() of each of `left`, in order, from one pool; `begun` holds those that were taken and not yielded.

    Its processes end themselves when the pipe does, by our hand or by our death. By themselves they would wait for a
    parent that was killed for ever, and so would the pool for them where one is killed in the moment of its shutdown:
    the one that waits for work holds a lock that the others need to hear that they shall end.
    Raises: BrokenProcessPool where one of its processes ends, UserError where there can be none.
    """
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    try:
        pool = ProcessPoolExecutor(workers, context, initializer=_end_with, initargs=(theirs,))
    except OSError as error:
        raise UserError(
            f"no worker process can be told of its work ({error.strerror}): see that /dev/shm is there and may be "
            "written to, or go on in one process (`workers: 1` in params.yaml, --jobs 1 of predict)"
        ) from None
    try:
        while left or begun:
            while left and len(begun) < workers * AHEAD:
                future = pool.submit(left[0])
                begun.append((left.popleft(), future))
            outcome = begun[0][1].result()
            begun.popleft()
            yield outcome
    finally:
        wait([future for _, future in begun if not future.cancel()])
        ours.close()
        pool.shutdown()
        theirs.close()


def _alone(call: Call) -> Outcome:
    try:
        return next(_in_pool(deque([call]), 1, deque()))
    except BrokenProcessPool:
        return LOST


def _finished(future: Future[Outcome]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _end_with(pipe: Connection) -> None:
    """End this process when nobody holds the other end of the pipe any more."""

    def watch() -> None:
        with suppress(EOFError, OSError):
            pipe.recv_bytes()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
