"""The report of a made-up run against computations that share no code with it."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.evaluation import metrics
from pipeline.params.cells import Cell
from pipeline.params.schema import Params, load
from pipeline.reporting.build import build
from pipeline.reporting.comparison import Comparisons
from pipeline.reporting.page.provenance import shown_params
from pipeline.reporting.results import Model, Task, read
from pipeline.reporting.tables import agnostic, data, encodings
from pipeline.reporting.tables import results as result_tables
from pipeline.reporting.tables import table as tables
from pipeline.work.errors import UserError
from tests.aids import report_fixture as made_up
from tests.aids.report_fixture import scores
from tests.reporting.conftest import MISSING


@pytest.fixture(scope="module")
def report(run: tuple[Path, Params]) -> Path:
    folder, params = run
    build(*(folder / name for name in ("cells", "shards", "raw", "compressed", "reports")), params)
    return folder / "reports"


def test_main_table_holds_means_and_spreads_over_seeds(run: tuple[Path, Params], report: Path) -> None:
    table = pd.read_csv(report / "tables/main.csv").set_index(["manipulation", "method"])
    aucs = []
    for seed in (0, 1):
        frames = scores(run[0], f"add-mobilenet_v2-faceswap-c40-s{seed}")
        aucs.append(roc_auc_score(frames["label"], frames["score"]))
        videos = frames.groupby(["set", "video"]).agg(label=("label", "first"), score=("score", "mean"))
        assert len(videos) == 36
    row = table.loc[("faceswap", "add")]
    assert row["frame_auc"] == pytest.approx(np.mean(aucs))
    assert row["frame_auc_sd"] == pytest.approx(np.std(aucs, ddof=1))
    assert row["frame_auc_low"] < row["frame_auc"] < row["frame_auc_high"]
    baselines = (scores(run[0], f"baseline-mobilenet_v2-faceswap-c40-s{seed}") for seed in (0, 1))
    accuracies = [((f["score"] >= 0.5) == f["label"]).mean() for f in baselines]
    assert table.loc[("faceswap", "mobilenet_v2"), "frame_acc"] == pytest.approx(np.mean(accuracies))


def test_a_missing_seed_is_counted_and_a_missing_cell_is_shown(run: tuple[Path, Params], tmp_path: Path) -> None:
    folder, params = run
    results = read(folder / "cells", params)
    assert [cell.name for cell in results.missing] == [MISSING]
    shutil.copytree(folder / "cells", tmp_path / "cells")
    (tmp_path / "cells" / MISSING.replace("-s1", "-s0.json")).unlink()
    results = read(tmp_path / "cells", params)
    table = result_tables.main(results, Comparisons(results, params.evaluation))
    row = next(row for row in table.rows if [e.text for e in row[:3]] == ["reenactment", "c40", "warm_start"])
    assert row[3].text == tables.MISSING and {entry.text for entry in row[4:]} == {tables.NOTHING}


def test_stale_cells_are_ignored_and_an_empty_folder_is_an_error(run: tuple[Path, Params], tmp_path: Path) -> None:
    folder, params = run
    shutil.copytree(folder / "cells", tmp_path / "cells")
    (tmp_path / "cells/add-mobilenet_v2-faceswap-c40-s9.json").write_text("of another run")
    assert read(tmp_path / "cells", params).missing == read(folder / "cells", params).missing
    with pytest.raises(UserError, match="none of the 14 cells"):
        read(tmp_path, params)
    (tmp_path / "cells/teacher-mobilenet_v2-faceswap-raw-s0.json").write_text("{")
    with pytest.raises(UserError, match="teacher-mobilenet_v2-faceswap-raw-s0: cannot be read"):
        read(tmp_path / "cells", params)


def test_one_model_for_every_quality_stands_in_each_task_and_beside_the_others(tmp_path: Path) -> None:
    changes = {"grid.agnostic": ["mixed", "qad"], "grid.compressions": ["c40"], "evaluation.bootstrap": 100}
    params = load(made_up.write_params(tmp_path, **changes))
    made_up.write_cells(tmp_path / "cells", params)
    results = read(tmp_path / "cells", params)
    comparisons = Comparisons(results, params.evaluation)
    assert results.tasks() == [Task("faceswap", "c40"), Task("reenactment", "c40")]
    own = Cell("qad", "mobilenet_v2", "faceswap", "all", 0)
    assert own in results.summaries and own.folder == "qad/mobilenet_v2-faceswap-all-s0"
    (table,) = agnostic.tables(results, comparisons, params)
    values = table.values.set_index(["manipulation", "method"])
    assert set(values.loc["faceswap"].index) == {"mixed", "qad", "teacher", "mobilenet_v2", "add"}
    for quality in ("raw", "c23", "c40"):
        frames = scores(tmp_path, own.name, quality)
        expected = roc_auc_score(frames["label"], frames["score"])
        line = values.loc[("faceswap", "qad")]
        assert line[f"{quality}_auc"] == pytest.approx(expected)
        assert line[f"{quality}_low"] < expected < line[f"{quality}_high"]
    assert pd.isna(values.loc[("faceswap", "add"), "c23_auc"]) and values.loc[("faceswap", "add"), "c40_auc"] > 0.5
    teacher = results.teacher("mobilenet_v2", "faceswap", "c23", "frame", "auc")
    line = values.loc[("faceswap", "teacher")]
    assert line["c23_auc"] == teacher and line["c23_low"] < teacher < line["c23_high"]
    # Nine people are few: the intervals are over them.
    people = comparisons.interval(Model("qad", "mobilenet_v2"), Task("faceswap", "c40"), "frame", "auc", "person")
    assert tuple(values.loc[("faceswap", "qad"), ["c40_low", "c40_high"]]) == people and "over people" in table.hint
    main = result_tables.main(results, comparisons).values.set_index(["manipulation", "method"])
    assert main.loc[("faceswap", "qad"), "frame_auc"] == values.loc[("faceswap", "qad"), "c40_auc"]
    assert "mixed" in {row.other.method for row in comparisons.against_add}


def test_a_run_of_one_model_for_every_quality_alone_has_a_report(tmp_path: Path) -> None:
    grid = {"grid.baselines": [], "grid.students": [], "grid.distilled": [], "grid.agnostic": ["mixed"]}
    grid |= {"stress.methods": [], "stress.degradations": [], "cross.methods": []}
    params = load(made_up.write_params(tmp_path, **grid, **{"evaluation.bootstrap": 100}))
    made_up.write_cells(tmp_path / "cells", params)
    made_up.write_shards(tmp_path / "shards", params.sets, params.compressions)
    made_up.write_manifests(tmp_path / "raw", tmp_path / "compressed", params)
    build(*(tmp_path / name for name in ("cells", "shards", "raw", "compressed", "reports")), params)
    assert "One model for every quality" in (tmp_path / "reports/report.md").read_text()
    main = pd.read_csv(tmp_path / "reports/tables/main.csv")
    assert list(main["compression"]) == ["raw", "c23", "c40"] * 2 and main["frame_auc"].notna().all()


def test_best_is_bold_and_ties_share_it(run: tuple[Path, Params]) -> None:
    results = read(run[0] / "cells", run[1])
    table = result_tables.main(results, Comparisons(results, run[1].evaluation))
    for manipulation in ("faceswap", "reenactment"):
        block = [row for row in table.rows if row[0].text == manipulation]
        column = [float(row[5].text.split()[0]) for row in block]
        assert [row[5].best for row in block] == [value == max(column) for value in column]
    assert tables.best([0.5001, 0.5, None, 0.2], 3) == [True, True, False, False]
    assert tables.best([0.5, None], 3) == [False, False]


def test_seeds_of_different_frames_are_refused(run: tuple[Path, Params]) -> None:
    results = read(run[0] / "cells", run[1])
    cell = Cell("add", "mobilenet_v2", "faceswap", "c40", 1)
    short = replace(results, scores=results.scores | {cell: results.scores[cell].iloc[:-1]})
    with pytest.raises(UserError, match=r"add \(mobilenet_v2\) on faceswap c40: its seeds hold different test frames"):
        result_tables.main(short, Comparisons(short, run[1].evaluation))


class Links(HTMLParser):
    """Addresses that a browser would fetch, and tags that are still open."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "srcset", "href", "data", "poster")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_self_contained_and_whole(report: Path) -> None:
    page = (report / "report.html").read_text()
    links = Links()
    links.feed(page)
    assert links.fetched and not links.open
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links.fetched)
    assert {link[1:] for link in links.fetched if link[0] == "#"} <= set(re.findall(r'id="([^"]+)"', page))
    assert not re.search(r"url\(|@import|<script|<link", page)
    assert "Some &amp; Sons" in page and "CC BY 4.0" in page and "no face found" in page
    assert page.count("data:image/png") == len(list((report / "figures").iterdir()))


