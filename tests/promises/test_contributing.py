"""The recipes in CONTRIBUTING.md against the files that they change: where a line has moved on, a recipe fails."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIFFS = re.findall(r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
PARTS = [
    pytest.param(file, lines.splitlines(), id=f"{number}-{file}")
    for number, diff in enumerate(DIFFS)
    for file, lines in re.findall(r"^--- a/(\S+)\n(.*?)(?=^--- a/|\Z)", diff, re.DOTALL | re.MULTILINE)
]


def squeezed(line: str) -> str:
    return " ".join(line.split())


def applied(text: str, part: list[str], file: str) -> str:
    """The file with the recipe's lines in it, each after the line that is above it there."""
    found, at = text.splitlines(), 0
    for line in part:
        sign, words = line[:1], line[1:]
        if sign == "+":
            found.insert(at, words)
            at += 1
            continue
        places = [n for n, old in enumerate(found) if n >= at and squeezed(old) == squeezed(words)]
        assert places, f"{file} has no line {words.strip()!r} there"
        at = places[0]
        if sign == "-":
            del found[at]
        else:
            at += 1
    return "\n".join(found) + "\n"


def test_there_are_five_recipes() -> None:
    assert len(DIFFS) == 5 and len(PARTS) > 12


@pytest.mark.parametrize("file, part", PARTS)
def test_a_recipe_fits_its_files(file: str, part: list[str]) -> None:
    """Its lines are there. One that is not in the history yet can be applied, and is as `make lint` wants it."""
    text = (ROOT / file).read_text()
    there = {squeezed(line) for line in text.splitlines()}
    if all(squeezed(line[1:]) in there for line in part if not line.startswith("-")):  # as kd is
        return
    made = applied(text, part, file)
    if file.endswith(".py"):
        ruff = [str(Path(sys.executable).with_name("ruff")), "format", "--check", "--stdin-filename", file, "-"]
        ran = subprocess.run(ruff, input=made, capture_output=True, text=True, cwd=ROOT)
        assert ran.returncode == 0, ran.stdout + ran.stderr
