"""What the code itself must not do with files that it reads."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(file for folder in ("pipeline", "stages", "benchmarks") for file in (ROOT / folder).rglob("*.py"))


def calls(file: Path, name: str) -> list[ast.Call]:
    """Every call of something whose name ends so."""
    return [
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name
    ]


def test_weights_are_read_as_weights_alone() -> None:
    found = [call for file in FILES for call in calls(file, "torch.load")]
    assert found and all("weights_only=True" in ast.unparse(call) for call in found)
    arrays = [ast.unparse(call) for file in FILES for call in calls(file, "np.load")]
    assert arrays and not any("allow_pickle=True" in call for call in arrays)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\nvalue = pickle.loads(b'')\n",
        "import yaml\nvalue = yaml.load('')\n",
        "value = eval('1')\n",
        "exec('1')\n",
        "import subprocess\nsubprocess.run('ls *', shell=True)\n",
        "import os\nos.system(f'ls {__name__}')\n",
        "import tarfile\nwith tarfile.open('a') as archive:\n    archive.extractall('b')\n",
        "import jinja2\npage = jinja2.Environment(autoescape=False)\n",
    ],
)
def test_ruff_refuses_what_could_run_a_file(code: str) -> None:
    """`make lint` is part of `make test`: with these rules on, none of it can be in the code."""
    command = [sys.executable, "-m", "ruff", "check", "--output-format=json", "--stdin-filename=pipeline/odd.py", "-"]
    done = subprocess.run(command, cwd=ROOT, input=code, capture_output=True, text=True, check=False)
    assert any(found["code"].startswith("S") for found in json.loads(done.stdout)), done.stdout
