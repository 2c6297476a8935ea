"""What the report says in words of the paired tests."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.evaluation.statistics import Difference
from pipeline.params.schema import Params
from pipeline.reporting.comparison import MEAN, Comparison, Comparisons
from pipeline.reporting.page.conclusion import conclude
from pipeline.reporting.results import Model, Task, read


def test_an_auc_that_cannot_be_is_told_of(run: tuple[Path, Params]) -> None:
    results = read(run[0] / "cells", run[1])
    comparisons = Comparisons(results, run[1].evaluation)
    assert not any("An AUC needs" in line for line in conclude(results, comparisons, run[1]).details)
    first = results.cells[0]
    summary = json.loads(json.dumps(results.summaries[first]))
    summary["results"]["raw"]["per_fold"]["1"] |= {"auc": None, "fake_recall": None}
    known = replace(results, summaries=results.summaries | {first: summary})
    said = "is missing of teacher-mobilenet_v2-faceswap-raw-s0 at raw (fold 1 tested reals alone)."
    assert any(said in line for line in conclude(known, comparisons, run[1]).details)


@pytest.mark.parametrize(
    ("low", "high", "p", "measure", "said"),
    [
        (-0.05, 0.06, 0.4, "auc", "cannot be told apart"),
        (-0.01, 0.015, 0.4, "auc", "differs by less than 0.02"),
        (0.005, 0.015, 0.01, "auc", "better, differs by less than 0.02"),
        (0.005, 0.1, 0.01, "auc", "better"),
        (-0.1, -0.005, 0.01, "auc", "worse"),
        (-0.01, 0.02, 0.4, "auc", "cannot be told apart"),
        (-0.01, 0.015, 0.4, "acc", "cannot be told apart"),
        (float("nan"), float("nan"), float("nan"), "auc", ""),
    ],
)
def test_a_paired_test_says_what_it_shows(low: float, high: float, p: float, measure: str, said: str) -> None:
    model, wide = Model("add", "a"), Difference((low + high) / 2, -1.0, 1.0, p, 0.1)
    found = Difference((low + high) / 2, low, high, p, 0.1)
    row = Comparison(Task("x", "c40"), model, Model("a", "a"), measure, (0.5, 0.5), found, wide, p)
    assert row.statement(False, 0.02) == said
    assert "less than" not in row.statement(True, 0.02)  # over people nothing is within the margin
    row = Comparison(Task("x", "c40"), model, Model("a", "a"), measure, (0.5, 0.5), replace(wide, p=p), found, p)
    assert row.statement(True, 0.02) == said


def test_equivalence_is_said_and_so_is_its_lack(run: tuple[Path, Params]) -> None:
    folder, params = run
    results = read(folder / "cells", params)
    comparisons = Comparisons(results, params.evaluation)
    details = " ".join(conclude(results, comparisons, params).details)
    assert "No method is shown to differ from ADD by an AUC of less than 0.02: over people" in details
    wide = params.model_copy(update={"report": params.report.model_copy(update={"margin": 0.9})})
    details = " ".join(conclude(results, comparisons, wide, ["A sentence."]).details)
    assert "Shown to differ from ADD by an AUC of less than 0.9" in details and "A sentence." in details


def test_few_people_are_told_of(run: tuple[Path, Params]) -> None:
    results, params = read(run[0] / "cells", run[1]), run[1]
    few = {cell: table[table["fold"] == 0] for cell, table in results.scores.items()}
    for known, people in ((results, 9), (replace(results, scores=few), 3)):
        details = conclude(known, Comparisons(known, params.evaluation), params).details
        assert any(f"Only {people} people were tested" in line for line in details)


def test_the_headline_says_once_what_backbones_and_compressions_share(run: tuple[Path, Params]) -> None:
    results, params = read(run[0] / "cells", run[1]), run[1]
    cells = [replace(cell, backbone=name) for cell in results.cells for name in ("a", "b", "c") if cell.method == "add"]

    def said(outcomes: dict[tuple[str, str], tuple[float, float]], several: bool = True) -> str:
        rows = [
            Comparison(Task(MEAN, quality), Model("add", name), Model(name, name), "auc", (0.0, 0.0),
                       Difference(value, 0, 0, p, 0.1), Difference(value, 0, 0, p, 0.1), p)
            for (quality, name), (value, p) in outcomes.items()
        ]  # fmt: skip
        known = replace(results, cells=cells if several else [cell for cell in cells if cell.backbone == "a"])
        stub: Any = SimpleNamespace(against_add=rows)
        return conclude(known, stub, params).headline.partition(". One by one")[0]

    same = {(quality, name): (0.1, 0.5) for quality in ("c23", "c40") for name in "abc"}
    assert said(same) == (
        "At c23 and c40, over all manipulations, ADD on a, b and c cannot be told from the plain baseline"
    )
    assert said(same | {("c40", "b"): (0.1, 0.01)}) == (
        "At c23, over all manipulations, ADD on a, b and c cannot be told from the plain baseline; "
        "at c40, over all manipulations, ADD on a and c cannot be told from the plain baseline; "
        "at c40, over all manipulations, ADD on b beats the plain baseline"
    )
    assert said({("c40", "a"): (-0.1, 0.01)}, several=False) == (
        "At c40, over all manipulations, ADD falls short of the plain baseline"
    )
