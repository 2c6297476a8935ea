"""The operating table's measures under draws, against the same measures of every frame weighed by its video's draws."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from pipeline.evaluation import metrics
from pipeline.evaluation.draws import draw
from pipeline.evaluation.operating import balanced_under, under


def frames(seed: int, ties: bool = False) -> pd.DataFrame:
    """Six people's videos, of 3 to 7 frames, so that videos do not weigh alike."""
    random = np.random.default_rng(seed)
    rows = [
        {
            "set": ("original", "fake")[label],
            "video": f"v{clip}",
            "person": f"p{clip % 6}",
            "label": label,
            "fold": clip % 3,
        }
        for label in (1, 0)
        for clip in range(18)
        for _ in range(random.integers(3, 8))
    ]
    table = pd.DataFrame(rows).sample(frac=1, random_state=seed, ignore_index=True)  # in no order
    score = np.clip(random.normal(0.4 + 0.2 * table["label"], 0.25), 0.001, 0.999)
    return table.assign(score=score.round(1) if ties else score)


def drawn(table: pd.DataFrame, unit: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the sorted videos (R, V), and of their frames (R, N)."""
    videos = table[["set", "video", "person"]].drop_duplicates(["set", "video"]).sort_values(["set", "video"])
    strata, clusters = (
        (None, videos["person"]) if unit == "person" else (videos["set"], videos["set"] + videos["video"])
    )
    draws = draw(strata, clusters, 50, seed)
    return draws, draws[:, table.groupby(["set", "video"], sort=True).ngroup()]


@pytest.mark.parametrize("unit", ["video", "person"])
@pytest.mark.parametrize(("seed", "ties"), [(0, False), (1, True), (2, True)])
def test_each_measure_is_that_of_weighed_frames(seed: int, ties: bool, unit: str) -> None:
    table = frames(seed, ties)
    draws, weights = drawn(table, unit, seed)
    found = under(table, draws)
    label, score = table["label"].to_numpy(float), table["score"].to_numpy()
    assert set(found) == {"tpr_at_1", "tpr_at_5", "brier", "log_loss", "balanced_acc"}
    for name, values in found.items():
        assert values == pytest.approx(metrics.MEASURES[name](label, score, weights)), name
        assert values[0] == pytest.approx(metrics.measure(table)[name]) and len(set(values.round(9))) > 3


def test_balanced_accuracy_is_at_each_folds_own_threshold() -> None:
    table = frames(4)
    draws, weights = drawn(table, "person", 4)
    cuts = {0: 0.3, 1: 0.5, 2: 0.8}
    guess = table["score"] >= table["fold"].map(cuts)
    found = balanced_under(table, cuts, draws)
    for value, weight in zip(found, weights, strict=True):
        assert value == pytest.approx(balanced_accuracy_score(table["label"], guess, sample_weight=weight))
    assert np.isnan(balanced_under(table, cuts | {1: float("nan")}, draws)).all()


def test_a_draw_without_reals_or_without_fakes_says_nothing_of_either() -> None:
    table = frames(5)
    names = table[["set", "video"]].drop_duplicates().sort_values(["set", "video"])["set"].to_numpy()
    draws = np.stack([np.ones(len(names)), names == "original", names == "fake"]).astype(float)
    found = under(table, draws)
    for name in ("tpr_at_1", "tpr_at_5", "balanced_acc"):
        assert np.isfinite(found[name]).tolist() == [True, False, False], name
    assert np.isfinite(found["brier"]).all() and np.isfinite(found["log_loss"]).all()
    for label, name in enumerate(("original", "fake")):
        alone = under(table[table["label"] == label], np.ones((1, (names == name).sum())))
        assert {name for name, values in alone.items() if np.isfinite(values).all()} == {"brier", "log_loss"}
