"""The report's words and signs from known scores: which p decides, which way a difference points, what the gap is."""

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from pipeline.evaluation.draws import draw
from pipeline.evaluation.metrics import MEASURES, by_video
from pipeline.evaluation.statistics import Difference, Scored, holm, interval, paired
from pipeline.params.cells import ADD, Cell
from pipeline.params.schema import Params, load
from pipeline.reporting.comparison import FINER, MEAN, Comparison, Comparisons
from pipeline.reporting.page.conclusion import Conclusion, conclude
from pipeline.reporting.results import Model, Results, Task, read
from pipeline.reporting.tables import operating
from pipeline.reporting.tables import paired as paired_table
from pipeline.reporting.tables import results as tables
from pipeline.reporting.tables.measures import between, probability
from tests.aids import report_fixture as made_up

SEEDS = (0, 1)
Run = tuple[Params, Results, Comparisons]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    params = load(made_up.write_params(folder, **{"grid.seeds": list(SEEDS), "evaluation.bootstrap": 100}))
    made_up.write_cells(folder / "cells", params)
    results = read(folder / "cells", params)
    return params, results, Comparisons(results, params.evaluation)


def scored(results: Results, method: str, manipulation: str, seed: int, quality: str = "c40") -> pd.DataFrame:
    trained = "raw" if method == "teacher" else "c40"
    table = results.scores[Cell(method, "mobilenet_v2", manipulation, trained, seed)]
    return table[table["quality"] == quality]


def mean_of(measure: Any, results: Results, method: str, manipulation: str) -> float:
    return sum(measure(scored(results, method, manipulation, seed)) for seed in SEEDS) / len(SEEDS)


def auc(table: pd.DataFrame) -> float:
    return float(roc_auc_score(table["label"], table["score"]))


def acc(table: pd.DataFrame) -> float:
    return float(accuracy_score(table["label"], table["score"] >= 0.5))


def above_target(table: pd.DataFrame) -> float:
    """How often a fake's frame scores above the same frame of its own target."""
    reals = table[table["label"] == 0].set_index(["video", "frame"])["score"]
    pairs = [(row.score, reals[row.target, row.frame]) for row in table[table["label"] == 1].itertuples()]
    return float(np.mean([(fake > real) + (fake == real) / 2 for fake, real in pairs]))


# ---------------------------------------------------------------- the paired tests


def test_differences_are_add_less_the_other(run: Run) -> None:
    _, results, comparisons = run
    rows = comparisons.against_add
    tasks = {row.task.manipulation for row in rows}
    assert tasks == {"faceswap", "reenactment", MEAN} and len(rows) == 3 * 2 * 3
    for row in rows:
        measure = {"auc": auc, "acc": acc, "above_target": above_target}[row.measure]
        members = ["faceswap", "reenactment"] if row.task.manipulation == MEAN else [row.task.manipulation]
        ours, theirs = (
            sum(mean_of(measure, results, method, name) for name in members) / len(members)
            for method in (ADD, row.other.method)
        )
        assert row.values == pytest.approx((ours, theirs))
        for found in (row.videos, row.people):
            assert found.value == pytest.approx(ours - theirs)
            assert found.low < found.high and found.p > 0


def test_intervals_over_people_draw_people_and_over_videos_videos(run: Run) -> None:
    params, results, comparisons = run
    row = next(row for row in comparisons.against_add if row.task.manipulation == "faceswap" and row.measure == "auc")
    sides = [
        Scored.of([scored(results, method, "faceswap", seed) for seed in SEEDS]) for method in (ADD, row.other.method)
    ]
    resamples, seed = FINER * params.evaluation.bootstrap, params.evaluation.seed
    videos = sides[0].videos
    people = draw(None, videos["person"], resamples, seed)
    by_hand = paired(*(side.auc(people) for side in sides))
    # The same people, though the draws of all videos of the run are another table.
    assert (row.people.low, row.people.high) == pytest.approx((by_hand.low, by_hand.high), abs=0.02)
    own = draw(videos["set"], videos["set"] + "/" + videos["video"], resamples, seed)
    by_hand = paired(*(side.auc(own) for side in sides))
    assert (row.videos.low, row.videos.high) == pytest.approx((by_hand.low, by_hand.high), abs=0.02)
    assert row.videos != row.people
    assert row.first(True) is row.people and row.first(False) is row.videos


