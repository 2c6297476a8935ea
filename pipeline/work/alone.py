"""A stage outlives neither the dvc that started it nor shares its outs with another process.

Where dvc alone is killed, as by the kernel when memory runs out, its stage would work on; the next `dvc repro` deletes
the outs and starts the same stage again, and two processes would write into one folder.
"""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.work import disk
from pipeline.work.errors import UserError

STARTED_BY_DVC = "DVC_STAGE"  # dvc sets it for each stage
SECONDS = 0.5  # between two looks


def end_with_parent() -> None:
    """End this process soon after the one that started it, where that is dvc. One started by hand goes on."""
    if STARTED_BY_DVC not in os.environ:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Be the only process of this machine that writes `out`; the kernel frees it from a process that is killed.

    Raises: UserError where another one does, for what was deleted for this one may already be there again.
    """
    place = hashlib.sha256(os.fsencode(out.absolute())).hexdigest()[:16]
    lock = FileLock(Path(os.environ.get("DVC_ROOT", "."), ".scratch", f"lock-{place}"), timeout=0)
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{out}: another process still writes it (a stage whose dvc was killed?); wait until it has ended, or end "
            "it, and run again"
        ) from None
    except OSError as error:
        raise disk.barred(error) or error from None
    try:
        yield
    finally:
        lock.release()
