"""Measures of resampled videos, intervals and paired tests, against plain computations and textbook values."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from pipeline.evaluation import metrics
from pipeline.evaluation.draws import draw
from pipeline.evaluation.statistics import Scored, holm, interval, paired, within
from pipeline.evaluation.summary import intervals
from pipeline.params.sections import Evaluation
from tests.aids import report_fixture as made_up

SHARE = 0.7  # of frames on the right side, in the world that test sets are drawn from


def test_an_interval_is_the_middle_95_percent() -> None:
    assert interval(np.arange(1001.0)) == (25, 975)
    half = np.where(np.arange(100) < 50, np.arange(100.0), np.nan)
    assert interval(half) == pytest.approx((49 * 0.025, 49 * 0.975))
    assert all(np.isnan(interval(np.where(np.arange(100) < 49, 1.0, np.nan))))
    assert all(np.isnan(interval(np.array([]))))


@pytest.mark.parametrize(("low", "high", "said"), [
    (-0.01, 0.01, True), (-0.02, 0.01, False), (-0.01, 0.02, False), (-0.03, -0.021, False), (0.021, 0.03, False),
])  # fmt: skip
def test_an_interval_lies_within_a_margin_or_not(low: float, high: float, said: bool) -> None:
    assert within(low, high, 0.02) == said


def differences(*resampled: float, value: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Two measures, the sample itself first, that differ by these."""
    second = np.linspace(0.4, 0.6, 1 + len(resampled))
    return second + np.array([value, *resampled]), second


def test_p_counts_both_sides_and_is_never_zero() -> None:
    """Davison & Hinkley (1997, section 4.4): (1 + those on the other side) / (1 + R), twice the smaller tail."""
    assert paired(*differences(*[0.1] * 99)).p == pytest.approx(2 / 100)
    assert paired(*differences(*[-0.1] * 99, value=-0.3)).p == pytest.approx(2 / 100)
    assert paired(*differences(*[0.1] * 96, *[-0.1] * 3)).p == pytest.approx(2 * 4 / 100)
    assert paired(*differences(*[0.1] * 50, *[-0.1] * 49)).p == 1
    assert paired(*differences(*[0.1] * 96, 0, *[-0.1] * 2)).p == pytest.approx(2 * 4 / 100)  # 0 is on either side
    assert np.isnan(paired(*differences(*[np.nan] * 60, *[0.1] * 39)).p)


def test_a_difference_is_the_samples_and_turns_its_sign_with_the_order() -> None:
    shifts = np.random.default_rng(0).normal(0.2, 0.1, 999)
    first, second = differences(*shifts)
    found, turned = paired(first, second), paired(second, first)
    assert found.value == pytest.approx(0.3) and turned.value == pytest.approx(-0.3)
    assert (found.low, found.high) == pytest.approx(np.percentile(shifts, [2.5, 97.5]))
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert turned.p == found.p and found.detectable == turned.detectable == pytest.approx(2.8 * shifts.std(ddof=1))


def frames(random: np.random.Generator, videos: int, count: int) -> pd.DataFrame:
    """Videos of each class, each wholly right or wrong but for a tenth of its frames; SHARE of the frames are right."""
    label = np.repeat([0, 1], videos)
    right = random.random(2 * videos) < (SHARE - 0.1) / 0.8
    shown = np.where(random.random((2 * videos, count)) < 0.1, ~right[:, None], right[:, None])
    video = np.repeat([f"v{number:03d}" for number in range(2 * videos)], count)
    table = pd.DataFrame({"video": video, "person": video, "frame": np.tile(np.arange(count), 2 * videos)})
    label = np.repeat(label, count)
    table["set"] = np.where(label == 1, "fake", "original")
    return table.assign(label=label, score=np.where(shown.ravel() == (label == 1), 0.9, 0.1))