def test_holm_corrects_within_a_measure_and_apart_for_the_mean(run: Run) -> None:
    rows = run[2].against_add
    assert any(row.corrected > row.videos.p for row in rows)
    for measure in ("auc", "acc"):
        for mean in (True, False):
            family = [row for row in rows if row.measure == measure and (row.task.manipulation == MEAN) == mean]
            assert len(family) == (2 if mean else 4)
            assert [row.corrected for row in family] == pytest.approx(holm([row.videos.p for row in family]))


def test_the_table_of_tests_prints_what_was_compared(run: Run) -> None:
    params, results, comparisons = run
    table = paired_table.table(results, comparisons, params.report.margin)
    column = list(table.header).index
    assert len(table.values) == len(comparisons.against_add)
    for shown, (_, values), row in zip(table.rows, table.values.iterrows(), comparisons.against_add, strict=True):
        assert values["difference"] == pytest.approx(values["add_value"] - values["other_value"])
        assert (values["p"], values["p_holm"]) == (row.videos.p, row.corrected)
        assert (values["low"], values["high"]) == (row.videos.low, row.videos.high)
        assert (values["people_low"], values["people_high"]) == (row.people.low, row.people.high)
        digits, scale = (3, 1) if row.measure == "auc" else (1, 100)
        text = {name: shown[column(name)].text for name in table.header}
        assert text["p (Holm)"] == probability(row.corrected) and text["p"] == probability(row.videos.p)
        assert float(text["difference"].replace("−", "-")) == round(scale * row.videos.value, digits)
        assert text["difference"][0] == ("+" if row.videos.value > 0 else "−")
        assert text["95 % over people"] == between(row.people.low, row.people.high, digits, scale)
        assert text["95 % over videos"] == between(row.videos.low, row.videos.high, digits, scale)
        assert (
            text["ADD"] == f"{scale * row.values[0]:.{digits}f}"
            and text["other"] == f"{scale * row.values[1]:.{digits}f}"
        )
        assert text["detectable"] == f"{scale * row.videos.detectable:.{digits}f}"


@pytest.mark.parametrize(("p", "text"), [(0.0004, "< .001"), (0.0125, "0.013"), (1.0, "1.000"), (float("nan"), "–")])
def test_a_p_is_printed_with_three_decimals(p: float, text: str) -> None:
    assert probability(p) == text


def test_intervals_of_the_main_table_are_of_their_level_and_unit(run: Run) -> None:
    _, results, comparisons = run
    table = tables.main(results, comparisons).values.set_index(["manipulation", "method"])
    for level in ("frame", "video"):
        for manipulation in ("faceswap", "reenactment"):
            row = table.loc[(manipulation, "add")]
            runs = [scored(results, "add", manipulation, seed) for seed in SEEDS]
            runs = [by_video(one).assign(frame=0) for one in runs] if level == "video" else runs
            assert row[f"{level}_auc"] == pytest.approx(sum(map(auc, runs)) / len(runs))
            videos = Scored.of(runs)
            for unit, stem in (("video", "auc"), ("person", "auc_people")):
                names = videos.videos
                draws = (
                    draw(names["set"], names["set"] + names["video"], 1000, 0)
                    if unit == "video"
                    else draw(None, names["person"], 1000, 0)
                )
                ends = interval(videos.auc(draws)[1:])
                assert (row[f"{level}_{stem}_low"], row[f"{level}_{stem}_high"]) == pytest.approx(ends, abs=0.02)
    assert (table["frame_auc_low"] != table["frame_auc_people_low"]).all()


# ---------------------------------------------------------------- few false alarms, probabilities, thresholds


