"""Writing files so that they are whole or absent, reading the tables of earlier stages, and what paths stand for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.work.errors import UserError

if TYPE_CHECKING:
    import pandas as pd  # loaded where it is used: workers that only encode start half a second earlier


def located(path: str) -> Path:
    """The place that a param names; a relative one starts at the repository, also in `dvc exp run --temp`."""
    return Path(os.environ.get("DVC_ROOT", "."), Path(path).expanduser())


def require_own_folder(out: Path) -> None:
    """Refuse a place of the repository's that lies behind a link: DVC would, after the work is done.

    Raises: UserError that names the link, and what to do for another disk.
    """
    for folder in () if out.is_absolute() else out.parents:
        if folder.is_symlink():
            raise UserError(
                f"{folder}: a link to {folder.readlink()}, and DVC keeps nothing that lies behind a link: put the "
                "whole repository there, or mount the disk here, or see docs/data.md for its cache alone"
            )


def is_stream(path: Path) -> bool:
    """/dev/null, a named pipe, a shell's >(command): written to, never replaced by a file."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, renamed to it on success and removed on any error.

    Raises: UserError where `path` is a device or a pipe: to root the rename would succeed, and /dev/null be a file.
    """
    if is_stream(path):
        raise UserError(f"{path}: a device or a pipe, no file that can be written anew")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)  # an encoder of a run that was killed may still write to it
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`, put in its place on success and removed on any error."""
    part = path.with_name(f"{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        shutil.rmtree(path, ignore_errors=True)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def read_parquet(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A table that an earlier stage left, which must have these columns.

    Raises: UserError where it is not there, or no such table.
    """
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro` to make it") from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable table ({reason}); delete it and run `dvc repro`") from None
    if missing := [column for column in columns if column not in table]:
        raise UserError(f"{path}: lacks the columns {', '.join(missing)}; delete it and run `dvc repro`")
    return table


def link(source: Path, target: Path) -> None:
    """Give `source` a second name `target` without taking space: a hard link, else a symbolic one, else a copy.

    A hard link keeps the content although the first name goes; a symbolic one reaches other file systems.
    """
    source = source.resolve()
    with whole(target) as part:
        for way in (os.link, os.symlink):
            with suppress(OSError):
                way(source, part)
                return
        shutil.copyfile(source, part)
