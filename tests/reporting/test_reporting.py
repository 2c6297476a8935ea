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
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.evaluation import metrics, statistics
from pipeline.params.cells import Cell, expected
from pipeline.params.schema import Params, load
from pipeline.reporting import sensitivity
from pipeline.reporting.build import build
from pipeline.reporting.comparison import MEAN, Comparison, Comparisons
from pipeline.reporting.figures.spectrum import spectrum_difference
from pipeline.reporting.page.provenance import shown_params
from pipeline.reporting.page.verdict import verdict
from pipeline.reporting.results import Model, Task, read
from pipeline.reporting.tables import agnostic, encodings
from pipeline.reporting.tables import paper as paper_tables
from pipeline.reporting.tables import results as result_tables
from pipeline.reporting.tables import table as tables
from pipeline.work.errors import UserError
from tests.aids import report_fixture as made_up

MISSING = "warm_start-mobilenet_v2-reenactment-c40-s1"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    folder = tmp_path_factory.mktemp("run")
    params = load(made_up.write_params(folder, **{"grid.seeds": [0, 1], "evaluation.bootstrap": 300}))
    made_up.write_cells(folder / "cells", params, skip=[MISSING])
    made_up.write_shards(folder / "shards", params.sets, params.compressions)
    made_up.write_manifests(folder / "raw", folder / "compressed", params)
    return folder, params


@pytest.fixture(scope="module")
def report(run: tuple[Path, Params]) -> Path:
    folder, params = run
    build(*(folder / name for name in ("cells", "shards", "raw", "compressed", "reports")), params)
    return folder / "reports"


def scores(folder: Path, name: str, quality: str = "c40") -> pd.DataFrame:
    table = pd.read_parquet(folder / "cells" / f"{name}.parquet")
    return table[table["quality"] == quality]


def test_cells_have_the_names_of_the_graph() -> None:
    assert Cell("teacher", "resnet50", "FaceSwap", "raw", 0).name == "teacher-resnet50-FaceSwap-raw-s0"
    assert Cell("resnet50", "resnet50", "FaceSwap", "c40", 2).name == "baseline-resnet50-FaceSwap-c40-s2"
    assert Cell("add", "resnet50", "FaceSwap", "c40", 2).name == "add-resnet50-FaceSwap-c40-s2"


def test_expected_cells_are_the_params_and_each_once(tmp_path: Path) -> None:
    ablation = {"methods": ["add_fr", "add"], "manipulations": ["faceswap"], "compressions": ["c40"]}
    params = load(made_up.write_params(tmp_path, ablation=ablation | {"backbones": ["mobilenet_v2"]}))
    names = [cell.name for cell in expected(params)]
    assert len(names) == len(set(names)) == 2 + 3 * 2 + 1  # teachers, three methods of two tasks, add_fr
    assert "add_fr-mobilenet_v2-faceswap-c40-s0" in names


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


@pytest.mark.parametrize("clips", [1, 3])
def test_resampled_measures_equal_those_of_the_drawn_frames(clips: int) -> None:
    frames = made_up.frames("faceswap", clips)
    frames["score"] = np.random.default_rng(0).integers(0, 20, len(frames)) / 20  # with ties
    scored = statistics.Scored.of([frames])
    draws = statistics.draw(scored.videos["set"], scored.videos["video"], 5, seed=1)
    assert draws[0].tolist() == [1.0] * len(scored.videos)
    for draw, auc, acc in zip(draws, scored.auc(draws), scored.acc(draws), strict=True):
        times = dict(zip(zip(scored.videos["set"], scored.videos["video"], strict=True), draw, strict=True))
        repeats = [int(times[key]) for key in zip(frames["set"], frames["video"], strict=True)]
        drawn = frames.loc[frames.index.repeat(repeats)]
        assert auc == pytest.approx(roc_auc_score(drawn["label"], drawn["score"]))
        assert acc == pytest.approx(metrics.measure(drawn)["acc"])


