"""Names from params.yaml in dvc.yaml's command lines, which DVC gives to a shell as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.jobs.graph import SAME
from pipeline.params.schema import READER, check
from pipeline.work.errors import UserError
from tests.aids.clone import clone

ROOT = Path(__file__).parents[2]
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
CHECKED = "data/checked.txt"  # the out of the stage check
HOSTILE = ("x; ls", "$(ls)", "`ls`", "x\nls", "x|y", "a b", "../x", "x'", "-y;", "")
NUMBERS = ("folds", "grid.seeds", "teacher.seed", "export.seed")


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\$\{([^}]*)\}", text))


def params_in_commands() -> set[str]:
    """The params whose values reach a command line, through a matrix or straight."""
    found: set[str] = set()
    for stage in GRAPH.values():
        for name in names_in(stage["cmd"]):
            head, _, axis = name.partition(".")
            values = stage["matrix"][axis.split(".")[0]] if head == "item" else f"${{{name}}}"
            for value in values if isinstance(values, list) else [values]:
                found |= names_in(value)
    return found


def test_a_stage_whose_names_no_file_bears_waits_for_the_check() -> None:
    """A name that is part of a dependency's path ends at a file that is not there; any other must be checked before."""
    for name, stage in GRAPH.items():
        unproved = names_in(stage["cmd"]) - names_in(" ".join(stage["deps"]))
        assert not unproved or CHECKED in stage["deps"], f"{name}: add {CHECKED} to its deps for {sorted(unproved)}"
    assert GRAPH["check"]["outs"] == [CHECKED] and not names_in(GRAPH["check"]["cmd"])
    assert GRAPH["check"]["params"] == [{"params.yaml": None}] and GRAPH["check"]["meta"] == {"leaves": SAME}


@pytest.mark.parametrize("name", sorted(params_in_commands()))
def test_the_schema_refuses_what_a_shell_would_run(name: str) -> None:
    *parents, last = name.split(".")
    params: Any = READER.load((ROOT / "params.yaml").read_text())
    section = params
    for parent in parents:
        section = section[parent]
    good = section[last]
    for value in HOSTILE:
        if name == "elsewhere":
            section[last] = [{"name": value, "shards": "x"}]
        else:
            section[last] = [*good, value] if isinstance(good, list) else value
        where = "|".join((last, "chains", "stress"))
        with pytest.raises(UserError, match=where) as refused:
            check(params, Path("params.yaml"))
        if name not in NUMBERS and name != "stress.degradations":
            assert "should match pattern" in str(refused.value), value  # for its letters, whatever else is wrong


def test_a_hostile_params_file_runs_nothing(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone", {"published": ["original", "x; touch pwned"], "sets": ["$(touch pwned)"]})
    command = [sys.executable, "-m", "dvc", "repro"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "check: params.yaml: published.1" in done.stderr, done.stderr
    assert re.findall("Running stage '(.*)'", done.stdout) == ["check"]
    assert not list(folder.rglob("*pwned*")) and not (folder / "data/raw").exists()
