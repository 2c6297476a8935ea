"""A stage ends when what started it does, and no two processes write the same outs.

Where dvc alone is killed, as by the kernel when memory runs out, or `make repro` alone, their stages would go on. The
next `dvc repro` deletes the outs and starts the stage again: two processes would then write into one folder.
"""

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from pipeline.work import disk
from pipeline.work.errors import UserError

STARTED_BY_DVC = "DVC_STAGE"  # dvc sets it for each stage
STARTED_BY_JOBS = "ADD_JOBS"  # the number of the process that runs stages side by side, which it sets for each
SECONDS = 0.5  # between two looks


def end_with_parent() -> None:
    """End this process soon after the dvc, or the `make repro`, that started it. One started by hand goes on."""
    if STARTED_BY_DVC not in os.environ:
        return
    above = _up_to_dvc()

    def watch() -> None:
        while _up_to_dvc() == above and _runs(os.environ.get(STARTED_BY_JOBS)):
            time.sleep(SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _up_to_dvc() -> list[int]:
    """The numbers of the processes above this one. dvc starts a stage by a shell, and some shells stay between them,
    such as dash, which is there where SHELL is not set: those have the variable that dvc sets, and dvc has not."""
    above = [os.getppid()]
    with suppress(psutil.Error):  # somebody else's, or one that ends right now
        while (process := psutil.Process(above[-1])).environ().get(STARTED_BY_DVC) == os.environ[STARTED_BY_DVC]:
            above.append(process.ppid())
    return above


def _runs(number: str | None) -> bool:
    """Whether the process with this number has not ended; also where there is no number."""
    try:
        return number is None or psutil.Process(int(number)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Be the only process of this machine that writes `out`. The lock of a process that is killed ends with it.

    Raises: UserError where another process has the lock: waiting for it would mix its files with ours.
    """
    place = hashlib.sha256(os.fsencode(out.absolute())).hexdigest()[:16]
    path = Path(os.environ.get("DVC_ROOT", "."), ".scratch", f"lock-{place}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise disk.barred(error) or error from None
    with file:
        if not _held(file, path):
            raise UserError(
                f"{out}: another process still writes it (a stage whose dvc was killed?); wait until it has ended, or "
                "end it, and run again"
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _held(file: IO[str], path: Path) -> bool:
    """Whether the lock on the file is ours now, and the file still the one at this path: its last holder removed it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False
