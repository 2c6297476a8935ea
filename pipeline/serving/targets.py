"""Where pages and annotated versions are written, and a check before any work that every output can be."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.serving import photos
from pipeline.serving.inputs import shown
from pipeline.work.errors import UserError, VideoError
from pipeline.work.files import is_stream

NAME_BYTES = 200  # of a file's name, which may have 255 with what is added to it
OUTPUT = Path("-")  # standard output
STANDARD = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def targets(target: Path | None, files: Sequence[Path], option: str) -> list[Path | None]:
    """Where the page or the annotated version of each file goes: `target` itself for one file, else into it."""
    if target is None:
        return [None] * len(files)
    endings = [".html" if option == "--page" else annotated_ending(file) for file in files]
    if len(files) == 1 and target.suffix and not target.is_dir():
        if target.suffix.lower() != endings[0]:
            raise UserError(f"{option} {shown(target)}: must end in {endings[0]} for {shown(files[0])}")
        return [target]
    if target.suffix in (".html", ".mp4", ".png") and not target.is_dir():
        raise UserError(f"{option} {shown(target)}: there are {len(files)} files; name a folder")
    stems = [_short(file.stem) for file in files]
    often = max(Counter(stem.lower() for stem in stems).values(), default=1)
    names = stems if often == 1 else [f"{n:04d}-{stem}" for n, stem in enumerate(stems)]
    return [target / f"{name}{ending}" for name, ending in zip(names, endings, strict=True)]


def annotated_ending(file: Path) -> str:
    """.png for a photo, .mp4 for everything else."""
    try:
        return ".png" if photos.look(file) is not None else ".mp4"
    except (VideoError, OSError):
        return ".mp4"  # of this file there will be none


def require_places(files: Sequence[Path], outputs: Mapping[str, Sequence[Path | None]]) -> None:
    """Raises: UserError where an output, given by its option, would be written over a file that is judged, over another
    output, or where nothing can be written."""
    read = {identity for file in files if (identity := _identity(file)) is not None}
    taken: dict[Path, str] = {}
    folders: set[Path] = set()
    for option, paths in outputs.items():
        for path in paths:
            if path is None:
                continue
            if (other := taken.setdefault(path.absolute(), option)) != option:
                raise UserError(f"{other} and {option}: cannot both be written to {shown(path)}")
            if path == OUTPUT or (option in ("--json", "--csv") and is_stream(path) and os.access(path, os.W_OK)):
                continue
            if _identity(path) in read:
                raise UserError(f"{option} {shown(path)}: is one of the files to judge, and would be written over")
            if path.is_dir():
                raise UserError(f"{option} {shown(path)}: is a folder; name a file")
            if path.parent not in folders:
                _require_writable(path.parent, option)
                folders.add(path.parent)


def output(name: str) -> Path:
    """The place of a table; standard output by any of its names is `-`, for lines must not go there too."""
    return OUTPUT if name in STANDARD else Path(name)


def _require_writable(folder: Path, option: str) -> None:
    there = folder.absolute()
    while not there.exists() and not there.is_symlink():
        there = there.parent
    if not there.is_dir():
        raise UserError(f"{option} {shown(folder)}: {shown(there)} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{option} {shown(folder)}: {shown(there)} may not be written to: permission denied")


def _identity(path: Path) -> tuple[int, int] | None:
    """The same for all names of one file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _short(stem: str) -> str:
    data = os.fsencode(stem)
    return stem if len(data) <= NAME_BYTES else os.fsdecode(data[:NAME_BYTES])
