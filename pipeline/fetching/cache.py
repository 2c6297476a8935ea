"""Fetch a file once for all clones on the machine: out of a package's archive on the user's index, or from an address.

Nothing of a package is installed or run. What is kept has the sha256 that our tables pin, whoever served it.
"""

import hashlib
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from filelock import FileLock
from pypi_simple import NoSuchProjectError, PyPISimple, UnsupportedContentTypeError

from pipeline.fetching.index import indexes, open_session, shown
from pipeline.fetching.transfer import PIECE, TIMEOUT, Unavailable, discard, download, retry
from pipeline.work.errors import UserError
from pipeline.work.files import whole

UNPACKING = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Archive:
    """A file of a package on an index: a wheel or a source archive."""

    package: str
    version: str
    file: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class Member:
    """A file inside an archive, by its whole path there."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


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
                _from_indexes(archive, package)
                for member in missing:
                    _extract(package, member, folder / member.name)
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


def _from_indexes(archive: Archive, target: Path) -> None:
    failures: list[str] = []
    for index in indexes():
        try:
            _from_index(index, archive, target)
            return
        except (Unavailable, NoSuchProjectError, UnsupportedContentTypeError) as error:
            failures.append(f"{shown(index)}: {error}")
    raise Unavailable(" | ".join(failures) or "no package index over http(s) is configured")


def _from_index(index: str, archive: Archive, target: Path) -> None:
    session = open_session(index)
    with PyPISimple(shown(index), session=session) as client:
        page = retry(lambda: client.get_project_page(archive.package, timeout=TIMEOUT))
        found = next((each for each in page.packages if each.filename == archive.file), None)
        if found is None:
            raise Unavailable(f"{archive.file} is not there")
        url = found.url
        download(session, url, target, f"fetch {archive}")
    _check(target, archive.sha256, archive.file)


def _extract(archive: Path, member: Member, target: Path) -> None:
    """Copy one regular file out of the archive to `target`: no other name of the archive reaches the disk."""
    try:
        with _member(archive, member.path) as source, whole(target) as part:
            with part.open("wb") as file:
                while piece := source.read(PIECE):
                    file.write(piece)
            _check(part, member.sha256, member.path)
    except (*UNPACKING, RuntimeError) as error:  # the last one: a password, or a method that is not known
        raise Unavailable(f"not a readable archive ({type(error).__name__})") from error


@contextmanager
def _member(archive: Path, path: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            if path not in packed.namelist():
                raise Unavailable(f"the archive holds no {path}")
            with packed.open(path) as file:
                yield file
        return
    with tarfile.open(archive) as tar:
        entry = next((each for each in tar if each.name == path and each.isreg()), None)
        content = tar.extractfile(entry) if entry else None
        if content is None:
            raise Unavailable(f"the archive holds no file {path}")
        with content:
            yield content


def _holds(path: Path, sha256: str) -> bool:
    return path.is_file() and _sha256(path).startswith(sha256)


def _check(path: Path, sha256: str, what: str) -> None:
    if not (found := _sha256(path)).startswith(sha256):
        raise Unavailable(f"{what} is not the file expected: sha256 {found}, not {sha256}")


def _keep(part: Path, sha256: str, path: Path) -> None:
    try:
        _check(part, sha256, path.name)
    except Unavailable:
        discard(part)
        raise
    part.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
