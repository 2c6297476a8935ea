"""The paper's tables beside ours."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.evaluation import metrics
from pipeline.params.schema import load
from pipeline.reporting.results import read
from pipeline.reporting.tables import paper as paper_tables
from pipeline.reporting.tables import table as tables
from tests.aids import report_fixture as made_up
from tests.aids.report_fixture import scores


def test_paper_tables_show_ours_the_papers_and_the_difference(tmp_path: Path) -> None:
    grid = {"compressions": ["c40"], "seeds": [0], "backbones": ["resnet50", "resnet18"], "students": ["add"]}
    grid |= {"baselines": ["resnet50", "resnet18"], "distilled": [], "distilled_backbones": [], "agnostic": []}
    off = {"stress.methods": [], "stress.degradations": [], "cross.methods": []}
    ablation = {"methods": ["add_fr"], "manipulations": ["NeuralTextures"], "compressions": ["c40"]}
    changes = {"published": ["original", "NeuralTextures"], "sets": ["original", "NeuralTextures"], "grid": grid}
    changes |= {
        "manipulations": ["NeuralTextures"],
        "forge.manipulations": [],
        "ablation": ablation | {"backbones": ["resnet50"]},
        **off,
    }
    params = load(
        made_up.write_params(tmp_path, baselines={"resnet50": {"train": {}}, "resnet18": {"train": {}}}, **changes)
    )
    made_up.write_cells(tmp_path / "cells", params)
    results = read(tmp_path / "cells", params)
    first, second, third = paper_tables.build(results)
    ours = 100 * metrics.measure(scores(tmp_path, "add-resnet50-NeuralTextures-c40-s0"))["acc"]
    row = first.values.set_index("method").loc["add"]
    assert (row["c40_acc_ours"], row["c40_acc_paper"]) == (pytest.approx(ours), 68.53)
    assert row["c40_acc_difference"] == pytest.approx(ours - 68.53) and pd.isna(row["c23_acc_ours"])
    shown = next(line for line in first.rows if line[1].text == "add (resnet50)")
    assert [entry.text for entry in shown[2:6]] == ["ADD - ResNet50 (ours)", "missing", "88.48", tables.NOTHING]
    mine, theirs, difference = (float(entry.text.replace("−", "-")) for entry in shown[9:12])
    assert theirs == 68.53 and difference == pytest.approx(mine - theirs, abs=0.0051)  # what is printed adds up
    assert len(first.rows) == 8 and [line[1].text for line in first.rows].count("f3net") == 1
    assert second.values.set_index("method")["acc_paper"].to_dict() == {
        "resnet50": 60.27, "add_fr": 67.03, "add_mv_plain": 67.01, "add_mv": 68.14, "add": 68.53}  # fmt: skip
    assert second.rows[1][6].text != "missing" and second.rows[2][6].text == "missing"
    assert third.values.set_index("compression").loc["c40", "resnet18_add_paper"] == 67.5
    assert "resnet34_ours" not in third.values


def test_the_papers_tables_are_the_papers() -> None:
    one = paper_tables.paper(1)
    assert len(one) == 40 and paper_tables.manipulations()[0] == "NeuralTextures"
    assert one.query("method == 'add'")["c40_acc"].tolist() == [68.53, 95.50, 85.42, 92.49, 91.64]