def test_on_paper_tables_wrap_where_on_screen_they_scroll(report: Path) -> None:
    """Cells that never wrap made the paired tests' table wider than a sheet: its last columns were cut off."""
    page = (report / "report.html").read_text()
    screen, _, paper = page.partition("</style>")[0].partition("@media print {")
    assert re.search(r"\nth, td \{[^}]*white-space: nowrap", screen)
    assert re.search(r"th, td[^{]*\{ white-space: normal", paper) and "img { width: auto; max-width: 100%" in paper


def test_no_path_of_the_machine_on_the_page(run: tuple[Path, Params], report: Path) -> None:
    pages = (report / "report.html").read_text() + (report / "report.md").read_text()
    home = os.path.expanduser("~")  # noqa: PTH111 - there are users without one, and some whose home is /
    assert str(run[0]) not in pages and str(made_up.ROOT) not in pages and (home == "/" or f"{home}/" not in pages)
    params = run[1].model_copy(update={"folder": run[1].folder.model_copy(update={"path": "/home/someone/my clips"})})
    assert "/home" not in shown_params(params) and "my clips" in shown_params(params)


def test_markdown_links_to_figures_that_exist(report: Path) -> None:
    links = re.findall(r"!\[[^]]*]\(([^)]+)\)", (report / "report.md").read_text())
    assert len(links) > 5 and all((report / link).exists() for link in links)


