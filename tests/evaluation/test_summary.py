"""What scores amount to: intervals over whole videos or people, and what is said of an AUC that is missing."""

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.metrics import measure
from pipeline.evaluation.summary import intervals, summarise, without_auc
from pipeline.params.sections import Evaluation

SETTINGS = Evaluation(batch_size=1, bootstrap=300, seed=0)


def test_intervals_hold_the_estimate_and_shrink_with_videos() -> None:
    random = np.random.default_rng(0)
    label, video = random.integers(0, 2, 300), random.integers(0, 12, 300)
    frames = pd.DataFrame({"set": np.where(label == 1, "faceswap", "original"), "video": [f"v{i:03d}" for i in video]})
    frames = frames.assign(person="p", label=label, score=np.clip(random.normal(0.4 + 0.2 * label, 0.25), 0, 1))
    few = intervals(frames, "video", SETTINGS)
    many = intervals(frames.assign(video=[f"v{i:03d}" for i in range(300)]), "video", SETTINGS)
    low, high = many["auc"]
    assert low < measure(frames)["auc"] < high
    assert high - low < 2 * (few["auc"][1] - few["auc"][0])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("label", "word"), [(0, "reals"), (1, "fakes")])
def test_an_auc_of_one_class_is_said_and_not_warned_of(label: int, word: str) -> None:
    rows = {"set": "original", "video": ["a", "a", "b", "b"], "person": ["p", "p", "q", "q"], "fold": [0, 0, 1, 1]}
    frames = pd.DataFrame(rows | {"label": label, "score": [0.1, 0.4, 0.6, 0.9]})
    result = summarise(frames, (), SETTINGS)
    assert np.isnan(result["frame"]["auc"]) and np.isnan(result["interval"]["frame"]["auc"]).all()
    assert 0 <= result["interval"]["frame"]["acc"][0] <= result["interval"]["frame"]["acc"][1] <= 1
    assert without_auc(result) == f"all folds tested {word} alone"
    mixed = pd.concat([frames, frames[:2].assign(label=1 - label, set="faceswap")], ignore_index=True)
    assert without_auc(summarise(mixed, (), SETTINGS)) == f"fold 1 tested {word} alone"
