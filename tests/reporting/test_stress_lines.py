"""How the lines of the stress figures look."""

from types import SimpleNamespace
from typing import Any

from pipeline.reporting.figures.stress_lines import looks
from pipeline.reporting.robustness import Line


def test_the_strongest_compression_is_drawn_through_whatever_its_name() -> None:
    """By its rate factor: as text, c9 stands behind c40."""
    stressed: Any = SimpleNamespace(crf={"c9": 9, "c40": 40})
    lines = [Line("teacher", "net", "raw"), *(Line("add", "net", name) for name in ("c9", "c40", "all"))]
    found = looks(stressed, lines)
    assert [found[line]["linestyle"] for line in lines] == ["-.", "--", "-", ":"]
    assert (
        len({found[line]["color"] for line in lines[1:]}) == 1 and found[lines[0]]["color"] != found[lines[1]]["color"]
    )