@pytest.mark.parametrize("few", [True, False])
def test_the_operating_table_has_intervals_over_people_where_they_are_few(run: Run, few: bool) -> None:
    params, results, _ = run
    results = replace(results, summaries=deepcopy(results.summaries))
    results.__dict__["few_people"] = few
    runs = [scored(results, "add", "faceswap", seed) for seed in SEEDS]
    cuts = [{0: 0.4, 1: 0.5, 2: 0.65}, {0: 0.3, 1: 0.6, 2: 0.55}]
    for seed, table, cut in zip(SEEDS, runs, cuts, strict=True):
        rows = [{"level": level, "chosen_at": "c40", "used_at": "c40", "cuts": {str(k): v for k, v in cut.items()},
                 "balanced_acc": balanced_accuracy_score(one["label"], one["score"] >= one["fold"].map(cut))}
                for level, one in (("frame", table), ("video", video_scores(table)))]  # fmt: skip
        results.summaries[Cell("add", "mobilenet_v2", "faceswap", "c40", seed)]["thresholds"] = rows
    shown = operating.table(results, None, params)
    values = shown.values.set_index(["manipulation", "method"]).loc[("faceswap", "add")]
    printed = {row[3].text: row for row in shown.rows if (row[0].text, row[2].text) == ("faceswap", "add")}
    assert values["interval_over"] == ("person" if few else "video")
    assert f"95 % intervals over {'people, who are few' if few else 'videos'};" in shown.hint
    for level in ("frame", "video"):
        tables_of = runs if level == "frame" else [video_scores(one) for one in runs]
        for column, name in enumerate((*operating.MEASURES, "balanced_acc_chosen"), start=4):
            drawn = []
            for table, cut in zip(tables_of, cuts, strict=True):
                label, score = table["label"].to_numpy(float), table["score"].to_numpy()
                if name == "balanced_acc_chosen":  # as 0 and 1 they are on their side of 0.5
                    score = (score >= table["fold"].map(cut).to_numpy()).astype(float)
                measure = MEASURES[name.removesuffix("_chosen")]
                drawn.append(measure(label, score, weights(table, few, params)))
            mean = np.mean(drawn, axis=0)
            low, high = interval(mean[1:])
            found = tuple(values[f"{level}_{name}{end}"] for end in ("", "_low", "_high"))
            assert found == pytest.approx((mean[0], low, high)), (level, name)
            assert values[f"{level}_{name}_sd"] == pytest.approx(np.std([one[0] for one in drawn], ddof=1))
            digits, scale = (3, 1) if name in ("brier", "log_loss") else (1, 100)
            assert printed[level][column].text.endswith(between(low, high, digits, scale))
            assert printed[level][column].text.startswith(f"{scale * mean[0]:.{digits}f} ± ")
        assert printed[level][-1].text == "–"  # nothing was carried: there is no stress stage
    assert {len(row) for row in shown.rows} == {len(shown.header)} == {sum(n for _, n in shown.groups)}


def video_scores(frames: pd.DataFrame) -> pd.DataFrame:
    return frames.groupby(["fold", "set", "video", "person", "label"])["score"].mean().reset_index()


def weights(frames: pd.DataFrame, few: bool, params: Params) -> Any:
    """How often each frame was drawn: with its person, or with its video."""
    videos = frames[["set", "video", "person"]].drop_duplicates(["set", "video"]).sort_values(["set", "video"])
    strata, units = (None, videos["person"]) if few else (videos["set"], videos["set"] + "/" + videos["video"])
    draws = draw(strata, units, params.evaluation.bootstrap, params.evaluation.seed)
    return draws[:, frames.groupby(["set", "video"], sort=True).ngroup()]


# ---------------------------------------------------------------- the gap


def test_the_gap_is_what_compression_takes_from_the_teacher(run: Run) -> None:
    params, results, _ = run
    table = tables.gap(results, params.compressions)
    values = table.values.set_index(["manipulation", "tested_on"])
    for number, (manipulation, quality) in enumerate(values.index):
        at, raw = (scored(results, "teacher", manipulation, 0, name) for name in (quality, "raw"))
        row = values.loc[(manipulation, quality)]
        assert row["frame_auc"] == pytest.approx(auc(at)) and row["frame_acc"] == pytest.approx(acc(at))
        assert row["video_auc"] == pytest.approx(auc(by_video(at))) != row["frame_auc"]
        lost = table.rows[number][list(table.header).index("against raw")].text
        if quality == "raw":
            assert pd.isna(row["frame_auc_lost"]) and lost == "–"
        else:
            assert row["frame_auc_lost"] == pytest.approx(auc(at) - auc(raw)) and row["frame_auc_lost"] < 0
            assert lost.startswith("−0.") and float(lost.replace("−", "-")) == round(auc(at) - auc(raw), 3)
    assert set(values.index) == {(m, q) for m in params.manipulations for q in ("raw", *params.compressions)}


