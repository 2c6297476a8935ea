"""Where a stage that was killed goes on: what its videos gave, kept in a scratch folder until the stage is done.

DVC deletes a stage's outs before it runs, so the folder lies outside them. A result is there whole or not at all. The
process that worked it out writes it, also on another node of a cluster: only the videos in work are lost by a kill.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.work import disk, kept
from pipeline.work.errors import NothingUsable
from pipeline.work.files import whole

DONE = ".npz"
CODE = "pipeline."


class Scratch:
    """The results of a stage's videos, in .scratch/<stage>-<key>/ of the main checkout (DVC_ROOT).

    The key is a hash of the settings, of the inputs (each file's path, size and time of change), of `out` and of the
    code that the stage has loaded: a run with anything else never goes on from it, and removes what it finds of
    another run with the same `out`. Used as a context, it removes the folder at the end. After an error it keeps it, so
    that the next run goes on, unless the error is NothingUsable.
    """

    def __init__(self, stage: str, out: Path, settings: Mapping[str, Any], inputs: Iterable[Path]) -> None:
        digest = hashlib.sha256(repr(sorted(settings.items())).encode())
        for path in inputs:
            digest.update(repr(_stamps(path)).encode())
        digest.update(code())
        place = hashlib.sha256(os.fsencode(out.absolute())).hexdigest()[:8]
        root = scratch_root()
        self.folder = root / f"{stage}-{place}{digest.hexdigest()[:16]}"
        for old in root.glob(f"{stage}-{place}*"):
            if old != self.folder:
                shutil.rmtree(old, ignore_errors=True)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None or issubclass(kind, NothingUsable):
            shutil.rmtree(self.folder, ignore_errors=True)

    def done(self) -> set[str]:
        """The names of the videos whose results are kept."""
        return {path.name.removesuffix(DONE) for path in self.folder.glob(f"*{DONE}")}

    def require_room(self, need: int, what: str) -> None:
        """Refuse to start `what`, or to go on, where the disk lacks room for `need` bytes less what is kept already.

        Raises: UserError, as disk.require.
        """
        kept = sum(path.stat().st_size for path in self.folder.iterdir())
        disk.require(self.folder, need - kept, what)

    def place(self, name: str) -> Path:
        """The file of the result of one video."""
        return self.folder / f"{name}{DONE}"

    def link(self, file: str, folder: Path) -> None:
        """Let a file that a video's work left here appear in `folder` too: a kill or DVC may delete that folder."""
        with whole(folder / file) as part:
            try:
                part.hardlink_to(self.folder / file)
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(self.folder / file, part)


def code(rooms: tuple[str, ...] = (CODE,)) -> bytes:
    """A hash of the modules that are loaded, of the rooms whose names begin so, and of the stage that loaded them."""
    files = {str(module.__file__) for name, module in sys.modules.items() if name.startswith(rooms) and module.__file__}
    stage = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    if stage.parent.name == "stages":
        files.add(str(stage))
    # On a node of a cluster the stage is no main program.
    stages = (module for name, module in sys.modules.items() if name.startswith("stages.") and "._" not in name)
    files |= {str(module.__file__) for module in stages}
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(Path(file).read_bytes())
    return digest.digest()


class Findings:
    """What was found out about files, for any stage that asks again while neither the files nor the code have changed.

    In .scratch/<what>-<code>/, some hundred bytes a finding. It stays when a stage is done.
    """

    def __init__(self, what: str, files: Mapping[str, Sequence[Path]]) -> None:
        """files: name of a finding -> the files that it is about, one or a few."""
        root = scratch_root()
        self.folder = root / f"{what}-{code().hex()[:16]}"
        for old in root.glob(f"{what}-*"):
            if old != self.folder:
                shutil.rmtree(old, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        stamps = {
            name: repr([(str(path.absolute()), _stamps(path)) for path in paths]) for name, paths in files.items()
        }
        self._keys = {name: hashlib.sha256(os.fsencode(stamp)).hexdigest()[:32] for name, stamp in stamps.items()}

    def done(self) -> set[str]:
        """The names of the findings that are there."""
        known = {path.name.removesuffix(DONE) for path in self.folder.glob(f"*{DONE}")}
        return {name for name, key in self._keys.items() if key in known}

    def place(self, name: str) -> Path:
        """The file of one finding."""
        return self.folder / f"{self._keys[name]}{DONE}"

    def forget(self, name: str) -> None:
        """Have it found out again the next time: what was wrong may have been mended outside the files."""
        self.place(name).unlink(missing_ok=True)


def store(place: Path, result: object) -> None:
    """Keep the result of one video."""
    with whole(place) as part:
        part.write_bytes(kept.pack(result))


def load(place: Path, function: Callable[..., Any]) -> Any:
    """What `store` kept of what `function` returned.

    Raises: LookupError where the file is damaged, as it may be after a loss of power, or not of this program.
    """
    try:
        return kept.unpack(place.read_bytes(), function)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"{place}: damaged ({reason}); the video is done again", file=sys.stderr)
        raise LookupError from error


def scratch_root() -> Path:
    """Where runs keep what is needed to go on, and what is of no use after them: in the main checkout."""
    return Path(os.environ.get("DVC_ROOT", ".")).absolute() / ".scratch"


def _stamps(path: Path) -> list[tuple[str, int, int]]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    stats = {str(file): file.stat() for file in files if file.exists()}
    return [(file, stat.st_size, stat.st_mtime_ns) for file, stat in stats.items()]