def test_latex_is_balanced_and_escaped(report: Path) -> None:
    for path in (report / "tables").glob("*.tex"):
        text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("%"))
        assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
        bare = re.sub(r"\\.", "", text)
        assert bare.count("{") == bare.count("}") and not re.search(r"[_#%^~]", bare), path
        body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
        columns = len(re.search(r"\{([lr]+)\}", text)[1])  # type: ignore[index]
        assert all(row.count(" & ") == columns - 1 for row in body.strip().split("\n") if row), path
    assert r"mobilenet\_v2" in (report / "tables/main.tex").read_text()
    assert tables.escape(r"a_b \ 5% ±") == r"a\_b \textbackslash{} 5\% $\pm$"


def test_metrics_are_flat_and_small(run: tuple[Path, Params], report: Path) -> None:
    found = json.loads((report / "metrics.json").read_text())
    assert len(found) < 20 and all(isinstance(value, float) for value in found.values())
    aucs = [metrics.measure(scores(run[0], f"add-mobilenet_v2-{m}-c40-s{s}"))["auc"]
            for m in ("faceswap", "reenactment") for s in (0, 1)]  # fmt: skip
    assert found["add_c40_auc"] == pytest.approx(np.mean(aucs), abs=1e-6)
    raw = [
        metrics.measure(scores(run[0], f"teacher-mobilenet_v2-{m}-raw-s0", "raw"))["auc"]
        for m in ("faceswap", "reenactment")
    ]
    assert found["teacher_on_raw_auc"] == pytest.approx(np.mean(raw), abs=1e-6)


def test_measures_of_add_at_the_end_of_training(report: Path) -> None:
    ends = [0.7 * np.exp(-12 / (5 + fold)) / 1e3 for fold in range(3)]  # as made up, the same in both seeds
    table = pd.read_csv(report / "tables/measures.csv")
    assert table["multiview_swd"].tolist() == pytest.approx([np.mean(ends)] * 2)
    assert not [column for column in table.columns if "stage" in column]
    stages = pd.read_csv(report / "tables/measures_by_stage.csv").set_index(["manipulation", "measure"])
    assert stages.loc[("faceswap", "multiview_swd_negative"), "stage 4"] == pytest.approx(2e-3 * 4 / 3)


def test_counts_and_rejects(report: Path) -> None:
    counts = pd.read_csv(report / "tables/counts.csv").query("bucket == 'all'").set_index("set")
    assert counts.loc["faceswap", ["people", "videos", "frames"]].tolist() == [9, 18, 72]
    assert counts.loc["original", ["rejected_videos", "rejected_frames"]].tolist() == [1, 2]
    rejects = pd.read_csv(report / "tables/rejects.csv")
    assert rejects.query("cause == 'no face found'")["frames"].sum() == 6


