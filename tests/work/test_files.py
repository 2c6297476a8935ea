"""Where the repository lies: links in it, and blanks in its path."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.work.errors import UserError
from pipeline.work.files import whole
from stages import _cli

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("out", "refused"), [("data/raw/x", True), ("models/x", False), ("/elsewhere/x", False)])
def test_a_place_behind_a_link_is_refused_before_the_work(
    out: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC would refuse it after. What is not of the repository is nobody's business."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "repository/models").mkdir(parents=True)
    (tmp_path / "repository/data").symlink_to(tmp_path / "disk")
    (tmp_path / "repository/models/x").symlink_to(tmp_path / "disk")  # as DVC links what lies in its cache
    monkeypatch.chdir(tmp_path / "repository")
    monkeypatch.setattr(sys, "argv", ["download", "--out", out])
    monkeypatch.setattr(sys, "stdin", None)  # as where it is closed
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    worked: list[Path] = []

    def work(arguments: argparse.Namespace) -> str:
        worked.append(arguments.out)
        return "done"

    if refused:
        with pytest.raises(SystemExit, match=r"download: data: a link to .*disk, and DVC keeps nothing"):
            _cli.run(parser, work)
    else:
        _cli.run(parser, work)
    assert bool(worked) != refused and sys.stdin is not None


def test_make_works_where_the_path_has_blanks_and_says_where_it_cannot(tmp_path: Path) -> None:
    """With tools that only note that they were called."""
    for name in ("a b 'c' #d %e", "f:g"):
        folder = tmp_path / name
        (folder / ".venv/bin").mkdir(parents=True)
        for file in ("Makefile", "requirements.lock", "pyproject.toml"):
            (folder / file).write_bytes((ROOT / file).read_bytes())
        for tool in ("ruff", "mypy", "lint-imports", "python"):
            (folder / ".venv/bin" / tool).write_text(f'#!/bin/sh\necho "{tool} $*" >>called.txt\n')
            (folder / ".venv/bin" / tool).chmod(0o755)

    def make(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "--no-print-directory", *arguments]
        return subprocess.run(command, cwd=tmp_path / name, capture_output=True, text=True, check=False)

    folder = tmp_path / "a b 'c' #d %e"
    (folder / ".venv/.synced").touch()
    done = make(folder.name, "lint", "repro", "JOBS=2")
    assert done.returncode == 0, done.stderr
    called = (folder / "called.txt").read_text().splitlines()
    assert called[:2] == ["ruff check .", "ruff format --check ."]
    assert called[-1] == "python -m pipeline.jobs --jobs 2"
    told = make("f:g", "setup")
    assert told.returncode and "a colon in the path" in told.stdout and not os.path.exists(tmp_path / "f:g/.uv")  # noqa: PTH110


@pytest.mark.parametrize("version", [(3, 10), (3, 15)])
def test_make_says_which_python_it_needs(version: tuple[int, int], tmp_path: Path) -> None:
    for file in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    python = tmp_path / "python"
    python.write_text(f"""#!/bin/sh\nexec "{sys.executable}" -c "import sys; sys.version_info = {version}; $2"\n""")
    python.chmod(0o755)
    command = ["make", f"PYTHON={python}", "setup"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode and "Python 3.11 to 3.14 is needed" in done.stderr and not (tmp_path / ".venv").exists()


def test_a_pipe_or_a_device_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: a device or a pipe"), whole(tmp_path / "pipe") as part:
        part.write_text("x")
    assert (tmp_path / "pipe").is_fifo() and len(list(tmp_path.iterdir())) == 1
