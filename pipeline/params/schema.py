"""The schema of params.yaml: every number of the pipeline, its meaning and its bounds.

Unknown keys are refused, so that a misspelt `-S` never passes in silence. `load()` is called once a stage.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.params import consistency
from pipeline.params.fields import Fields
from pipeline.work.errors import UserError

# As DVC reads and rewrites the file: YAML 1.2, where `off` is a word and 1e-08 a number, unlike in PyYAML's 1.1.
READER = YAML(typ="safe", pure=True)
PLAIN = {"tuple_type": "must be a list, such as [0]", "model_type": "must be a section with keys below it"}
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
        raise UserError(f"{path}: {_fault(error.errors())}") from None


def _fault(found: Sequence[ErrorDetails]) -> str:
    """The first fault, with its key. A key that is not known comes first: misspelt, it is why another is missing."""
    first = next((fault for fault in found if fault["type"] == "extra_forbidden"), found[0])
    key = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        alike = get_close_matches(str(first["loc"][-1]), _known(first["loc"][:-1]), n=1)
        said = "no such param" + (f"; is {alike[0]} meant?" if alike else "")
    elif first["type"] in PLAIN:
        said = PLAIN[first["type"]]
    return f"{key}: {said}" if key else said


def _known(section: Sequence[int | str]) -> list[str]:
    """The keys of a section, such as ("add", "frequency"); of one without a schema of its own none."""
    model: Any = Params
    for part in section:
        model = getattr(model, "model_fields", {}).get(part)
        model = model and model.annotation
    return list(getattr(model, "model_fields", {}))
