"""Room on the disk, and the right to write there: asked for before long work starts, told plainly where it ends."""

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from pipeline.work.errors import UserError

ROOM = "free some space"
FULL = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EROFS: "mount it to be written to",
}
DENIED = {
    errno.EACCES: "change its owner or permissions",
    errno.EPERM: "change its owner or permissions",
    errno.EEXIST: "a file is in the way of a folder: remove it",
    errno.ENOTDIR: "a file is in the way of a folder: remove it",
}
MENDING = "and run again: what is done is kept"


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
    """What to tell the user where `error` says that a disk takes no more; None for other errors."""
    return _told(error, FULL)


def barred(error: OSError) -> UserError | None:
    """The same also where `error` says that the user may not do it. Of one video that would be the video's fault."""
    return _told(error, FULL | DENIED)


def full_in(log: str) -> UserError | None:
    """`full` from a program's log."""
    words = {os.strerror(code): mending for code, mending in FULL.items()}
    return next((UserError(f"ffmpeg: {said}: {words[said]} {MENDING}") for said in words if said in log), None)


def _told(error: OSError, mending: Mapping[int, str]) -> UserError | None:
    if (code := error.errno) is None or code not in mending:
        return None
    return UserError(f"{error.filename or 'writing'}: {error.strerror}: {mending[code]} {MENDING}")


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
