"""Chosen thresholds against a search over every cut."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from pipeline.evaluation import thresholds


def frames(seed: int, count: int = 60, ties: bool = False, shift: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, count)
    score = np.clip(random.normal(0.4 + 0.2 * label + shift, 0.2), 0, 1)
    video = [f"v{number % 20}" for number in range(count)]
    table = pd.DataFrame({"set": np.where(label == 1, "fake", "original"), "video": video, "person": video})
    return table.assign(
        frame=range(count), label=label, score=score.round(1) if ties else score, fold=np.arange(count) % 3
    )


@pytest.mark.parametrize(("seed", "ties"), [(0, False), (1, False), (2, True)])
def test_no_other_cut_is_better(seed: int, ties: bool) -> None:
    table = frames(seed, ties=ties)
    found = thresholds.best(table)
    worth = {cut: balanced_accuracy_score(table["label"], table["score"] >= cut) for cut in np.linspace(0, 1, 101)}
    best = max(worth.values())
    own = balanced_accuracy_score(table["label"], table["score"] >= found)
    assert own >= best - 1e-12
    if own == pytest.approx(best):  # of equally good ones the nearest to 0.5
        assert abs(found - 0.5) <= min(abs(cut - 0.5) for cut, value in worth.items() if value == best) + 0.06
    assert np.isnan(thresholds.best(table[table["label"] == 1]))


def test_other_folds_choose_where_nobody_validates() -> None:
    tested = frames(0)
    found = thresholds.chosen(tested, tested.iloc[:0])
    assert found == {fold: thresholds.best(tested[tested["fold"] != fold]) for fold in range(3)}
    validation = frames(5)
    found = thresholds.chosen(tested, validation)
    assert found == {fold: thresholds.best(validation[validation["fold"] == fold]) for fold in range(3)}
    one = tested[tested["fold"] == 0]
    assert np.isnan(thresholds.chosen(one, tested.iloc[:0])[0])
    assert np.isnan(thresholds.balanced(one, {0: float("nan")}))


def test_a_threshold_is_carried_to_the_other_quality() -> None:
    tested = {"c23": frames(0, 600), "c40": frames(0, 600, shift=0.3)}
    rows = thresholds.carried(tested, {quality: table.iloc[:0] for quality, table in tested.items()})
    found = {(row["level"], row["chosen_at"], row["used_at"]): row["balanced_acc"] for row in rows}
    assert len(found) == 2 * 4
    cuts = thresholds.chosen(tested["c23"], tested["c23"].iloc[:0])
    c40 = tested["c40"]
    guess = c40["score"] >= c40["fold"].map(cuts)
    assert found["frame", "c23", "c40"] == pytest.approx(balanced_accuracy_score(c40["label"], guess))
    # All scores are higher at c40: what was chosen at c23 calls too much a fake.
    assert found["frame", "c23", "c40"] < found["frame", "c40", "c40"]
    assert found["frame", "c23", "c23"] != found["video", "c23", "c23"]
