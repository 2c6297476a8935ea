"""Every measure against scikit-learn or a direct computation."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as oracle

from pipeline.evaluation import metrics


@pytest.fixture(params=[0, 1, 2])
def frames(request: pytest.FixtureRequest) -> pd.DataFrame:
    random = np.random.default_rng(request.param)
    n = 300
    label = random.integers(0, 2, n)
    score = np.clip(random.normal(0.4 + 0.2 * label, 0.25), 0, 1)
    if request.param == 1:
        score = score.round(1)  # many ties
    video = random.integers(0, 12, n)
    return pd.DataFrame(
        {
            "set": np.where(label == 1, "faceswap", "original"),
            "video": [f"v{i}" for i in video],
            "person": [f"p{i % 4}" for i in video],
            "label": label,
            "score": score,
        }
    )


def test_measures_are_scikit_learns(frames: pd.DataFrame) -> None:
    found = metrics.measure(frames)
    label, score = frames["label"], frames["score"]
    guess = score >= 0.5
    assert found["acc"] == pytest.approx(oracle.accuracy_score(label, guess))
    assert found["balanced_acc"] == pytest.approx(oracle.balanced_accuracy_score(label, guess))
    assert found["fake_recall"] == pytest.approx(oracle.recall_score(label, guess))
    assert found["auc"] == pytest.approx(oracle.roc_auc_score(label, score))
    assert found["average_precision"] == pytest.approx(oracle.average_precision_score(label, score))
    assert found["brier"] == pytest.approx(oracle.brier_score_loss(label, score))
    assert found["log_loss"] == pytest.approx(oracle.log_loss(label, score.clip(1e-7, 1 - 1e-7)))
    alarms, hits, _ = oracle.roc_curve(label, score, drop_intermediate=False)
    for rate in (1, 5):
        assert found[f"tpr_at_{rate}"] == pytest.approx(hits[alarms <= rate / 100 + 1e-12].max())


def test_equal_error_rate_lies_on_the_roc_curve(frames: pd.DataFrame) -> None:
    alarm, hit, _ = oracle.roc_curve(frames["label"], frames["score"], drop_intermediate=False)
    rate = metrics.measure(frames)["eer"]
    assert np.interp(rate, alarm, hit) == pytest.approx(1 - rate, abs=0.02)


def test_calibration_error_by_hand() -> None:
    frames = pd.DataFrame({"label": [1, 0, 1, 1], "score": [0.01, 0.02, 0.99, 0.97]})
    # Bin 0 holds 1 fake of 2 at a mean score of 0.015, the last bin 2 of 2 at 0.98.
    assert metrics.measure(frames)["ece"] == pytest.approx(0.5 * (0.5 - 0.015) + 0.5 * (1 - 0.98))


def test_one_class_gives_nan_not_an_error() -> None:
    found = metrics.measure(pd.DataFrame({"label": [0, 0], "score": [0.1, 0.7]}))
    assert found["acc"] == 0.5 and np.isnan(found["auc"]) and np.isnan(found["fake_recall"])


ALWAYS = {"acc", "ece", "brier", "log_loss"}  # whatever the classes


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("label", "known"), [(0, ALWAYS), (1, ALWAYS | {"fake_recall", "average_precision"})])
def test_what_one_class_does_not_define_is_not_computed(frames: pd.DataFrame, label: int, known: set[str]) -> None:
    """Nor warned of, by however many numpy functions."""
    one = frames[frames["label"] == label].reset_index(drop=True)
    found = metrics.measure(one)
    drawn = metrics.weighed(one, np.random.default_rng(0).integers(0, 3, (20, len(one))).astype(float))
    assert {name for name, value in found.items() if np.isfinite(value)} == known
    assert {name for name, values in drawn.items() if np.isfinite(values).all()} == known


def test_weights_are_repeats(frames: pd.DataFrame) -> None:
    times = np.random.default_rng(5).integers(0, 4, len(frames))
    repeated = frames.loc[frames.index.repeat(times)]
    label, score = frames["label"].to_numpy(float), frames["score"].to_numpy(float)
    for name, function in metrics.MEASURES.items():
        weighted = function(label, score, times[None].astype(float))[0]
        assert weighted == pytest.approx(metrics.measure(repeated)[name]), name


def test_videos_of_two_sets_do_not_merge() -> None:
    frames = pd.DataFrame(
        {
            "set": ["a", "b", "a"],
            "video": ["000"] * 3,
            "person": ["p"] * 3,
            "label": [0, 1, 0],
            "score": [0.1, 0.9, 0.3],
        }
    )
    assert metrics.by_video(frames)["score"].tolist() == pytest.approx([0.2, 0.9])


def test_every_measure_is_told_in_the_docs() -> None:
    """A reader who compares with the paper needs each definition: docs/method.md, What is measured."""
    text = (Path(__file__).parents[2] / "docs/method.md").read_text()
    told = text.partition("## What is measured\n")[2].partition("\n## ")[0]
    first = " ".join(line.split("|")[1] for line in told.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", first)) == {*metrics.MEASURES, "knn_r1"}
    assert f"{metrics.BINS} equal bins" in told and f"side of {metrics.THRESHOLD}" in told
