"""Which files a user's folder holds, linked folders included: each file once, and a cause for what is left out."""

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.sources.names import readable

Identity = tuple[int, int]  # device and inode: the same for all names of one file or folder
IGNORED = {"thumbs.db", "desktop.ini"}  # what Windows leaves beside pictures; others begin with a dot


@dataclass
class Found:
    """Paths as seen from the folder. files: all of them; links: those that are links; left_out: path -> cause."""

    files: dict[str, Identity] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    left_out: dict[str, str] = field(default_factory=dict)

    def forget(self, paths: Iterable[Path]) -> None:
        """Drop these files, whatever names they have in the folder."""
        gone = {_identity(path.stat()) for path in paths if path.exists()}
        self.files = {file: identity for file, identity in self.files.items() if identity not in gone}

    def lost(self, text: str) -> bool:
        """Whether a path, or a folder above it, was left out: a table that lists it makes no mistake."""
        return any(text == path or text.startswith(f"{path}/") for path in self.left_out)

    def once(self, first: Collection[str] = ()) -> list[str]:
        """Each file under one name, in order: one of `first`, or one that is no link; the others are left out."""
        order = sorted(self.files, key=lambda file: (file not in first, file in self.links, PurePosixPath(file).parts))
        names: dict[Identity, str] = {}
        for file in order:
            kept = names.setdefault(self.files[file], file)
            if kept != file:
                self.left_out[file] = f"another name of {readable(kept)}, which is used"
        return sorted(names.values(), key=lambda file: PurePosixPath(file).parts)


def find(root: Path) -> Found:
    """Every file at any depth of the folder. Links are followed, but no folder is entered twice.

    Hidden files, tables (.csv) and what operating systems leave behind are passed over without a word.
    """
    found = Found()
    entered = {_identity(root.stat()): "."}
    links = list(_walk(root, "", found, entered))
    while links:
        path = links.pop(0)
        try:
            links += _follow(root, path, found, entered)
        except OSError as error:
            found.left_out[path] = _cause(root / path, error)
    return found


def twins(paths: Iterable[Path]) -> dict[Path, Path]:
    """file -> the earlier file with the same bytes: a copy would let one video count as two people's."""
    sizes: dict[int, list[Path]] = {}
    for path in paths:
        sizes.setdefault(path.stat().st_size, []).append(path)
    found: dict[Path, Path] = {}
    for alike in sizes.values():
        first: dict[bytes, Path] = {}
        for path in alike if len(alike) > 1 else ():
            with suppress(OSError), path.open("rb") as file:  # one that may not be read is told of elsewhere
                kept = first.setdefault(hashlib.file_digest(file, "sha256").digest(), path)
                if kept != path:
                    found[path] = kept
    return found


def _walk(root: Path, folder: str, found: Found, entered: dict[Identity, str]) -> Iterator[str]:
    """Note the files of a folder and of those below it; yield the links among them, to be followed later.

    So what lies in the folder itself goes by its own name, not by that of a link to it.
    """
    try:
        with os.scandir(root / folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        found.left_out[folder or "."] = _cause(root / folder, error)
        return
    for entry in inside:
        path = f"{folder}/{entry.name}" if folder else entry.name
        if _aside(entry.name):
            continue
        if entry.is_symlink():
            yield path
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:  # gone meanwhile
            found.left_out[path] = _cause(root / path, error)
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _enter(root, path, _identity(status), found, entered)
        else:
            _note(path, status, found)


def _enter(root: Path, path: str, identity: Identity, found: Found, entered: dict[Identity, str]) -> Iterator[str]:
    if identity in entered:
        found.left_out[path] = f"the same folder as {readable(entered[identity])}, which is looked into"
        return
    entered[identity] = path
    yield from _walk(root, path, found, entered)


def _follow(root: Path, path: str, found: Found, entered: dict[Identity, str]) -> list[str]:
    """The links behind a link."""
    status = (root / path).stat()
    if not stat.S_ISDIR(status.st_mode):
        _note(path, status, found)
        found.links.add(path)
        return []
    if (root / path).resolve() in root.resolve().parents:
        found.left_out[path] = "a link to a folder that holds this one"
        return []
    return list(_enter(root, path, _identity(status), found, entered))


def _note(path: str, status: os.stat_result, found: Found) -> None:
    if stat.S_ISREG(status.st_mode):
        found.files[path] = _identity(status)
    else:
        found.left_out[path] = "no file: a pipe, a socket or a device"


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _cause(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "may not be read: permission denied"
    if path.is_symlink() and isinstance(error, FileNotFoundError):
        return f"a link to {readable(str(path.readlink()))}, which is not there"
    return f"cannot be read: {error.strerror}"


def _aside(name: str) -> bool:
    return name.startswith(".") or name.lower() in IGNORED or name.lower().endswith(".csv")
