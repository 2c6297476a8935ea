"""What evaluate joins: which model meets whom, at which quality, and what becomes of their scores.

The crops tell what they are, and the models here answer by that alone, so every number is known beforehand.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as oracle
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from pipeline.crops.folds import fold
from pipeline.detectors import card
from pipeline.detectors.backbones.features import Features
from pipeline.evaluation import metrics, thresholds
from pipeline.evaluation.evaluation import evaluate
from pipeline.evaluation.summary import intervals
from pipeline.params.schema import Params, load
from tests.aids import coded
from tests.aids.coded import Seen, Watching
from tests.aids.report_fixture import write_params

SMALL = {
    "model": {"image_size": coded.SIZE, "pretrained": False}, "crop.size": coded.STORED, "train.freeze_stages": 0,
    "evaluation": {"batch_size": 7, "bootstrap": 120, "seed": 3}, "grid.baselines": [],
    "stress.methods": [], "stress.degradations": [], "cross.methods": [],
}  # fmt: skip
FOLDS = (0, 1, 2)


def number(fold: int, one: Seen) -> np.random.Generator:
    """Draws that belong to a crop at a quality under one fold's model."""
    return np.random.default_rng(zlib.crc32(f"{fold} {one.crop} {one.quality}".encode()))


def score(fold: int, one: Seen) -> float:
    return float(np.clip(number(fold, one).normal(0.45 + 0.1 * (one.set != "original"), 0.2), 0.01, 0.99))


def embedding(fold: int, one: Seen) -> list[float]:
    return number(fold, one).normal(0, 1, 3).tolist()


class Knowing(Watching):
    """It answers by what a crop is and by its own fold."""

    met: ClassVar[list[tuple[int, Seen]]] = []  # by all of them

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fold", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor) -> Features:
        fold = int(self.get_buffer("fold"))
        seen = coded.read(images, self.training)
        self.met.extend((fold, one) for one in seen)
        scores = torch.tensor([score(fold, one) for one in seen])
        logits = torch.stack([torch.zeros_like(scores), scores.logit()], 1)
        return Features((), torch.tensor([embedding(fold, one) for one in seen]), logits)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coded.write_shards(tmp_path_factory.mktemp("coded"))


