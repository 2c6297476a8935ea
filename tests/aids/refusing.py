"""A stage started as `python -m stages.x` is, in this process, on input that it must refuse."""

import io
import re
import runpy
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path

import pytest

Spoil = Callable[[Path], object]


@dataclass(frozen=True)
class Bad:
    """One malformed input: what it is, how a good folder is spoilt, and what the line that refuses it must hold."""

    what: str
    spoil: Spoil
    says: str
    changes: Mapping[str, object] = field(default_factory=dict)  # of params

    def __str__(self) -> str:
        return self.what


def write(name: str, content: str | bytes) -> Spoil:
    """Spoil by a file with this content."""

    def spoil(folder: Path) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return spoil


def refusal(folder: Path, stage: str, *arguments: object, begun: str = "") -> str:
    """The line with which a stage that is started in `folder` ends.

    It must end with exit status 1, one line, no traceback, and the folder as it was: nothing lost, nothing half-made.
    begun: an out of which whole files may be there.
    """
    before, errors = snapshot(folder, begun), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(errors), pytest.raises(SystemExit) as ended:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        patch.delitem(sys.modules, f"stages.{stage}", raising=False)
        patch.setattr(sys, "argv", [f"stages/{stage}.py", *map(str, arguments)])
        runpy.run_module(f"stages.{stage}", run_name="__main__", alter_sys=True)
    line = ended.value.code
    assert isinstance(line, str), f"exit status {line}: {errors.getvalue()}"  # a string is status 1, and goes to stderr
    assert line.startswith(f"{stage}: ") and "\n" not in line and "Traceback" not in line + errors.getvalue()
    assert len(line) < 1000 and not re.search(r"pydantic|errors\.|<unicode string>|0x[0-9a-f]{6}", line), line
    assert snapshot(folder, begun) == before, "something was lost or left"
    return line


def snapshot(folder: Path, begun: str = "") -> dict[str, bytes]:
    """Every file below a folder, but what goes on after a kill, and whole files of an out that was begun."""
    files = (path for path in sorted(folder.rglob("*")) if not {".scratch", begun or ".scratch"} & {*path.parts})
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in files}