def test_a_fake_is_ranked_against_its_own_targets_same_frame() -> None:
    def table(real: list[float], fake: list[float], other: list[float]) -> pd.DataFrame:
        rows = [("original", "a", "", k, 0, s) for k, s in enumerate(real)]
        rows += [("original", "b", "", 0, 0, 0.0)]
        rows += [("swap", "a_b", "a", k, 1, s) for k, s in enumerate(fake)]
        rows += [("swap", "b_a", "b", k, 1, s) for k, s in enumerate(other)]
        columns = ["set", "video", "target", "frame", "label", "score"]
        return pd.DataFrame(rows, columns=columns).assign(
            person=lambda t: t["target"].where(t["label"] == 1, t["video"])
        )

    # a: above, tied, below; b: one above, one whose target's frame 1 was rejected. The second seed is wrong on a.
    first = table([0.1, 0.5, 0.9], [0.2, 0.5, 0.8], [0.3, 0.9])
    second = table([0.9, 0.9, 0.9], [0.2, 0.5, 0.8], [0.3, 0.9])
    scored = statistics.Scored.of([first.sample(frac=1, random_state=0), second])
    assert scored.videos["video"].tolist() == ["a", "b", "a_b", "b_a"]
    assert scored.above_target(np.ones((1, 4))).tolist() == [pytest.approx((1.5 / 2 + 1) / 4)]
    assert scored.above_target(np.array([[1.0, 2, 0, 2]])).tolist() == [1.0]
    assert np.isnan(statistics.Scored.of([first.drop(columns="target")]).above_target(np.ones((1, 4)))).all()


def test_paired_bootstrap_agrees_with_a_plain_one() -> None:
    random = np.random.default_rng(3)
    frames = made_up.frames("faceswap")
    first, second = (frames.assign(score=random.random(len(frames)) + gain * frames["label"]) for gain in (0.5, 0.2))
    scored = [statistics.Scored.of([table]) for table in (first, second)]
    draws = statistics.draw(scored[0].videos["set"], scored[0].videos["video"], 2000, seed=0)
    found = statistics.paired(*(s.auc(draws) for s in scored))

    both = first.assign(other=second["score"])
    groups = [[block for _, block in half.groupby(["set", "video"])] for _, half in both.groupby("set")]
    differences = []
    for _ in range(300):
        drawn = pd.concat([half[i] for half in groups for i in random.integers(0, len(half), len(half))])
        real, fake = (drawn[drawn["label"] == k] for k in (0, 1))
        aucs = [np.mean(fake[c].to_numpy()[:, None] > real[c].to_numpy()) for c in ("score", "other")]
        differences.append(aucs[0] - aucs[1])
    value = roc_auc_score(both["label"], both["score"]) - roc_auc_score(both["label"], both["other"])
    assert found.value == pytest.approx(value)
    assert (found.low, found.high) == pytest.approx(np.percentile(differences, [2.5, 97.5]), abs=0.03)
    assert found.detectable == pytest.approx(2.8 * np.std(differences), rel=0.15)
    assert found.p < 0.05


def test_equal_methods_cannot_be_told_apart() -> None:
    same = np.random.default_rng(0).random(101)
    found = statistics.paired(same, same)
    assert (found.value, found.low, found.high, found.p, found.detectable) == (0, 0, 0, 1, 0)


def test_people_are_drawn_with_all_their_videos() -> None:
    people = pd.Series(["a", "b", "a", "c"])
    draws = statistics.draw(None, people, 50, seed=0)
    assert (draws[:, 0] == draws[:, 2]).all() and (draws[1:, [0, 1, 3]].sum(1) == 3).all()


def test_holm_against_the_textbook() -> None:
    # Holm (1979): the smallest times 4, the next times 3, ..., never falling; nan does not count.
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.4, float("nan"), 0.9]) == pytest.approx([0.8, float("nan"), 0.9], nan_ok=True)


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


