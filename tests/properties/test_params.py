"""Whatever is set in params.yaml: it is a schema's object, or one line that says why not."""

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.params.cells import expected
from pipeline.params.schema import READER, Params, check, load
from pipeline.work.errors import UserError
from tests.aids.report_fixture import ROOT

TEXT = (ROOT / "params.yaml").read_text()
GOOD: dict[str, Any] = READER.load(TEXT)


def keys(section: dict[str, Any], before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in section.items():
        found += [(*before, key), *(keys(value, (*before, key)) if isinstance(value, dict) else [])]
    return found


WORDS = st.sampled_from(["original", "faceswap", "c40", "add", "off", "h264-40"])
NUMBERS = st.one_of(st.integers(), st.sampled_from([0, 1, 2, 3, -1, 10**20]), st.floats())
SIMPLE = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5), WORDS)
VALUES = st.one_of(SIMPLE, st.lists(SIMPLE, max_size=3), st.dictionaries(st.text(max_size=5), SIMPLE, max_size=2))


def outcome(call: Any) -> Params | None:
    """The params, or None where one line refuses them; anything else is a failure."""
    try:
        params = call()
    except UserError as error:
        assert str(error).startswith("params.yaml: ") or "/params.yaml: " in str(error)
        assert "\n" not in str(error) and len(str(error)) < 2000
        return None
    assert isinstance(params, Params)
    return params


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(keys(GOOD)), VALUES), min_size=1, max_size=3))
def test_any_override_is_taken_or_refused_in_one_line(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    values = copy.deepcopy(GOOD)
    for key, value in changes:
        section: Any = values
        for part in key[:-1]:
            section = section.get(part, {}) if isinstance(section, dict) else {}
        if isinstance(section, dict):
            section[key[-1]] = value
    params = outcome(lambda: check(values, Path("params.yaml")))
    if params is not None:
        assert check(params.model_dump(), Path("params.yaml")) == params  # as it is shown in the report
        expected(params)


@settings(max_examples=12)
@given(st.integers(0, len(TEXT) - 1), st.integers(0, 30), st.text(max_size=4))
def test_any_slip_of_the_pen_is_taken_or_refused_in_one_line(at: int, lost: int, put: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "params.yaml")
        path.write_bytes((TEXT[:at] + put + TEXT[at + lost :]).encode("utf-8", "surrogatepass"))
        outcome(lambda: load(path))


@settings(max_examples=30)
@given(st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)))
def test_any_other_file_is_refused_in_one_line(values: Any) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "params.yaml")
        path.write_text(yaml.safe_dump(values), "utf-8")
        assert outcome(lambda: load(path)) is None
