"""The schema of params.yaml: every number of the pipeline, its meaning and its bounds.

Unknown keys are refused, so that a misspelt `-S` never passes in silence. `load()` is called once a stage.
"""

from pathlib import Path
from typing import Self

from pydantic import ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.params import consistency
from pipeline.params.fields import Fields
from pipeline.work.errors import UserError

# As DVC reads and rewrites the file: YAML 1.2, where `off` is a word and 1e-08 a number, unlike in PyYAML's 1.1.
READER = YAML(typ="safe", pure=True)
MENDING = "mend it, or `git checkout` the one that worked"


class Params(Fields):
    """params.yaml whose sections agree with each other."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for agree in consistency.CHECKS:
            agree(self)
        return self


def load(path: Path | str = "params.yaml") -> Params:
    """Read and check the params file.

    Raises UserError naming the file and the key that is missing, unknown or out of bounds.
    """
    path = Path(path)
    try:
        return check(READER.load(path.read_text("utf-8")), path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run from the repository's root") from None
    except MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        what = " ".join(str(error.problem or error.context).split())
        raise UserError(f"{path}: not valid YAML{where}: {what}; {MENDING}") from None
    except (OSError, ValueError, YAMLError, RecursionError) as error:  # bytes, endless digits, brackets in brackets
        reason = " ".join(str(error).split()).replace(' in "<unicode string>",', " at")
        raise UserError(f"{path}: cannot be read as YAML: {reason}; {MENDING}") from None


def check(values: object, path: Path) -> Params:
    """The params that a file holds. Raises: UserError as `load` does, naming the file."""
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds {'nothing' if values is None else 'no params, name: value'}; {MENDING}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {key + ': ' if key else ''}{first['msg'].removeprefix('Value error, ')}") from None
