"""Models that score a crop by its brightness, on degraded crops that are even greys: AUCs by scikit-learn."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from pipeline.crops.shards import ENCODING
from pipeline.detectors import card as models
from pipeline.evaluation import thresholds
from pipeline.evaluation.cross import cross
from pipeline.evaluation.draws import draw
from pipeline.evaluation.evaluation import evaluate
from pipeline.evaluation.stress import stress
from pipeline.params.cells import Cell, pooled
from pipeline.params.schema import Params
from pipeline.reporting import build as report
from pipeline.reporting import crossing, robustness
from pipeline.reporting.failing import Failing, fails_from
from pipeline.reporting.figures import stress as stress_figures
from pipeline.reporting.page.failing import moved
from pipeline.reporting.results import read
from pipeline.reporting.tables import cross as cross_tables
from pipeline.reporting.tables import operating
from pipeline.reporting.tables import stress as stress_tables
from pipeline.work.errors import UserError
from tests.aids import report_fixture as made_up
from tests.aids.greys import GAPS, SETS, Brightness, Greys, make_run, save, table


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params, Greys]:
    folder = tmp_path_factory.mktemp("run")
    return folder, *make_run(folder)


def test_every_point_is_what_scikit_learn_says_of_the_degraded_frames(run: tuple[Path, Params, Greys]) -> None:
    folder, _, greys = run
    summary = json.loads((folder / "cells/stress-add/summary.json").read_text())
    assert len(summary["points"]) == 2 * len(GAPS) and {one["models"] for one in summary["points"]} == {2}
    for one in summary["points"]:
        frames = table(greys, one["manipulation"], one["point"])
        assert (one["frames"], one["videos"], one["people"]) == (len(frames), 16, 8) == (32, 16, 8)
        assert one["auc"] == pytest.approx(roc_auc_score(frames["label"], frames["grey"]))
        alarms, hits, _ = roc_curve(frames["label"], frames["grey"], drop_intermediate=False)
        assert one["tpr_at_5"] == pytest.approx(hits[alarms <= 0.05].max())
        for unit in ("video", "person"):
            assert one[f"auc_{unit}_low"] <= one["auc"] + 1e-9 and one["auc"] <= one[f"auc_{unit}_high"] + 1e-9
    wrong = json.loads((folder / "cells/stress-warm_start/summary.json").read_text())["points"]
    for here, there in zip(summary["points"], wrong, strict=True):  # the same frames ranked the other way round
        assert here["auc"] == pytest.approx(1 - there["auc"])


def test_a_cells_scores_are_those_of_its_folds_model(run: tuple[Path, Params, Greys]) -> None:
    folder, _, greys = run
    frames = pd.read_parquet(folder / "cells/stress-add/add-mobilenet_v2-faceswap-c40-s0.parquet")
    assert len(frames) == 32 and (frames["bucket"] == "b" + frames["fold"].astype(str)).all()
    for row in frames.to_dict("records"):
        for quality in GAPS:
            mean = greys[row["set"], row["video"], row["frame"], quality] / 127.5 - 1
            assert row[quality] == pytest.approx(1 / (1 + np.exp(-2 * mean)), abs=1e-5)


def test_methods_meet_the_same_draws_and_tasks_share_their_reals(run: tuple[Path, Params, Greys]) -> None:
    folder, _, _ = run
    arrays = []
    for name in ("baseline", "add", "warm_start"):
        with np.load(folder / f"cells/stress-{name}/draws.npz") as found:
            arrays.append(found["auc"])
    baseline, add, other_way = arrays
    assert add.shape == (2 * len(GAPS), 2, 101)
    assert np.allclose(baseline, add) and np.allclose(add, 1 - other_way, atol=1e-6)


def test_where_detection_fails(run: tuple[Path, Params, Greys]) -> None:
    folder, params, _ = run
    stressed = robustness.read(folder / "cells", params)
    assert stressed is not None and stressed.unit == "person"
    assert list(stressed.rate_factors.items()) == [
        ("raw", 0),
        ("c23", 23),
        ("c40", 40),
        ("h264-45", 45),
        ("h264-51", 51),
    ]
    line = next(line for line in stressed.lines if line.method == "add")
    failing = stressed.fails(line, ["reenactment"])
    assert failing is not None
    values = [stressed.value(line, "reenactment", point, "auc")[0] for point in stressed.rate_factors]  # type: ignore[index]
    below = next(n for n in range(5) if all(value < 0.75 for value in values[n:]))
    x = list(stressed.rate_factors.values())
    assert failing.factors[0] == pytest.approx(
        np.interp(-0.75, [-values[below - 1], -values[below]], x[below - 1 : below + 1])
    )
    # Baseline and ADD are the same detector here, so that nothing moves.
    (said,) = moved(stressed)
    assert "ADD cannot be said to move the point at which detection fails (+0.0 [+0.0, +0.0])" in said
    assert "mean over the manipulations" in said


def test_crossing_by_hand() -> None:
    factors = np.array([0.0, 20.0, 30.0, 40.0])
    curves = np.array([[0.9, 0.9, 0.7, 0.9, 0.6], [0.8, 0.7, 0.7, 0.9, 0.7], [0.7, 0.8, 0.7, 0.9, 0.8],
                       [0.6, 0.7, 0.7, 0.8, 0.7]])  # fmt: skip
    # Halfway; the last time it falls, not the first; never above; never below; it starts below and comes above.
    assert fails_from(factors, curves, 0.75).tolist() == pytest.approx([25, 35, 0, 40, 35])
    failing = Failing(np.array([40.0, 0.0, 41.0]), 0.0, 40.0)
    assert (
        failing.never and failing.text.startswith("> 40") and failing.at(0.0) == "raw" and failing.at(12.34) == "12.3"
    )


def test_models_cross_over_to_the_other_manipulations(run: tuple[Path, Params, Greys]) -> None:
    folder, params, greys = run
    scores = pd.read_parquet(folder / "cells/cross-add.parquet")
    assert set(scores["label"]) == {1} and (scores["bucket"] == "b" + scores["fold"].astype(str)).all()
    assert set(zip(scores["cell"].str.contains("faceswap"), scores["set"], strict=True)) == {
        (True, "reenactment"), (False, "faceswap")
    }  # fmt: skip
    found = crossing.read(folder / "cells", [read(folder / "cells", params)], params)
    assert len(found) == 3 * 2 * 3 and all(one.own == (one.tested_on == one.trained_on) for one in found)
    for one in found:
        tasks = ["faceswap", "reenactment"] if one.tested_on == crossing.ALL else [one.tested_on]
        frames = pd.concat([table(greys, task, "c40", 3) for task in tasks]).drop_duplicates()
        wanted = roc_auc_score(frames["label"], frames["grey"])
        assert one.auc == pytest.approx(1 - wanted if one.model.method == "warm_start" else wanted)
        assert one.low <= one.auc <= one.high and one.unit == "people"


def test_one_manipulation_crosses_nowhere(run: tuple[Path, Params, Greys], tmp_path: Path) -> None:
    folder, params, _ = run
    alone = params.model_copy(update={"manipulations": ("faceswap",), "sets": ("original", "faceswap")})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", lambda name: Brightness())
        assert cross("add", folder / "models", folder / "shards", tmp_path / "x.parquet", alone).empty
    assert crossing.read(folder / "cells", [read(folder / "cells", params)], alone) == []


def test_pooled_tasks_are_crossed_and_stressed(run: tuple[Path, Params, Greys], tmp_path: Path) -> None:
    folder, params, greys = run
    tasks = {"all": ("faceswap", "reenactment"), "swaps": ("faceswap",)}
    several = params.model_copy(
        update={
            "pooled": params.pooled.model_copy(update={"tasks": tuple(tasks), "sets": tasks}),
            "cross": params.cross.model_copy(update={"methods": ("add",)}),
            "stress": params.stress.model_copy(update={"methods": ("add",), "degradations": ("h264-45", "vp9-30")}),
        }
    )
    cells = shutil.copytree(folder / "cells", tmp_path / "cells")
    shutil.rmtree(cells / "stress-add")
    shutil.copytree(folder / "models/add", tmp_path / "models/add")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", lambda name: Brightness())
        for cell in pooled(several):
            if cell.method == "add":
                save(tmp_path / "models", cell, several)
                evaluate(tmp_path / "models" / cell.folder, params.folds, params.compressions, folder / "shards",
                         params.evaluation, params.loader, cells / cell.name)  # fmt: skip
        scores = cross("add", tmp_path / "models", folder / "shards", cells / "cross-add.parquet", several)
        stress("add", *(tmp_path / "models", folder / "shards", folder / "stressed", cells / "stress-add"), several)
    # Only what it was not trained on is scored: nothing for `all`.
    assert set(scores.loc[scores["cell"].str.contains("-swaps-"), "set"]) == {"reenactment"}
    assert not scores["cell"].str.contains("-all-").any()
    results = [read(cells, several), read(cells, several, pooled(several))]
    found = crossing.read(cells, results, several)
    assert [one.trained_on for one in found] == [task for task in ("faceswap", "reenactment", *tasks) for _ in range(3)]
    by_place = {(one.trained_on, one.tested_on): one for one in found}
    for task in tasks:
        for tested in ("faceswap", "reenactment", crossing.ALL):
            sets = ["faceswap", "reenactment"] if tested == crossing.ALL else [tested]
            frames = pd.concat([table(greys, name, "c40", 3) for name in sets]).drop_duplicates()
            one = by_place[task, tested]
            assert one.auc == pytest.approx(roc_auc_score(frames["label"], frames["grey"]))
            assert one.own == (task == "all" or tested == "faceswap")
    shown = cross_tables.table(found, results[0])
    assert [row[2].text for row in shown.rows] == ["faceswap", "reenactment", "all", "swaps"]
    assert [entry.best for entry in shown.rows[2][3:]] == [True, True, True]
    stressed = robustness.read(cells, several)
    assert stressed is not None and stressed.tasks == ["faceswap", "reenactment", *tasks]
    (line,) = stressed.lines
    for point in ("raw", "c23", "c40", "h264-45", "vp9-30"):
        frames = pd.concat([table(greys, name, point) for name in ("faceswap", "reenactment")]).drop_duplicates()
        value = stressed.value(line, "all", point, "auc")
        assert value is not None and value[0] == pytest.approx(roc_auc_score(frames["label"], frames["grey"]))
        assert stressed.value(line, "swaps", point, "auc") == stressed.value(line, "faceswap", point, "auc")
    assert stressed.bits("all", "vp9-30") == pytest.approx(8 * 100 / 800)
    # A mean over manipulations counts each once.
    assert stressed.manipulations == ["faceswap", "reenactment"]


def test_thresholds_come_from_validation_people_where_there_are_some(
    run: tuple[Path, Params, Greys], tmp_path: Path
) -> None:
    folder, params, _ = run
    alone = params.model_copy(update={"folds": (0,)})
    place = Path("add/mobilenet_v2-faceswap-c40-s0")
    shutil.copytree(folder / "models/add", tmp_path / "add")
    for path in tmp_path.glob("add/*/fold0/model.json"):
        card = json.loads(path.read_text())
        path.write_text(json.dumps(card | {"buckets": {"train": ["b2"], "val": ["b1"], "test": ["b0"]}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", lambda name: Brightness())
        own = evaluate(
            tmp_path / place,
            [0],
            ["c23", "c40"],
            folder / "shards",
            params.evaluation,
            params.loader,
            tmp_path / "cell",
        )
        more = stress("add", tmp_path, folder / "shards", folder / "stressed", tmp_path / "out", alone)
        seen = pd.read_parquet(folder / "cells/add-mobilenet_v2-faceswap-c40-s0.parquet")
    validated, tested = (seen[seen["bucket"] == bucket] for bucket in ("b1", "b0"))
    wanted = thresholds.balanced(tested.assign(fold=0), {0: thresholds.best(validated)})
    (found,) = (row["balanced_acc"] for row in own["thresholds"] if row["level"] == "frame")
    assert found == pytest.approx(wanted)
    # The stress stage takes two of a video's three frames, of validation people too, and knows c23 besides.
    rows = {(row["manipulation"], row["level"], row["chosen_at"], row["used_at"]) for row in more["thresholds"]}
    assert ("faceswap", "frame", "c23", "c40") in rows
    assert all(row["balanced_acc"] is not None and row["balanced_acc"] >= 0 for row in more["thresholds"])


def test_a_degradation_that_was_not_made_is_left_out_and_named(run: tuple[Path, Params, Greys], tmp_path: Path) -> None:
    folder, params, _ = run
    for name in SETS:
        for degradation in ("h264-45", "vp9-30"):
            (tmp_path / name / degradation).mkdir(parents=True)
            for file in (folder / "stressed" / name / degradation).iterdir():
                (tmp_path / name / degradation / file.name).write_bytes(file.read_bytes())
    some = params.stress.model_copy(update={"degradations": ("h264-45", "vp9-30")})
    less = params.model_copy(update={"stress": some})
    lacking = tmp_path / "original/vp9-30"
    for file in [*lacking.glob("*.tar"), lacking / "index.parquet"]:
        file.unlink()
    pd.DataFrame(columns=["video", "bytes", "frames", "width", "height"]).to_csv(lacking / ENCODING, index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", lambda name: Brightness())
        summary = stress("add", folder / "models", folder / "shards", tmp_path, tmp_path / "out", less)
        assert {one["point"] for one in summary["points"]} == {"raw", "c23", "c40", "h264-45"}
        assert {"set": "original", "degradation": "vp9-30", "cause": "damaged", "videos": 1} in summary["left_out"]
        (lacking / ENCODING).unlink()
        with pytest.raises(UserError, match="original/vp9-30: not made; run `dvc repro degrade`"):
            stress("add", folder / "models", folder / "shards", tmp_path, tmp_path / "out2", less)


def test_points_are_compared_on_the_frames_that_all_of_them_have(
    run: tuple[Path, Params, Greys], tmp_path: Path
) -> None:
    """One fake video failed at h264-45; at h264-51 all fakes of bucket b1 did, and it is no point of theirs then."""
    folder, params, greys = run
    shutil.copytree(folder / "stressed", tmp_path / "stressed")
    for place, gone in (
        ("faceswap/h264-45", lambda rows: rows["video"] == "p0"),
        ("faceswap/h264-51", lambda rows: rows["bucket"] == "b1"),
    ):
        file = tmp_path / "stressed" / place / "index.parquet"
        rows = pd.read_parquet(file)
        rows[~gone(rows)].to_parquet(file, index=False)
    cells = tmp_path / "cells"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", lambda name: Brightness())
        stress("add", folder / "models", folder / "shards", tmp_path / "stressed", cells / "stress-add", params)
    summary = json.loads((cells / "stress-add/summary.json").read_text())
    for task, missing in (("faceswap", "p0"), ("reenactment", "")):
        points = {one["point"]: one for one in summary["points"] if one["manipulation"] == task}
        assert set(points) == set(GAPS) - ({"h264-51"} if missing else set())
        for point, one in points.items():
            frames = table(greys, task, point)
            frames = frames[(frames["set"] != task) | (frames["video"] != missing)]
            assert one["frames"] == len(frames) == (30 if missing else 32)
            assert one["auc"] == pytest.approx(roc_auc_score(frames["label"], frames["grey"]))
    assert summary["lacking"] == [
        {"manipulation": "faceswap", "point": "h264-45", "lacking": 2, "of": 32, "compared": 30},
        {"manipulation": "faceswap", "point": "h264-51", "lacking": 8, "of": 32, "compared": 0},
    ]
    stressed = robustness.read(cells, params)
    assert stressed is not None
    shown = stress_tables.left_out(stressed)[1]
    assert shown.name == "stress_lacking" and len(shown.rows) == 2 and "more than 10 %" in shown.hint
    # Where it fails is told by the points that there are.
    for tasks, last in ((["faceswap"], 45), (["reenactment"], 51), (["faceswap", "reenactment"], 45)):
        failing = stressed.fails(stressed.lines[0], tasks)
        assert failing is not None and failing.last == last


def test_the_report_shows_all_of_it(run: tuple[Path, Params, Greys], tmp_path: Path) -> None:
    folder, params, _ = run
    made_up.write_manifests(folder / "raw", folder / "compressed", params)
    for name in SETS:
        pd.DataFrame(columns=["set", "video", "frame", "stage", "cause"]).astype({"frame": "Int64"}).to_parquet(
            folder / "shards" / name / "rejected.parquet"
        )
    report.build(*(folder / name for name in ("cells", "shards", "raw", "compressed")), tmp_path, params)
    page = (tmp_path / "report.md").read_text()
    assert "## As compression grows" in page and "## Across manipulations" in page
    assert page.count("ADD cannot be said to move the point at which detection fails") == 2  # verdict and section
    assert f"tests 2 of the {params.sample.frames} frames a video" in page  # why its c40 is not the table's c40
    figures = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert figures >= {"stress-mobilenet_v2", "stress-codecs", "stress-others", "cross", "reliability"}
    every = pd.read_csv(tmp_path / "tables/stress_all.csv")
    assert len(every) == 2 * len(GAPS) * 4 and {"tpr_at_5", "auc_low", "bits_per_pixel"} <= set(every)
    assert every.loc[every["degradation"] == "vp9-30", "bits_per_pixel"].unique() == pytest.approx([8 * 100 / 800])
    for name in ("stress", "stress_all", "stress_left_out", "cross", "operating"):
        assert {path.suffix for path in (tmp_path / "tables").glob(f"{name}.*")} == {".csv", ".md", ".tex"}
    shown = pd.read_csv(tmp_path / "tables/operating.csv").set_index(["manipulation", "method"])
    row = shown.loc[("faceswap", "add")]
    assert row["frame_carried_from"] == "c23" and 0.5 <= row["frame_balanced_acc_carried"] <= 1
    # The interval of it by hand: the thresholds stay, people are drawn, from the frames of the stress stage.
    stage = json.loads((folder / "cells/stress-add/summary.json").read_text())["thresholds"]
    (carried,) = (
        one for one in stage
        if (one["manipulation"], one["level"], one["chosen_at"], one["used_at"]) == ("faceswap", "frame", "c23", "c40")
    )  # fmt: skip
    frames = pd.read_parquet(folder / "cells/stress-add/add-mobilenet_v2-faceswap-c40-s0.parquet")
    right = (frames["c40"] >= frames["fold"].astype(str).map(carried["cuts"])) == (frames["label"] == 1)
    videos = frames.drop_duplicates(["set", "video"]).sort_values(["set", "video"])
    draws = draw(None, videos["person"], params.evaluation.bootstrap, params.evaluation.seed)
    weight = draws[:, frames.groupby(["set", "video"], sort=True).ngroup()]
    recalls = [weight[:, of] @ right[of] / weight[:, of].sum(1) for of in (frames["label"] == 0, frames["label"] == 1)]
    wanted = np.mean(recalls, axis=0)
    ends = [row[f"frame_balanced_acc_carried_{end}"] for end in ("low", "high")]
    assert ends == pytest.approx(np.percentile(wanted[1:], [2.5, 97.5])) and ends[0] < ends[1]
    assert row["frame_balanced_acc_carried"] == pytest.approx(wanted[0]) and row["interval_over"] == "person"
    cell = json.loads((folder / "cells/add-mobilenet_v2-faceswap-c40-s0.json").read_text())
    (chosen,) = (one["balanced_acc"] for one in cell["thresholds"] if one["level"] == "frame")
    assert row["frame_balanced_acc_chosen"] == pytest.approx(chosen)


def test_without_a_stress_stage_the_report_does_without(run: tuple[Path, Params, Greys], tmp_path: Path) -> None:
    folder, params, _ = run
    assert robustness.read(tmp_path, params) is None
    results = read(folder / "cells", params)
    found = operating.table(results, None, params)
    assert found.values["frame_balanced_acc_carried"].isna().all() and found.values["frame_tpr_at_5"].notna().all()
    stressed = robustness.read(folder / "cells", params)
    assert stressed is not None
    assert len(stress_figures.figures(stressed)) == 3 and len(stress_tables.left_out(stressed)) == 1
    lacking = dataclasses.replace(stressed, folders=dict.fromkeys(stressed.folders, tmp_path))
    with pytest.raises(UserError, match=r"add-mobilenet_v2-faceswap-c40-s0\.parquet: not found; run `dvc repro`"):
        lacking.scores(Cell("add", "mobilenet_v2", "faceswap", "c40", 0), "c40")
    (tmp_path / "stress-add").mkdir()
    (tmp_path / "stress-add/summary.json").write_text("{")
    with pytest.raises(UserError, match="stress-add: cannot be read"):
        robustness.read(tmp_path, params)
