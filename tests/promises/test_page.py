"""docs/promises.md against the tests that it names."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/promises.md").read_text()
NAMED = re.compile(r"(tests/[\w/]+\.py)::(\w+)")


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE)
    missing = [
        f"{file}::{name}" for file, name in named if not (ROOT / file).is_file() or name not in functions_of(file)
    ]
    assert named and not missing


def test_every_promise_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(rows) > 30 and all(NAMED.search(row) for row in rows)