def test_an_auc_that_cannot_be_is_told_of(run: tuple[Path, Params]) -> None:
    results = read(run[0] / "cells", run[1])
    comparisons = Comparisons(results, run[1].evaluation)
    assert not any("An AUC needs" in line for line in verdict(results, comparisons, run[1]).details)
    first = results.cells[0]
    summary = json.loads(json.dumps(results.summaries[first]))
    summary["results"]["raw"]["per_fold"]["1"] |= {"auc": None, "fake_recall": None}
    known = replace(results, summaries=results.summaries | {first: summary})
    said = "is missing of teacher-mobilenet_v2-faceswap-raw-s0 at raw (fold 1 tested reals alone)."
    assert any(said in line for line in verdict(known, comparisons, run[1]).details)


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
    model, wide = Model("add", "a"), statistics.Difference((low + high) / 2, -1.0, 1.0, p, 0.1)
    found = statistics.Difference((low + high) / 2, low, high, p, 0.1)
    row = Comparison(Task("x", "c40"), model, Model("a", "a"), measure, (0.5, 0.5), found, wide, p)
    assert row.statement(False, 0.02) == said
    assert "less than" not in row.statement(True, 0.02)  # over people nothing is within the margin
    row = Comparison(Task("x", "c40"), model, Model("a", "a"), measure, (0.5, 0.5), replace(wide, p=p), found, p)
    assert row.statement(True, 0.02) == said


def test_equivalence_is_said_and_so_is_its_lack(run: tuple[Path, Params]) -> None:
    folder, params = run
    results = read(folder / "cells", params)
    comparisons = Comparisons(results, params.evaluation)
    details = " ".join(verdict(results, comparisons, params).details)
    assert "No method is shown to differ from ADD by an AUC of less than 0.02: over people" in details
    wide = params.model_copy(update={"report": params.report.model_copy(update={"margin": 0.9})})
    details = " ".join(verdict(results, comparisons, wide, ["A sentence."]).details)
    assert "Shown to differ from ADD by an AUC of less than 0.9" in details and "A sentence." in details


def test_few_people_are_told_of(run: tuple[Path, Params]) -> None:
    results, params = read(run[0] / "cells", run[1]), run[1]
    few = {cell: table[table["fold"] == 0] for cell, table in results.scores.items()}
    for known, people in ((results, 9), (replace(results, scores=few), 3)):
        details = verdict(known, Comparisons(known, params.evaluation), params).details
        assert any(f"Only {people} people were tested" in line for line in details)


def test_the_headline_says_once_what_backbones_and_compressions_share(run: tuple[Path, Params]) -> None:
    results, params = read(run[0] / "cells", run[1]), run[1]
    cells = [replace(cell, backbone=name) for cell in results.cells for name in ("a", "b", "c") if cell.method == "add"]

    def said(outcomes: dict[tuple[str, str], tuple[float, float]], several: bool = True) -> str:
        rows = [
            Comparison(Task(MEAN, quality), Model("add", name), Model(name, name), "auc", (0.0, 0.0),
                       statistics.Difference(value, 0, 0, p, 0.1), statistics.Difference(value, 0, 0, p, 0.1), p)
            for (quality, name), (value, p) in outcomes.items()
        ]  # fmt: skip
        known = replace(results, cells=cells if several else [cell for cell in cells if cell.backbone == "a"])
        stub: Any = SimpleNamespace(against_add=rows)
        return verdict(known, stub, params).headline.partition(". One by one")[0]

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


