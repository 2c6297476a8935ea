"""Intervals hold what they promise, p values by hand, and what Holm's correction is applied to."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from pipeline.evaluation import metrics
from pipeline.evaluation.statistics import Scored, draw, interval, paired, within

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
            low, high = metrics.intervals(table, ["set", "video"], 200, number)["acc"]
        else:
            scored = Scored.of([table])
            videos = scored.videos
            low, high = interval(scored.acc(draw(videos["set"], videos["video"], 200, number))[1:])
        held += low <= SHARE <= high
    assert 0.90 <= held / sets <= 0.98


@pytest.mark.parametrize(("level", "edges"), [(0.95, (0.025, 0.975)), (0.8, (0.1, 0.9))])
def test_intervals_of_single_frames_are_the_binomials(level: float, edges: tuple[float, float]) -> None:
    count = 200
    score = np.where(np.arange(count) < SHARE * count, 0.1, 0.9)
    table = pd.DataFrame({"set": "original", "video": np.arange(count), "person": "p", "label": 0, "score": score})
    found = metrics.intervals(table, ["set", "video"], 4000, 0, **({} if level == 0.95 else {"level": level}))["acc"]
    assert found == pytest.approx(binom.ppf(edges, count, SHARE) / count, abs=1.01 / count)


def test_draws_stay_within_their_stratum() -> None:
    """Of reals and of fakes as many videos as there are; a person's in all strata at once where there are none."""
    sets, videos = pd.Series(["a"] * 3 + ["b"] * 5), pd.Series(list("xyzuvwxy"))
    draws = draw(sets, sets + videos, 300, seed=0)
    assert (draws[:, :3].sum(1) == 3).all() and (draws[:, 3:].sum(1) == 5).all() and (draws[0] == 1).all()
    assert len(np.unique(draws[1:], axis=0)) > 100
    assert draws[1:].mean(0) == pytest.approx(np.ones(8), abs=0.15)
    assert (draws != draw(sets, sets + videos, 300, seed=1)).any()


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
