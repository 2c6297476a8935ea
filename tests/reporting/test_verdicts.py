"""The report's chapters on pooled detectors and on verdicts, from known scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.calibration import judged
from pipeline.params.cells import Cell, pooled
from pipeline.params.schema import Params, load
from pipeline.reporting import verdicts
from pipeline.reporting.results import Results, read
from pipeline.reporting.tables import pooled as pooled_tables
from pipeline.reporting.tables.verdicts import table as table_of
from tests.aids import report_fixture as made_up


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Params, Results, Results]:
    folder = tmp_path_factory.mktemp("run")
    params = load(made_up.write_params(folder, **{"pooled.tasks": ["all"]}))
    made_up.write_cells(folder / "cells", params)
    made_up.write_pooled(folder / "cells", params)
    return params, read(folder / "cells", params), read(folder / "cells", params, pooled(params))


def test_the_pooled_table_has_each_manipulation_beside_its_own_detector(run: tuple[Params, Results, Results]) -> None:
    _, single, several = run
    table = pooled_tables.table(several, single).values.set_index(["method", "quality", "tested_on"])
    add, alone = Cell("add", "mobilenet_v2", "all", "c40", 0), Cell("add", "mobilenet_v2", "faceswap", "c40", 0)
    found = several.summaries[add]["results"]["c40"]
    row = table.loc[("add", "c40", "faceswap")]
    assert row["frame_auc"] == found["manipulations"]["faceswap"]["frame"]["auc"]
    assert row["frame_auc_alone"] == single.summaries[alone]["results"]["c40"]["frame"]["auc"]
    assert table.loc[("add", "c40", pooled_tables.ALL)]["video_auc"] == found["video"]["auc"]
    assert {quality for method, quality, _ in table.index if method == "teacher"} == {"raw", "c23", "c40"}


@pytest.mark.parametrize("few", [True, False])
def test_the_pooled_table_has_intervals_over_people_first_where_they_are_few(
    run: tuple[Params, Results, Results], few: bool
) -> None:
    _, single, several = run
    several = replace(several)
    several.__dict__["few_people"] = few
    table = pooled_tables.table(several, single)
    assert ("over people, who are few, and over videos" in table.hint) == few
    assert {len(row) for row in table.rows} == {len(table.header)} == {sum(n for _, n in table.groups)}
    teacher = Cell("teacher", "mobilenet_v2", "all", "raw", 0)  # the weakest of them
    part = several.summaries[teacher]["results"]["c40"]["manipulations"]["faceswap"]
    mine = table.values[["method", "quality", "tested_on"]] == ["teacher", "c40", "faceswap"]
    (number,) = np.flatnonzero(mine.all(axis=1))
    shown, values = [entry.text for entry in table.rows[number]], table.values.iloc[number]
    place = table.header.index("AUC")
    for level in ("frame", "video"):
        people, videos = (part[level][kind]["auc"] for kind in ("interval_persons", "interval"))
        assert people != videos
        wanted = [people, videos] if few else [videos]
        assert shown[place : place + 1 + len(wanted)] == [
            f"{part[level]['auc']:.3f}", *(f"[{low:.3f}, {high:.3f}]" for low, high in wanted)
        ]  # fmt: skip
        assert [values[f"{level}_auc_{end}"] for end in ("low", "high")] == list(videos)
        place += 1 + len(wanted)


def test_pooled_cells_stay_out_of_the_means_over_tasks(run: tuple[Params, Results, Results]) -> None:
    assert {task.manipulation for task in run[1].tasks()} == {"faceswap", "reenactment"}


def test_what_the_thresholds_let_through_is_counted_on_test_videos(run: tuple[Params, Results, Results]) -> None:
    params, single, several = run
    table = table_of(verdicts.collect([several, single], params.verdict), params.verdict).values
    cell = Cell("add", "mobilenet_v2", "all", "c40", 0)
    videos = judged(several.scores[cell], params.verdict.false_alarms, params.verdict.misses)
    row = table[(table["manipulation"] == "all") & (table["method"] == "add")].iloc[0]
    wrong = (videos["label"] == 0) & (videos["verdict"] == "fake")
    assert row["false_alarms"] == wrong.sum() and row["reals"] == (videos["label"] == 0).sum()
    assert row["undecided"] == pytest.approx((videos["verdict"] == "undecided").mean())
    assert set(table["manipulation"]) == {"all", "faceswap", "reenactment"}


def test_validation_people_are_no_test_people(tmp_path: Path) -> None:
    params = load(made_up.write_params(tmp_path))
    made_up.write_cells(tmp_path / "cells", params)
    cell = Cell("add", "mobilenet_v2", "faceswap", "c40", 0)
    file = tmp_path / "cells" / f"{cell.name}.parquet"
    rows = pd.read_parquet(file)
    others = rows.assign(role="val", fold=(rows["fold"] + 1) % 3, score=1 - rows["score"])
    pd.concat([rows, others]).to_parquet(file, index=False)
    found = read(tmp_path / "cells", params)
    assert found.at(cell, "c40").equals(rows) and len(found.scored(cell, "c40")) == 2 * len(rows)
    (one,) = (one for one in verdicts.collect([found], params.verdict) if one.cell == cell)
    assert one.own and len(one.videos) == rows.groupby(["set", "video"]).ngroups