def test_the_report_tells_what_was_published(run: tuple[Path, Params], report: Path, tmp_path: Path) -> None:
    line = "Every video was encoded here, as h264, yuv420p: raw without loss, c23, c40 from that."
    assert line in (report / "report.md").read_text() and not (report / "tables/encodings.csv").exists()
    params = run[1]
    made_up.write_manifests(tmp_path / "raw", tmp_path / "compressed", params, published=["faceswap"])
    counted = encodings.read(tmp_path / "raw", tmp_path / "compressed", params.sets, params.compressions)
    table = encodings.block(counted)
    assert isinstance(table, tables.Table)
    shown = [" ".join(entry.text for entry in row) for row in table.rows]
    assert shown == [
        *(f"original {quality} encoded h264 yuv420p 18" for quality in ("raw", "c23", "c40")),
        "faceswap raw published mpeg4 yuv444p 18",
        "faceswap c23 encoded h264 yuv420p 1",
        "faceswap c23 published h264 yuv422p 17",
        "faceswap c40 encoded h264 yuv420p 18",
        *(f"reenactment {quality} encoded h264 yuv420p 18" for quality in ("raw", "c23", "c40")),
    ]
    (tmp_path / "compressed/faceswap/c40/encoding.csv").unlink()
    with pytest.raises(UserError, match=r"faceswap/c40/encoding\.csv: cannot be read"):
        encodings.read(tmp_path / "raw", tmp_path / "compressed", params.sets, params.compressions)


def test_intervals_over_people_come_first_where_they_are_few(run: tuple[Path, Params], report: Path) -> None:
    header = (report / "tables/tests.md").read_text().splitlines()[0]
    assert header.index("95 % over people") < header.index("95 % over videos")
    main = pd.read_csv(report / "tables/main.csv")
    assert (main["frame_auc_people_low"] < main["frame_auc"]).all()
    assert (main["frame_auc_people_low"] != main["frame_auc_low"]).any()
    line = (report / "tables/main.md").read_text().splitlines()[0]
    assert line.count("95 % people") == line.count("95 % videos") == 2
    results = read(run[0] / "cells", run[1])
    many = {
        cell: table.assign(person=[f"{p}{n}" for n, p in enumerate(table["video"])])
        for cell, table in results.scores.items()
    }
    results = replace(results, scores=many)
    assert not results.few_people
    table = result_tables.main(results, Comparisons(results, run[1].evaluation))
    assert "95 % people" not in table.header and len(table.header) == len(table.rows[0]) == 12


def test_stage_repeats_the_same_bytes_and_loads_no_torch(
    run: tuple[Path, Params], report: Path, tmp_path: Path
) -> None:
    code = "import sys, runpy; runpy.run_module('stages.report', run_name='__main__', alter_sys=True)"
    code += "; print({'torch', 'torchvision', 'mlflow'} & set(sys.modules))"
    places = {"cells": "cells", "shards": "shards", "raw": "raw", "compressed": "compressed", "out": str(tmp_path)}
    arguments = [part for name, place in places.items() for part in (f"--{name}", str(run[0] / place))]
    environment = {"PYTHONPATH": str(made_up.ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, cwd=run[0], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    line, modules = result.stdout.strip().splitlines()
    assert line.startswith("report: 13 cells, 1 missing; ") and modules == "set()"
    files = [path for path in report.rglob("*") if path.is_file() and not path.name.startswith("report.")]
    assert len(files) > 20
    assert [p.name for p in files if p.read_bytes() != (tmp_path / p.relative_to(report)).read_bytes()] == []


def test_a_damaged_table_of_rejects_is_named(tmp_path: Path) -> None:
    (tmp_path / "faceswap").mkdir()
    with pytest.raises(UserError, match=r"faceswap/rejected\.parquet: not found; run `dvc repro`"):
        data.read_rejected([tmp_path / "faceswap"])
    (tmp_path / "faceswap/rejected.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"faceswap/rejected\.parquet: not a readable table .*; delete it and run"):
        data.read_rejected([tmp_path / "faceswap"])
