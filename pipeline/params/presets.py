"""A preset over params.yaml: python -m pipeline.params.presets faceforensics (or make preset NAME=faceforensics)

presets/<name>.yaml holds what differs from the sample, and why. What comes out is the whole params.yaml with its
comments: `dvc exp run -S` and the reader find every number in one file. `git restore params.yaml` is the way back.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, MutableMapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.params.schema import READER, Params, check
from pipeline.work.errors import UserError
from pipeline.work.files import whole

PARAMS, PRESETS = Path("params.yaml"), Path("presets")


def apply(name: str, params: Path = PARAMS, presets: Path = PRESETS) -> str:
    """Write the params with the preset's values in their places, and tell in a line how to come back.

    Raises: UserError for a preset that is not there, a key or value that the schema refuses, and where the file has
    changes that are not committed: another preset's, or the user's own, which would be mixed or lost.
    """
    if _changed(params):
        raise UserError(f"{params}: has changes; commit them, or undo them with `git restore {params}`, then run again")
    merged = text(name, params, presets)
    with whole(params) as part:
        part.write_text(merged)
    return f"{params} is now {presets / name}.yaml over the sample; `git restore {params}` brings the sample back"


def read(name: str, root: Path = Path()) -> Params:
    """The params with a preset in them. root: the repository's. Raises: UserError as above."""
    presets = root / PRESETS
    return _checked(text(name, root / PARAMS, presets), presets / f"{name}.yaml")


def text(name: str, params: Path = PARAMS, presets: Path = PRESETS) -> str:
    """The whole params file with the preset in it. Raises: UserError as above."""
    file = presets / f"{name}.yaml"
    try:
        head = "".join(f"{line}\n" for line in file.read_text().splitlines() if line.startswith("#"))
    except FileNotFoundError:
        known = ", ".join(sorted(path.stem for path in presets.glob("*.yaml")))
        raise UserError(f"{file}: no such preset; there are {known}") from None
    yaml = YAML()  # keeps comments, quotes and the order of keys
    yaml.preserve_quotes, yaml.width = True, 4096
    yaml.representer.add_representer(type(None), _null)
    try:
        base, changes = yaml.load(params.read_text()), yaml.load(file.read_text())
    except YAMLError as error:
        raise UserError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(changes, Mapping):
        raise UserError(f"{file}: holds no params: it needs lines such as `train: {{epochs: 3}}`")
    _merge(base, changes)
    out = StringIO()
    yaml.dump(base, out)
    _, _, body = out.getvalue().partition("\n\n")  # in place of the sample's own heading
    merged = f"{head}# The sample again: git restore {params.name}\n\n{body}"
    _checked(merged, file)
    return merged


def _checked(merged: str, file: Path) -> Params:
    try:
        return check(READER.load(merged), file)
    except YAMLError as error:  # such as a tag, which the reader that keeps comments lets pass
        raise UserError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None


def _null(representer: Any, value: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")  # not as nothing at all


def _merge(base: MutableMapping[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), MutableMapping):
            _merge(base[key], value)
        else:
            base[key] = value


def _changed(params: Path) -> bool:
    try:
        command = ["git", "status", "--porcelain", "--", str(params)]
        return bool(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository: nothing to compare with
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of a file in presets/, without .yaml")
    try:
        print(apply(parser.parse_args().name))
    except UserError as error:
        sys.exit(f"presets: {error}")


if __name__ == "__main__":
    main()