def test_the_gaps_sentence_has_the_same_numbers(run: Run) -> None:
    params, results, comparisons = run
    raw, c40 = (
        sum(auc(scored(results, "teacher", name, 0, quality)) for name in params.manipulations) / 2
        for quality in ("raw", "c40")
    )
    said = [line for line in conclude(results, comparisons, params).details if line.startswith("The gap: ")]
    assert said == [
        f"The gap: the teacher (mobilenet_v2), trained on raw crops, has an AUC per frame of {raw:.3f} on raw crops of "
        f"unseen people and {c40:.3f} at c40 on the same frames, mean over the manipulations."
    ]


# ---------------------------------------------------------------- the words


def told(run: Run, *rows: tuple[str, str, float, float, float]) -> Conclusion:
    """The verdict on rows (manipulation, other method, difference, p, p by Holm) of AUC."""
    params, results, _ = run
    made = []
    for manipulation, other, value, p, corrected in rows:
        found = Difference(value, value - 0.01, value + 0.01, p, 0.05)
        pair = Model(ADD, "mobilenet_v2"), Model(other, "mobilenet_v2")
        made.append(Comparison(Task(manipulation, "c40"), *pair, "auc", (0.8, 0.8 - value), found, found, corrected))
    stub: Any = SimpleNamespace(against_add=made)
    return conclude(results, stub, params)


@pytest.mark.parametrize(
    ("value", "p", "corrected", "head", "judged", "word"),
    [
        (0.1, 0.01, 0.04, "beats", "stands out (p = 0.040", "better"),
        (-0.1, 0.01, 0.04, "falls short of", "stands out (p = 0.040", "worse"),
        (0.1, 0.02, 0.06, "cannot be told from", "cannot be told from zero (p = 0.060", "undecided"),
        (-0.1, 0.001, 0.3, "cannot be told from", "cannot be told from zero (p = 0.300", "undecided"),
    ],
)
def test_headline_and_details_go_by_the_corrected_p(
    run: Run, value: float, p: float, corrected: float, head: str, judged: str, word: str
) -> None:
    same = (value, p, corrected)
    rows = [(MEAN, "mobilenet_v2", *same), (MEAN, "kd", *same), ("faceswap", "mobilenet_v2", *same)]
    found = told(run, *rows, ("reenactment", "mobilenet_v2", 0.1, 1.0, 1.0))
    assert found.headline.startswith(f"At c40, over all manipulations, ADD {head} the plain baseline.")
    counts = {"better": (1, 0), "worse": (0, 1), "undecided": (0, 0)}[word]
    assert f"better on {counts[0]}, worse on {counts[1]} of 2 tasks" in found.headline
    (line,) = (line for line in found.details if "has an AUC of" in line)
    sign = "+" if value > 0 else "−"
    assert judged in line and f"difference of {sign}0.100" in line
    assert f"AUC of 0.800 against {0.8 - value:.3f} of the plain baseline" in line
    (line,) = (line for line in found.details if line.startswith("AUC of add less that of the other methods"))
    assert f"kd ({sign}0.100, {word})" in line


@pytest.mark.parametrize(
    ("value", "corrected", "said"),
    [
        (0.1, 0.04, "better"),
        (-0.1, 0.04, "worse"),
        (0.1, 0.06, "cannot be told apart"),
        (-0.1, 0.3, "cannot be told apart"),
    ],
)
def test_what_a_paired_test_shows_goes_by_the_corrected_p(value: float, corrected: float, said: str) -> None:
    found = Difference(value, value - 0.05, value + 0.05, 0.01, 0.05)
    pair = Model(ADD, "a"), Model("a", "a")
    row = Comparison(Task("x", "c40"), *pair, "auc", (0.8, 0.8 - value), found, found, corrected)
    assert row.statement(False, 0.02) == row.statement(True, 0.02) == said


def test_without_means_the_single_tasks_are_the_headline(run: Run) -> None:
    found = told(run, ("faceswap", "mobilenet_v2", 0.1, 0.01, 0.02), ("faceswap", "warm_start", -0.1, 0.01, 0.02))
    assert found.headline == "On faceswap c40, ADD beats the plain baseline."
    assert sum("has an AUC of" in line and "stands out" in line for line in found.details) == 2


def test_nothing_is_said_without_a_plain_baseline(run: Run) -> None:
    assert told(run, (MEAN, "kd", 0.1, 0.01, 0.02)).headline.startswith("Nothing can be said")


def test_the_size_of_difference_that_could_have_been_shown(run: Run) -> None:
    lines = told(run, (MEAN, "mobilenet_v2", 0.1, 0.01, 0.02)).details
    assert any("an AUC of 0.050 to 0.050" in line for line in lines)
