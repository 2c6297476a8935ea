"""Progress of long work: a bar on a terminal, sparse lines in a log."""

import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
LOG_SECONDS = 15.0
INNER_SECONDS = 3.0


def progress(iterable: Iterable[T], total: int, what: str, unit: str = "video", inner: bool = False) -> Iterator[T]:
    """Pass the items through and tell on stderr how far the work is.

    On a terminal a tqdm bar; in a log at most one line in LOG_SECONDS, so that short work leaves none. inner: of one
    item of other work; its bar comes only where it takes long, and goes again, and a worker process shows none.
    """
    if inner and multiprocessing.parent_process() is not None:
        yield from iterable
        return
    if sys.stderr.isatty():
        delay = INNER_SECONDS if inner else 0.0
        yield from tqdm(iterable, total=total, desc=what, unit=unit, leave=not inner, delay=delay)
        return
    start = last = time.monotonic()
    for done, item in enumerate(iterable, start=1):
        now = time.monotonic()
        if now - last >= LOG_SECONDS:
            last, rate = now, done / (now - start)
            left = f"{max(total - done, 0) / rate:.0f} s left"
            print(f"{what}: {done}/{total} {unit}s, {rate:.2g} a second, {left}", file=sys.stderr, flush=True)
        yield item