def test_sensitivity_asks_for_the_commits_that_can_hold_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for every one of a history: DVC reads hundreds for minutes."""
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "a@example.org")

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()

    def commit(file: str) -> str:
        (tmp_path / file).write_text(str(len(made)))
        git("add", file)
        git("commit", "--quiet", "--message", file)
        return git("rev-parse", "HEAD")

    git("init", "--quiet")
    made: list[str] = []
    for file in ("dvc.lock", "a.py", "b.py", "dvc.lock", "c.py"):
        made.append(commit(file))
    git("update-ref", f"refs/exps/{made[1][:2]}/{made[1][2:]}/soapy-soya", made[3])
    git("update-ref", "refs/exps/celery/stash", made[2])
    assert sensitivity.commits() == [made[4], made[3], made[0], made[1]]


def test_sensitivity_reads_the_runs_that_differ_in_alpha_and_beta_alone() -> None:
    def entry(
        name: str | None, alpha: float, beta: float, acc: float, epochs: int = 6, of: float | None = None
    ) -> dict[str, Any]:
        params = {"params.yaml": {"data": {"alpha": alpha, "beta": beta, "train": {"epochs": epochs}}}}
        found = {
            "alpha": alpha,
            "beta": of or beta,
            "add_c40_faceswap_acc": acc,
            "baseline_c40_faceswap_acc": 0.7,
            "teacher_on_raw_auc": 0.99,
        }
        data = {"params": params, "metrics": {"reports/metrics.json": {"data": found}}}
        return {"rev": "workspace" if name is None else "0123456789", "name": name, "data": data, "experiments": None}

    tried = [entry("b20", 1, 20, 0.8), entry("longer", 1, 24, 0.9, epochs=9), entry("same", 1, 16, 0.75)]
    tried += [entry("cut off", 1, 22, 0.75, of=16)]  # the params of a run that never came to its report
    failed = {"rev": "89abcdef", "name": "failed", "data": None, "error": {"msg": "no metrics"}}
    main = entry("main", 1, 16, 0.75) | {"experiments": [{"revs": [run]} for run in [*tried, failed]]}
    found = sensitivity.runs([entry(None, 1, 16, 0.75), main])
    assert found[["run", "alpha", "beta"]].values.tolist() == [["same", 1, 16], ["b20", 1, 20]]
    assert found["add_c40_faceswap_acc"].tolist() == [0.75, 0.8] and "teacher_on_raw_auc" not in found
    own = sensitivity.own([entry(None, 1, 16, 0.75), main])
    (ax,) = sensitivity.figure_of(found, own).drawing.axes  # alpha has one value, and no panel
    assert ax.lines[0].get_xydata().tolist() == [[16, 75], [20, 80]] and ax.get_xlabel() == "beta (alpha = 1)"
    # beta = 20 has as many runs: what is held is the workspace's value, whatever most runs have.
    more = sensitivity.runs([entry(None, 1, 16, 0.75), main, entry("a2", 2, 16, 0.7), entry("b0", 1, 0, 0.6)])
    left, right = sensitivity.figure_of(more, own).drawing.axes
    assert left.lines[0].get_xydata().tolist() == [[1, 75], [2, 70]] and left.get_xlabel() == "alpha (beta = 16)"
    assert right.lines[0].get_xydata().tolist() == [[0, 60], [16, 75], [20, 80]]
    assert sensitivity.table_of(more).header[-1] == "baseline c40 faceswap %"


def test_the_papers_tables_are_the_papers() -> None:
    one = paper_tables.paper(1)
    assert len(one) == 40 and paper_tables.manipulations()[0] == "NeuralTextures"
    assert one.query("method == 'add'")["c40_acc"].tolist() == [68.53, 95.50, 85.42, 92.49, 91.64]


def test_spectrum_difference_of_a_known_filter() -> None:
    random = np.random.default_rng(0)
    raw = random.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    halved = [(image // 2, image) for image in raw]
    found = spectrum_difference(halved)
    assert found.difference == pytest.approx(np.full((32, 32), -1 / 3), abs=0.03) and found.n == 6
    flat = [(image, np.broadcast_to(image.mean((0, 1)).astype(np.uint8), image.shape)) for image in raw]
    frequencies, ring = spectrum_difference(flat).radial()
    assert ring[0] == pytest.approx(0, abs=0.01) and ring[1:] == pytest.approx(np.ones(16), abs=1e-6)
    assert frequencies[-1] == 0.5
    with pytest.raises(ValueError, match="no pairs"):
        spectrum_difference([])


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
