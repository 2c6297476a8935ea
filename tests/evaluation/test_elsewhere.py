"""Models that score a crop by its brightness, on another data set whose crops are even greys: AUCs by scikit-learn."""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.crops.shards import ShardWriter
from pipeline.detectors import card as models
from pipeline.evaluation.draws import draw
from pipeline.evaluation.elsewhere import evaluate_elsewhere
from pipeline.params.cells import expected, pooled
from pipeline.params.schema import Params, load
from pipeline.reporting.results import Results, read
from pipeline.reporting.tables import elsewhere
from pipeline.reporting.tables.table import NOTHING
from pipeline.work.errors import UserError
from tests.aids import report_fixture as made_up
from tests.aids.greys import SIZE, WINDOW, Brightness

SETS = {"original": 0, "deepfakes": 1, "morphs": 1}
QUALITIES = ("raw", "c23", "c40")
FOLDS, SEEDS = [0, 1], [0, 1]
PEOPLE = [f"p{number}" for number in range(6)]
Greys = dict[tuple[str, str, int, str], int]


def write_shards(
    folder: Path, people: Sequence[str], size: int = SIZE, qualities: Sequence[str] = QUALITIES, sets: int = 3
) -> Greys:
    """A video a person and set, three frames each; gives back the grey of (set, video, frame, quality)."""
    random, greys = np.random.default_rng(0), {}
    for name, label in list(SETS.items())[:sets]:
        with ShardWriter(folder / name, shard_frames=5) as writer:
            for number, person in enumerate(people):
                bucket = "val" if number < len(people) // 2 else "test"  # all buckets are for testing here
                for frame in range(3):
                    files = {}
                    for place, quality in enumerate(qualities):
                        grey = int(random.integers(0, 140)) + (60 - 20 * place) * label
                        greys[name, f"{person}-{name}", frame, quality] = grey
                        image = np.full((size, size, 3), grey, np.uint8)
                        files[f"{quality}.png"] = bytes(cv2.imencode(".png", image)[1])
                    row = {"set": name, "video": f"{person}-{name}", "person": person, "frame": frame, "label": label}
                    row |= {"left": 0, "top": 0, "size": size, "target": "", "donor": ""}
                    writer.write(bucket, f"{person}-{name}-{frame:06d}", files, row)
    return greys


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    """Trained models, and the shards of the people whom they saw."""
    folder = tmp_path_factory.mktemp("run")
    changes = {"folds": FOLDS, "grid.seeds": SEEDS, "crop.size": SIZE, "model.image_size": WINDOW}
    changes |= {"elsewhere": [{"name": "other", "shards": "../other"}], "evaluation.bootstrap": 200}
    changes |= {"pooled.tasks": ["all"]}
    params = load(made_up.write_params(folder, **changes))
    write_shards(folder / "own", ["ann", "bob"], sets=1)
    for cell in [*expected(params), *pooled(params)]:
        for fold in FOLDS:
            place = folder / "models" / cell.folder / f"fold{fold}"
            place.mkdir(parents=True)
            model = Brightness()
            model.gain.data *= (1 + cell.seed) * (-1) ** fold
            about = {"method": cell.method, "backbone": cell.backbone, "manipulation": cell.manipulation}
            about |= {"quality": cell.compression, "seed": cell.seed, "fold": fold, "buckets": {}}
            models.save(model, models.Card(**about, image_size=WINDOW, mean=0.5, std=0.5), place)
    return folder, params


@pytest.fixture(scope="module", autouse=True)
def brightness() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", lambda name: Brightness())
        yield


@pytest.fixture(scope="module")
def results(run: tuple[Path, Params]) -> Results:
    """What the models scored on their own data."""
    folder, params = run
    made_up.write_cells(folder / "cells", params)
    return read(folder / "cells", params)


class Outcome(NamedTuple):
    """shards: a folder of its own, of six people, with the cell in out/x; greys: of its crops."""

    shards: Path
    greys: Greys
    summary: dict[str, Any]