def run(
    folder: Path, shards: Path, quality: str, pooled: Sequence[str] = (), **changes: Any
) -> tuple[Params, dict[str, Any], pd.DataFrame, list[tuple[int, Seen]]]:
    """Evaluate one cell of three folds' models: params, what it tells, the scores, who met whom."""
    params = load(write_params(folder, **SMALL | changes))
    for held in FOLDS:
        where = folder / f"models/fold{held}"
        where.mkdir(parents=True)
        model = Knowing()
        model.get_buffer("fold").fill_(held)
        about = {"method": "at", "backbone": "mobilenet_v2", "manipulation": "faceswap", "quality": quality, "seed": 4}
        about |= {"pooled": tuple(pooled), "fold": held, "buckets": fold(params, held)._asdict()}
        card.save(model, card.Card(**about, image_size=coded.SIZE, mean=0.5, std=0.5), where)
        (where / card.SUMMARY).write_text(json.dumps({"steps": 10 + held}))
        pd.DataFrame({"step": [5, 10 + held], "val_acc": [None, 0.5]}).to_csv(where / card.HISTORY, index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(card, "build", lambda *names: Knowing())
        patch.setattr(Knowing, "met", [])
        found = evaluate(
            folder / "models", FOLDS, params.compressions, shards, params.evaluation, params.loader, folder / "cell"
        )
        met = Knowing.met
    assert json.loads((folder / "cell.json").read_text()) == json.loads(json.dumps(found).replace("NaN", "null"))
    return params, found, pd.read_parquet(folder / "cell.parquet"), met


def known(params: Params, role: str, quality: str, sets: Sequence[str] = coded.SETS[:2]) -> pd.DataFrame:
    """What the frames of a role should have been scored, of all folds."""
    rows = []
    for held in FOLDS:
        for person in coded.people(getattr(fold(params, held), role)):
            for name in sets:
                for frame in range(coded.FRAMES):
                    one = Seen(person, name, frame, quality, 4, 4, False, False)
                    row = {"fold": held, "person": person, "set": name, "video": f"{person}-{name}", "frame": frame}
                    row |= {"label": int(name != "original"), "score": score(held, one)}
                    rows.append(row | {"embedding": embedding(held, one)})
    return pd.DataFrame(rows).sort_values(["fold", "set", "video", "frame"], ignore_index=True)


@pytest.fixture(scope="module", params=[0, 1], ids=["no validation", "validation"])
def teacher(request: pytest.FixtureRequest, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield run(tmp_path_factory.mktemp("run"), shards, "raw", **{"split.validation": request.param})


def test_each_person_is_tested_once_by_the_model_that_never_saw_them(teacher: Any) -> None:
    params, _, scores, met = teacher
    for held in FOLDS:
        roles = fold(params, held)
        here = [one for by, one in met if by == held]
        assert {one.person for one in here} == coded.people([name for role in roles for name in role])
        rows = scores[(scores["fold"] == held) & (scores["role"] == "test")]
        assert set(rows["person"]) == coded.people(roles.test)
        rows = scores[(scores["fold"] == held) & (scores["role"] == "val")]
        assert set(rows["person"]) == coded.people(roles.val)
    assert {one.window for _, one in met} == {(4, 4, False)} and not any(one.training for _, one in met)
    assert {one.set for _, one in met} == {"original", "faceswap"}
    tested = scores[scores["role"] == "test"]
    assert len(tested) == tested.groupby(["quality", "set", "video", "frame"]).ngroups == 3 * 6 * 2 * coded.FRAMES


def test_every_score_is_the_one_of_its_frame_quality_and_fold(teacher: Any) -> None:
    params, _, scores, _ = teacher
    assert set(scores["quality"]) == {"raw", "c23", "c40"}
    for quality in ("raw", "c23", "c40"):
        for role in ("test", "val"):
            found = scores[(scores["quality"] == quality) & (scores["role"] == role)]
            if role == "val" and not params.split.validation:
                assert found.empty
                continue
            found = found.sort_values(["fold", "set", "video", "frame"], ignore_index=True)
            wanted = known(params, role, quality)
            columns = ["fold", "person", "set", "video", "frame", "label"]
            pd.testing.assert_frame_equal(found[columns], wanted[columns], check_dtype=False)
            assert found["score"].to_numpy() == pytest.approx(wanted["score"].to_numpy(), abs=1e-6)


def test_the_nearest_neighbours_are_sought_among_the_training_people(teacher: Any) -> None:
    params, found, _, _ = teacher
    for quality in ("raw", "c23", "c40"):
        query, gallery = known(params, "test", quality), known(params, "train", quality)
        right = 0.0
        for held in FOLDS:
            q, g = (table[table["fold"] == held] for table in (query, gallery))
            nearest = KNeighborsClassifier(1).fit(g["embedding"].tolist(), g["label"])
            right += nearest.score(q["embedding"].tolist(), q["label"]) * len(q)
        assert found["results"][quality]["frame"]["knn_r1"] == pytest.approx(right / len(query))


def test_measures_are_of_the_test_people_at_their_quality(teacher: Any) -> None:
    params, found, _, _ = teacher
    for quality in ("raw", "c23", "c40"):
        table, result = known(params, "test", quality), found["results"][quality]
        label, value = table["label"], table["score"]
        assert result["frame"]["auc"] == pytest.approx(oracle.roc_auc_score(label, value))
        assert result["frame"]["acc"] == pytest.approx(oracle.accuracy_score(label, value >= 0.5))
        assert result["frame"]["brier"] == pytest.approx(oracle.brier_score_loss(label, value), abs=1e-6)
        videos = table.groupby(["set", "video"]).agg(label=("label", "first"), score=("score", "mean"))
        assert len(videos) == 2 * len(coded.PEOPLE)
        assert result["video"]["auc"] == pytest.approx(oracle.roc_auc_score(videos["label"], videos["score"]))
        for held in FOLDS:
            part = table[table["fold"] == held]
            assert result["per_fold"][str(held)]["auc"] == pytest.approx(
                oracle.roc_auc_score(part["label"], part["score"])
            )
        assert set(result["persons"]) == set(coded.PEOPLE)
        for person, told in result["persons"].items():
            part = table[table["person"] == person]
            assert told["acc"] == pytest.approx(oracle.accuracy_score(part["label"], part["score"] >= 0.5))
            assert (told["frames"], told["videos"]) == (2 * coded.FRAMES, 2)
    assert found["counts"] == {"frames": 36, "videos": 12, "persons": 6}


def test_intervals_are_over_videos_and_over_people(teacher: Any) -> None:
    params, found, scores, _ = teacher
    for quality, result in found["results"].items():
        table = scores[(scores["quality"] == quality) & (scores["role"] == "test")]
        levels = {"frame": table, "video": metrics.by_video(table)}
        for level, rows in levels.items():
            for key, unit in (("interval", "video"), ("interval_persons", "person")):
                wanted = intervals(rows, unit, params.evaluation)
                for name, ends in wanted.items():
                    assert result[key][level][name] == pytest.approx(ends, nan_ok=True), (quality, level, key, name)
        assert result["interval"]["frame"]["auc"] != result["interval_persons"]["frame"]["auc"]


def test_thresholds_are_chosen_on_people_whom_they_do_not_judge(teacher: Any) -> None:
    params, found, scores, _ = teacher
    chosen_on = "val" if params.split.validation else "test"
    told = {(row["level"], row["chosen_at"], row["used_at"]): row["balanced_acc"] for row in found["thresholds"]}
    cuts = {(row["level"], row["chosen_at"]): row["cuts"] for row in found["thresholds"]}
    assert len(told) == 2 * 9
    for one in ("raw", "c40"):
        for other in ("raw", "c40"):
            guesses, labels = [], []
            for held in FOLDS:
                rows = scores[(scores["role"] == chosen_on) & (scores["quality"] == one)]
                fit_on = rows[(rows["fold"] == held) == bool(params.split.validation)]
                used = scores[(scores["role"] == "test") & (scores["quality"] == other) & (scores["fold"] == held)]
                guesses += (used["score"] >= thresholds.best(fit_on)).tolist()
                assert cuts["frame", one][str(held)] == pytest.approx(thresholds.best(fit_on))
                labels += used["label"].tolist()
            assert told["frame", one, other] == pytest.approx(oracle.balanced_accuracy_score(labels, guesses))


def test_what_the_training_left_stands_with_its_fold(teacher: Any) -> None:
    _, found, _, _ = teacher
    assert [(one["fold"], one["steps"], one["history"][1]["step"]) for one in found["training"]] == [
        (held, 10 + held, 10 + held) for held in FOLDS
    ]
    assert found["training"][0]["history"][0] == {"step": 5, "val_acc": None}
    assert {name: found[name] for name in ("method", "backbone", "manipulation", "compression", "seed", "folds")} == {
        "method": "at", "backbone": "mobilenet_v2", "manipulation": "faceswap", "compression": "raw", "seed": 4,
        "folds": [0, 1, 2],
    }  # fmt: skip


@pytest.mark.parametrize(("quality", "tested"), [("c40", {"c40"}), ("all", {"raw", "c23", "c40"})])
def test_a_model_meets_the_qualities_that_it_is_for(
    shards: Path, tmp_path: Path, quality: str, tested: set[str]
) -> None:
    params, found, scores, met = run(tmp_path, shards, quality)
    assert set(found["results"]) == set(scores["quality"]) == {one.quality for _, one in met} == tested
    table = known(params, "test", "c40")
    assert found["results"]["c40"]["frame"]["auc"] == pytest.approx(
        oracle.roc_auc_score(table["label"], table["score"])
    )


def test_a_pooled_model_is_measured_on_each_manipulation_against_all_reals(shards: Path, tmp_path: Path) -> None:
    params, found, scores, met = run(tmp_path, shards, "c40", coded.SETS[1:])
    assert {one.set for _, one in met} == set(coded.SETS)
    table = known(params, "test", "c40", coded.SETS)
    result = found["results"]["c40"]
    assert result["frame"]["auc"] == pytest.approx(oracle.roc_auc_score(table["label"], table["score"]))
    assert set(result["manipulations"]) == set(coded.SETS[1:])
    for name, told in result["manipulations"].items():
        part = table[table["set"].isin(["original", name])]
        assert told["frame"]["auc"] == pytest.approx(oracle.roc_auc_score(part["label"], part["score"]))
        videos = part.groupby(["set", "video"]).agg(label=("label", "first"), score=("score", "mean"))
        assert told["video"]["auc"] == pytest.approx(oracle.roc_auc_score(videos["label"], videos["score"]))
        tested = scores[scores["set"].isin(["original", name])]
        for level, rows in {"frame": tested, "video": metrics.by_video(tested)}.items():
            for key, unit in (("interval", "video"), ("interval_persons", "person")):
                wanted = intervals(rows, unit, params.evaluation)
                assert told[level][key]["auc"] == pytest.approx(wanted["auc"]), (name, level, key)
        assert told["frame"]["interval"]["auc"] != told["frame"]["interval_persons"]["auc"]
