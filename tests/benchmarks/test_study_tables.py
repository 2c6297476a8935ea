"""The study's tables from known scores: what is measured, what is compared, and what is not whole."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks import study, study_tables
from pipeline.evaluation.draws import Draws
from tests.aids import report_fixture as made_up

TASKS = study.PARAMS.manipulations
GAIN = {"teacher": 1.0, "baseline": 1.0, "warm_start": 1.0, "add": 4.0}  # warm_start: the baseline's own scores


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], pd.DataFrame]:
    """Test scores of four methods on both tasks, beside validation people's, which no measure may see."""
    monkeypatch.setattr(study_tables, "WORK", tmp_path)
    monkeypatch.setattr(study_tables, "RESAMPLES", 200)
    (tmp_path / "scores").mkdir()
    tables = {}
    for task in TASKS:
        for name, gain in GAIN.items():
            noise = np.random.default_rng(len(task)).normal
            table = made_up.frames(task).assign(role="test", quality="c40")
            table["score"] = 1 / (1 + np.exp(-noise(0, 1, len(table)) - gain * (table["label"] - 0.5)))
            tables[name, task] = table
            raw = table.assign(quality="raw", score=0.5 + 0.4 * (table["label"] - 0.5))
            others = [raw, raw.assign(quality="c23"), table.assign(role="val", score=1.0 - table["label"])]
            pd.concat([table, *others]).to_parquet(tmp_path / f"scores/{name}-{task}-s0.parquet")
    return tables


def draws(scored: dict[tuple[str, str], pd.DataFrame]) -> Draws:
    return study_tables.people(list(scored.values()))


def test_measures_are_those_of_the_test_peoples_frames(scored: dict[tuple[str, str], pd.DataFrame]) -> None:
    found = study_tables.measured("add", draws(scored))
    assert found is not None and found.seeds == 1
    aucs = [roc_auc_score(scored["add", task]["label"], scored["add", task]["score"]) for task in TASKS]
    assert found.auc[0] == pytest.approx(np.mean(aucs))
    gap = study_tables.gap_table(draws(scored))
    assert [line.split(" | ")[0] for line in gap[2:]] == ["| raw", "| c23", "| c40"]
    assert "1.000 [1.000, 1.000]" in gap[2]


def test_what_is_compared_and_what_is_not_whole(scored: dict[tuple[str, str], pd.DataFrame], tmp_path: Path) -> None:
    (tmp_path / "scores/add_paired-faceswap-s0.parquet").write_bytes(
        (tmp_path / "scores/add-faceswap-s0.parquet").read_bytes()
    )
    every = {name: study_tables.measured(name, draws(scored)) for name in (*GAIN, "add_paired")}
    assert every.pop("add_paired") is None  # one of two tasks
    every.pop("teacher")
    found = {name: one for name, one in every.items() if one is not None}
    assert study_tables.methods_table(found)[3].count("+.000 [+.000, +.000]") == 1
    lines = study_tables.primary_table(found)[2:]
    assert [line.split(" | ")[0] for line in lines] == ["| `add` less `baseline`", "| `add` less `warm_start`"]
    assert all(" helps " in line for line in lines)
    alike = study_tables.paired(found["warm_start"].auc, found["baseline"].auc)
    assert study_tables.said(alike) == "equal"
    study_tables.figure(found).savefig(tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 5000
