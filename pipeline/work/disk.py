"""Room on the disk: asked for before long work starts, and told plainly where it runs out on the way."""

import errno
import shutil
from pathlib import Path

from pipeline.work.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = ("No space left on device", "Disk quota exceeded")  # ffmpeg's
MENDING = "free some space and run again: what is done is kept"


def require(folder: Path, need: int, what: str) -> None:
    """Refuse to start `what` where the file system of `folder`, which need not exist yet, has less than `need` bytes.

    Raises: UserError that names the folder, the need and the space that is free.
    """
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if need > free:
        raise UserError(f"{folder}: {what} needs about {_size(need)}, but only {_size(free)} are free there; make room")


def full(error: OSError) -> UserError | None:
    """What to tell the user where `error` says that a disk is full; None for other errors."""
    if error.errno not in FULL:
        return None
    return UserError(f"{error.filename or 'writing'}: {error.strerror}: {MENDING}")


def full_in(log: str) -> UserError | None:
    """The same from a program's log."""
    return next((UserError(f"ffmpeg: {words}: {MENDING}") for words in FULL_WORDS if words in log), None)


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
