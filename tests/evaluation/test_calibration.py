"""Calibration and thresholds: what they promise, and that no judged person has a say in them."""

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.calibration import TEST, VALIDATION, error, fit, judged


def videos(count: int, seed: int, sharpness: float = 1.0, shift: float = 0.0) -> pd.DataFrame:
    """Scores whose logit is `sharpness` times the true one of the class: 1 is calibrated, 3 is far too sure."""
    random = np.random.default_rng(seed)
    labels = np.tile([0, 1], count // 2)
    logit = random.normal(2 * labels - 1, np.sqrt(2))  # log odds of these two classes are the value itself
    score = 1 / (1 + np.exp(-(sharpness * logit + shift)))
    people = [f"p{number // 4}" for number in range(count)]
    return pd.DataFrame({"label": labels, "score": score, "person": people})


def frames(count: int, seed: int, fold: int, role: str = TEST, **about: float) -> pd.DataFrame:
    rows = videos(count, seed, **about)
    sets = np.where(rows["label"] == 1, "faceswap", "original")
    names = [f"{role}{fold}-{number}" for number in range(count)]
    return rows.assign(
        set=sets, video=names, frame=0, fold=fold, role=role, person=[f"{fold}{p}" for p in rows["person"]]
    )


def test_an_overconfident_score_is_brought_back() -> None:
    found = fit(videos(4000, 0, sharpness=3.0, shift=1.5), 0.05, 0.05)
    assert found.slope == pytest.approx(1 / 3, abs=0.03) and found.offset == pytest.approx(-0.5, abs=0.1)
    fresh = videos(4000, 1, sharpness=3.0, shift=1.5)
    probabilities = found.probability(fresh["score"].to_numpy())
    near = np.abs(probabilities - 0.8) < 0.05
    assert fresh["label"][near].mean() == pytest.approx(0.8, abs=0.05)


def test_the_share_of_fakes_among_the_known_does_not_move_the_probability() -> None:
    even = videos(4000, 0)
    many = pd.concat([even, even[even["label"] == 1], even[even["label"] == 1]])
    one, other = (fit(rows, 0.05, 0.05).probability(0.5) for rows in (even, many))
    assert one == pytest.approx(other, abs=0.01)


@pytest.mark.parametrize("apart", [0.02, 0.2, 1.0])
def test_scores_that_lie_apart_ask_for_no_certainty(apart: float) -> None:
    """Of ten people of whom none is mistaken an unbounded fit would be sure of everything near the gap."""
    random = np.random.default_rng(0)
    labels = np.tile([0, 1], 45)
    logit = np.where(labels == 1, apart / 2, -apart / 2) + (2 * labels - 1) * random.uniform(0, 2, 90)
    people = [f"p{number // 9}" for number in range(90)]
    found = fit(pd.DataFrame({"label": labels, "score": 1 / (1 + np.exp(-logit)), "person": people}), 0.05, 0.05)
    assert 1 < found.slope < 5 and abs(found.offset) < 0.1


def test_what_few_people_have_in_common_is_not_taken_for_everybodys() -> None:
    """Scores of ten are all too high by as much as between the thirds of the sample; of a thousand it would be true."""
    few, many = (fit(videos(count, 0, shift=2.0), 0.05, 0.05) for count in (40, 4000))
    assert -0.5 < few.offset < 0 and many.offset < -1.5


def test_people_count_not_their_videos() -> None:
    rows = videos(40, 0, sharpness=3.0, shift=2.0)
    once, often = fit(rows, 0.05, 0.05), fit(pd.concat([rows] * 50), 0.05, 0.05)
    assert (once.slope, once.offset) == pytest.approx((often.slope, often.offset), abs=1e-3)


@pytest.mark.parametrize("accepted", [0.02, 0.1])
def test_thresholds_keep_their_promise_on_others(accepted: float) -> None:
    alarms, misses = [], []
    for seed in range(60):
        found = fit(videos(200, seed), accepted, 2 * accepted)
        fresh = videos(400, 1000 + seed)
        verdicts = [found.verdict(p) for p in found.probability(fresh["score"].to_numpy())]
        alarms.append(np.mean([v == "fake" for v, label in zip(verdicts, fresh["label"], strict=True) if label == 0]))
        misses.append(np.mean([v == "real" for v, label in zip(verdicts, fresh["label"], strict=True) if label == 1]))
    assert accepted / 2 < np.mean(alarms) <= 1.3 * accepted and np.mean(misses) <= 2.3 * accepted


def test_too_few_videos_cannot_hold_a_small_rate() -> None:
    assert not fit(videos(20, 0), 0.05, 0.05).holds and fit(videos(40, 0), 0.05, 0.05).holds


def test_classes_that_lie_apart_leave_their_gap_undecided() -> None:
    rows = pd.DataFrame({"label": [0, 1] * 20, "score": [0.1, 0.9] * 20, "person": "p"})
    found = fit(rows, 0.05, 0.05)
    assert [found.verdict(float(found.probability(s))) for s in (0.01, 0.5, 0.99)] == ["real", "undecided", "fake"]


def test_a_detector_that_is_worse_than_chance_is_not_turned_round() -> None:
    rows = videos(400, 0)
    found = fit(rows.assign(score=1 - rows["score"]), 0.05, 0.05)
    assert found.slope == 0 and {found.verdict(float(p)) for p in found.probability(rows["score"])} == {"undecided"}


def test_no_one_is_judged_by_their_own_scores() -> None:
    table = pd.concat([frames(60, fold, fold) for fold in range(3)], ignore_index=True)
    turned = table.assign(score=table["score"].where(table["fold"] != 1, 1 - table["score"]))
    found = judged(turned, 0.05, 0.05)
    assert len(found) == 180 and set(found["fold"]) == {0, 1, 2}
    mine = turned["fold"] == 1
    after = dict(zip(found["video"], found["probability"], strict=True))
    # The mapping for fold 1 is that of folds 0 and 2, whatever fold 1 scores.
    known = fit(table[~mine], 0.05, 0.05)
    expected = known.probability(turned["score"][mine].to_numpy())
    assert [after[v] for v in turned["video"][mine]] == pytest.approx(expected.tolist())


def test_validation_people_come_before_other_folds() -> None:
    test = pd.concat([frames(60, fold, fold) for fold in range(2)])
    own = pd.concat([frames(60, 10 + fold, fold, VALIDATION, sharpness=3.0) for fold in range(2)])
    found = judged(pd.concat([test, own], ignore_index=True), 0.05, 0.05)
    assert len(found) == 120 and not found["video"].str.startswith(VALIDATION).any()
    known = fit(own[own["fold"] == 0], 0.05, 0.05)
    first = found[found["fold"] == 0]
    assert first["probability"].tolist() == pytest.approx(known.probability(first["score"].to_numpy()).tolist())


def test_one_fold_without_validation_cannot_be_judged() -> None:
    assert judged(frames(60, 0, 0), 0.05, 0.05).empty


def test_the_calibration_error_weighs_reals_and_fakes_alike() -> None:
    """Of one real and three fakes, 0.5 is right on the whole: as likely the one as the other beforehand."""
    videos = pd.DataFrame({"label": [0, 1, 1, 1], "right": 0.5, "high": 0.9})
    assert error(videos, "right") == pytest.approx(0)
    assert error(videos, "high") == pytest.approx(0.4)
    turned = videos.assign(label=1 - videos["label"])
    assert error(turned, "right") == pytest.approx(0) and error(turned, "high") == pytest.approx(0.4)