@pytest.fixture(scope="module")
def tested(run: tuple[Path, Params], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """By the models of every fold and seed."""
    folder = tmp_path_factory.mktemp("tested")
    greys = write_shards(folder, PEOPLE)
    return Outcome(folder, greys, evaluate(run, folder))


@pytest.fixture(scope="module")
def single(run: tuple[Path, Params], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """By the models of one fold and seed, with more draws."""
    folder = tmp_path_factory.mktemp("single")
    greys = write_shards(folder, PEOPLE)
    return Outcome(folder, greys, evaluate((run[0], alone(run[1], bootstrap=2000)), folder))


def alone(params: Params, **settings: int) -> Params:
    """The params of one fold and seed, with other settings of the evaluation."""
    grid, evaluation = params.grid, params.evaluation.model_copy(update=settings)
    return params.model_copy(
        update={"folds": (0,), "grid": grid.model_copy(update={"seeds": (0,)}), "evaluation": evaluation}
    )


def evaluate(run: tuple[Path, Params], shards: Path) -> dict[str, Any]:
    folder, params = run
    return evaluate_elsewhere("other", shards, folder / "own/original", folder / "models", shards / "out/x", params)


def of(summary: dict[str, Any], tested_on: str) -> dict[str, Any]:
    """What ADD's models of faceswaps scored at c40."""
    keys = ("add", "faceswap", "c40", tested_on)
    names = ("method", "manipulation", "quality", "tested_on")
    (found,) = (r for r in summary["results"] if tuple(r[name] for name in names) == keys)
    return found


def test_every_model_scores_every_frame(tested: Outcome) -> None:
    frames, summary = pd.read_parquet(tested.shards / "out/x.parquet"), tested.summary
    assert len(frames) == 6 * 3 * 3 and summary["counts"] == {"people": 6, "reals": 6, "fakes": 12, "frames": 54}
    assert set(frames["bucket"]) == {"val", "test"}
    columns = [column for column in frames if column.count(".") == 2]
    # 2 folds; 2 tasks: a teacher at three qualities, a baseline, warm_start and add at c40, of 2 seeds each; a third,
    # pooled: the same without warm_start
    assert len(columns) == 2 * (2 * (3 + 3 * 2) + 3 + 2 * 2)
    assert summary["models"] == 2 * (2 * (1 + 3 * 2) + 1 + 2 * 2)
    for column, seed, fold, quality in (
        ("teacher-mobilenet_v2-faceswap-raw-s0.fold1.c23", 0, 1, "c23"),
        ("add-mobilenet_v2-reenactment-c40-s1.fold0.c40", 1, 0, "c40"),
        ("add-mobilenet_v2-all-c40-s0.fold1.c40", 0, 1, "c40"),
    ):
        for row in frames.to_dict("records"):
            mean = tested.greys[row["set"], row["video"], row["frame"], quality] / 127.5 - 1
            wanted = 1 / (1 + math.exp(-mean * (1 + seed) * (-1) ** fold))
            assert row[column] == pytest.approx(wanted, abs=1e-5)


def test_measures_are_means_over_folds_and_seeds(tested: Outcome, single: Outcome) -> None:
    written = json.loads((tested.shards / "out/x.json").read_text())
    assert len(written["results"]) == 3 * (2 * (3 + 3) + 3 + 2)  # all, deepfakes, morphs; 2 tasks and the pooled one
    for name, sets in {"all": {"deepfakes", "morphs"}, "morphs": {"morphs"}}.items():
        table = pd.DataFrame(
            [{"set": s, "video": v, "score": grey} for (s, v, _, q), grey in tested.greys.items() if q == "c40"]
        )
        table = table[table["set"].isin({"original", *sets})].assign(label=lambda t: t["set"].map(SETS))
        videos = table.groupby(["set", "video"]).mean()
        found = of(written, name)
        assert found["models"] == 4
        # One fold ranks the frames the other way round.
        assert found["frame"]["auc"] == pytest.approx(0.5)
        right = [((table["score"] >= 127.5) == (table["label"] == 1)).mean(),
                 ((table["score"] <= 127.5) == (table["label"] == 1)).mean()]  # fmt: skip
        assert found["frame"]["acc"] == pytest.approx(np.mean(right))
        found = of(single.summary, name)
        assert found["models"] == 1
        assert found["frame"]["auc"] == pytest.approx(roc_auc_score(table["label"], table["score"]))
        low, high = found["interval"]["video"]["auc"]
        assert low < roc_auc_score(videos["label"], videos["score"]) < high
        assert "knn_r1" not in found["frame"]


def test_people_are_drawn_with_all_that_is_of_them(single: Outcome) -> None:
    found = of(single.summary, "morphs")
    frames = pd.read_parquet(single.shards / "out/x.parquet")
    frames = frames.rename(columns={"add-mobilenet_v2-faceswap-c40-s0.fold0.c40": "score"})
    frames = frames[frames["set"].isin(["original", "morphs"])]
    random = np.random.default_rng(1)
    draws = [random.choice(PEOPLE, len(PEOPLE)) for _ in range(1000)]
    for level in ("frame", "video"):
        rows = (
            frames if level == "frame" else frames.groupby(["person", "set"])[["label", "score"]].mean().reset_index()
        )
        real, fake = ({person: group["score"].to_numpy() for person, group in rows[rows["label"] == label]
                       .groupby("person")} for label in (0, 1))  # fmt: skip
        # By its definition: of all pairs of a drawn fake and a drawn real, how many are ordered rightly.
        pairs = {(a, b): (1 + np.sign(fake[a][:, None] - real[b])).mean() / 2 for a in PEOPLE for b in PEOPLE}
        aucs = [np.mean([pairs[a, b] for a in drawn for b in drawn]) for drawn in draws]
        assert found["interval_persons"][level]["auc"] == pytest.approx(np.percentile(aucs, [2.5, 97.5]), abs=0.04)
    assert found["interval_persons"]["frame"]["auc"] != found["interval"]["frame"]["auc"]


def test_the_table_has_intervals_over_people_first_where_they_are_few(
    run: tuple[Path, Params], results: Results, single: Outcome, tmp_path: Path
) -> None:
    file, params = tmp_path / "elsewhere-other.json", alone(run[1])
    shutil.copy(single.shards / "out/x.json", file)
    found = of(single.summary, "all")
    (table,) = elsewhere.tables(tmp_path, results, params)
    shown, place = [entry.text for entry in table.rows[5]], table.header.index("AUC")
    for level in ("frame", "video"):
        ends = [found[kind][level]["auc"] for kind in ("interval_persons", "interval")]
        assert ends[0] != ends[1]
        assert shown[place + 1 : place + 3] == [f"[{low:.3f}, {high:.3f}]" for low, high in ends]
        place += 3
    file.write_text(json.dumps(single.summary | {"counts": single.summary["counts"] | {"people": 30}}))
    (many,) = elsewhere.tables(tmp_path, results, params)
    assert many.header.count("95 % videos") == 2 and "95 % people" not in many.header
    assert {len(row) for row in many.rows} == {len(many.header)} == {sum(n for _, n in many.groups)}
    assert "over people" in table.hint and "over people" not in many.hint


def test_where_draws_of_people_lack_a_class_there_is_no_interval_and_the_run_goes_on(
    run: tuple[Path, Params], results: Results, tmp_path: Path
) -> None:
    write_shards(tmp_path / "other", ["p1"])
    for name, person in (("original", "one"), ("deepfakes", "two"), ("morphs", "two")):
        file = tmp_path / "other" / name / "index.parquet"
        pd.read_parquet(file).assign(person=person).to_parquet(file)
    # Half of the draws of two people, one of each class, hold both; with this seed a few less.
    seed = next(s for s in range(50) if (draw(None, pd.Series(["one", "two"]), 200, s)[1:] == 1).all(1).sum() < 100)
    folder, params = run[0], alone(run[1], seed=seed)
    out = tmp_path / "elsewhere-other"
    evaluate_elsewhere("other", tmp_path / "other", folder / "own/original", folder / "models", out, params)
    found = json.loads(out.with_suffix(".json").read_text())["results"]
    assert {tuple(one["interval_persons"]["frame"]["auc"]) for one in found} == {(None, None)}
    assert all(None not in one["interval"]["frame"]["auc"] for one in found)
    (table,) = elsewhere.tables(tmp_path, results, params)
    place = table.header.index("95 % people")
    assert {row[place].text for row in table.rows} == {NOTHING} != {row[place + 1].text for row in table.rows}


def test_what_cannot_be_compared_is_refused(run: tuple[Path, Params], tmp_path: Path) -> None:
    people = ["p1", "p2"]
    write_shards(tmp_path / "same", ["p1", "ann"])
    with pytest.raises(UserError, match=r"same: 1 of its people are this run's as well \(ann\)"):
        evaluate(run, tmp_path / "same")
    write_shards(tmp_path / "lacking", people, qualities=["raw", "c40"])
    with pytest.raises(UserError, match=r"lacking/deepfakes: has no c23 crops.*add c23 to `compressions`"):
        evaluate(run, tmp_path / "lacking")
    write_shards(tmp_path / "large", people, size=64)
    with pytest.raises(UserError, match=r"large/deepfakes: its crops are not 40 px wide.*set crop\.size to 40"):
        evaluate(run, tmp_path / "large")
    write_shards(tmp_path / "real", people, sets=1)
    with pytest.raises(UserError, match="real: needs shards of `original` and of a manipulation, has original"):
        evaluate(run, tmp_path / "real")
    with pytest.raises(UserError, match=r"nowhere: needs shards .* has nothing"):
        evaluate(run, tmp_path / "nowhere")
    assert not list(tmp_path.rglob("out"))


def test_the_report_has_a_table_of_it(
    run: tuple[Path, Params], results: Results, tested: Outcome, tmp_path: Path
) -> None:
    params = run[1]
    with pytest.raises(UserError, match=r"elsewhere-other\.json: cannot be read"):
        elsewhere.tables(tmp_path, results, params)
    shutil.copy(tested.shards / "out/x.json", tmp_path / "elsewhere-other.json")
    (table,) = elsewhere.tables(tmp_path, results, params)
    assert table.name == "elsewhere_other" and len(table.values) == 51
    assert "6 people, 6 real and 12 fake videos (deepfakes, morphs), 54 frames" in table.hint
    words = [[entry.text for entry in row[:4]] for row in table.rows]
    assert words[:3] == [["faceswap", quality, "teacher", "2"] for quality in QUALITIES]
    assert [word[2] for word in words[3:6]] == ["mobilenet_v2", "warm_start", "add"]
    assert len(words) == 17 and {word[0] for word in words[12:]} == {"all"}
    assert {len(row) for row in table.rows} == {len(table.header)} == {sum(n for _, n in table.groups)}
    none = params.model_copy(update={"elsewhere": ()})
    assert elsewhere.tables(tmp_path, results, none) == []


def test_two_data_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="elsewhere: two data sets are named x"):
        made_up.write_params(tmp_path, elsewhere=[{"name": "x", "shards": "a"}, {"name": "x", "shards": "b"}])