@pytest.mark.parametrize("kind", ["of evaluate", "of the report"])
def test_intervals_cover_the_truth_as_often_as_they_say(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 19 of 20 test sets. Frames that were drawn each for itself would give half the width, and two in three."""
    monkeypatch.setattr(metrics, "MEASURES", {"acc": metrics.accuracy})
    random, held, sets = np.random.default_rng(3), 0, 200
    for number in range(sets):
        table = frames(random, videos=40, count=6)
        if kind == "of evaluate":
            low, high = intervals(table, "video", Evaluation(batch_size=1, bootstrap=200, seed=number))["acc"]
        else:
            scored = Scored.of([table])
            videos = scored.videos
            low, high = interval(scored.acc(draw(videos["set"], videos["video"], 200, number))[1:])
        held += low <= SHARE <= high
    assert 0.90 <= held / sets <= 0.98


def test_intervals_of_single_frames_are_the_binomials() -> None:
    count = 200
    score = np.where(np.arange(count) < SHARE * count, 0.1, 0.9)
    table = pd.DataFrame({"set": "original", "video": np.arange(count), "person": "p", "label": 0, "score": score})
    found = intervals(table, "video", Evaluation(batch_size=1, bootstrap=4000, seed=0))["acc"]
    assert found == pytest.approx(binom.ppf((0.025, 0.975), count, SHARE) / count, abs=1.01 / count)


@pytest.mark.parametrize("name", ["a_fake", "z_fake"])  # before the originals by its name, and behind them
def test_a_fake_is_set_beside_its_own_target_wherever_its_name_stands(name: str) -> None:
    rows = [
        {"set": "original", "video": "x", "target": "", "frame": 0, "label": 0, "score": 0.5},
        {"set": "original", "video": "y", "target": "", "frame": 0, "label": 0, "score": 0.5},
        {"set": name, "video": "x-fake", "target": "x", "frame": 0, "label": 1, "score": 0.6},
        {"set": name, "video": "y-fake", "target": "y", "frame": 0, "label": 1, "score": 0.5},
    ]
    scored = Scored.of([pd.DataFrame(rows).assign(person="p")])
    assert scored.above_target(np.ones((1, 4))).tolist() == [0.75]
    assert sorted(scored.beside) == [0, 0, 1, 1] and sorted(scored.above) == [0, 0, 0.5, 1]


@pytest.mark.parametrize("clips", [1, 3])
def test_resampled_measures_equal_those_of_the_drawn_frames(clips: int) -> None:
    frames = made_up.frames("faceswap", clips)
    frames["score"] = np.random.default_rng(0).integers(0, 20, len(frames)) / 20  # with ties
    scored = Scored.of([frames])
    draws = draw(scored.videos["set"], scored.videos["video"], 5, seed=1)
    assert draws[0].tolist() == [1.0] * len(scored.videos)
    for counts, auc, acc in zip(draws, scored.auc(draws), scored.acc(draws), strict=True):
        times = dict(zip(zip(scored.videos["set"], scored.videos["video"], strict=True), counts, strict=True))
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
    scored = Scored.of([first.sample(frac=1, random_state=0), second])
    assert scored.videos["video"].tolist() == ["a", "b", "a_b", "b_a"]
    assert scored.above_target(np.ones((1, 4))).tolist() == [pytest.approx((1.5 / 2 + 1) / 4)]
    assert scored.above_target(np.array([[1.0, 2, 0, 2]])).tolist() == [1.0]
    assert np.isnan(Scored.of([first.drop(columns="target")]).above_target(np.ones((1, 4)))).all()


def test_paired_bootstrap_agrees_with_a_plain_one() -> None:
    random = np.random.default_rng(3)
    frames = made_up.frames("faceswap")
    first, second = (frames.assign(score=random.random(len(frames)) + gain * frames["label"]) for gain in (0.5, 0.2))
    scored = [Scored.of([table]) for table in (first, second)]
    draws = draw(scored[0].videos["set"], scored[0].videos["video"], 2000, seed=0)
    found = paired(*(s.auc(draws) for s in scored))

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
    found = paired(same, same)
    assert (found.value, found.low, found.high, found.p, found.detectable) == (0, 0, 0, 1, 0)


def test_holm_against_the_textbook() -> None:
    # Holm (1979): the smallest times 4, the next times 3, ..., never falling; nan does not count.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, float("nan"), 0.9]) == pytest.approx([0.8, float("nan"), 0.9], nan_ok=True)
