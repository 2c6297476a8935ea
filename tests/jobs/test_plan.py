"""What a run comes to: the preset's numbers against the paper's and its data set's, and a plan of the sample."""

import argparse
import re
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from pipeline.jobs import amounts, measuring
from pipeline.jobs import plan as planning
from pipeline.jobs.__main__ import _main
from pipeline.jobs.graph import Pipeline, load_pipeline
from pipeline.jobs.plan import _set_threads, plan
from pipeline.jobs.scheduling import Machine
from pipeline.params.cells import Cell, expected
from pipeline.params.presets import text
from pipeline.params.schema import READER, Params, check, load
from pipeline.videos.manifests import write_manifest
from tests.aids.toys import Toy

ROOT = Path(__file__).parents[2]
PAPER = check(READER.load(text("faceforensics", ROOT / "params.yaml", ROOT / "presets")), Path("preset"))


def changed(params: Params, **changes: Any) -> Params:
    return Params.model_validate({**params.model_dump(), **changes})


def known(params: Params) -> amounts.Known:
    found = amounts.videos(params)
    assert found
    return found


def test_the_papers_run() -> None:
    assert len(expected(PAPER)) * len(PAPER.folds) == 479
    videos = known(PAPER)
    assert {videos.total(name) for name in PAPER.sets} == {1000}  # FaceForensics++: 1000 originals, 1000 of each fake
    add = Cell("add", "resnet50", "NeuralTextures", "c40", 0)
    done = amounts.work(add, PAPER, videos)
    assert done.steps == 20_480  # 92,160 crops in batches of 144, 32 epochs
    validations, test = 32 * 10 * 2 * 140 * 64, 2 * (720 + 140) * 64
    assert done.scored == validations + test
    teacher = amounts.work(Cell("teacher", "resnet50", "NeuralTextures", "raw", 0), PAPER, videos)
    assert teacher.scored == validations + 3 * test  # on raw, c23 and c40
    assert amounts.crop_bytes(PAPER, videos) == pytest.approx(6000 * 64 * 3 * 128 * 128 * 1.5)


def test_fewer_pairs() -> None:
    few = changed(PAPER, faceforensics={**PAPER.faceforensics.model_dump(), "n_pairs": 20})
    assert known(few).videos["original"] == {"train": 40, "val": 40, "test": 40}


def test_the_videos_that_are_there_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = load(ROOT / "params.yaml")
    assert known(params).origin != "data/raw"
    for name in params.sets:
        rows = [
            {
                "video": f"v{number}",
                "person": str(number),
                "bucket": f"b{number % 3}",
                "label": 0,
                "frames": 9,
                "fps": 25,
            }
            | dict.fromkeys(("target", "donor", "parameters", "source", "licence"), "")
            | {"width": 64, "height": 64}
            for number in range(7)
        ]
        write_manifest(tmp_path / "data/raw" / name, rows)
    assert known(params).videos["faceswap"] == {"b0": 3, "b1": 2, "b2": 2}
    baseline = Cell("mobilenet_v2", "mobilenet_v2", "faceswap", "c40", 0)
    of_folds = [2 * 12 * train // 32 for train in (4, 5, 5)]
    assert amounts.work(baseline, params, known(params)).steps == 5 * sum(of_folds)


def test_a_source_of_unknown_size() -> None:
    assert amounts.videos(changed(load(ROOT / "params.yaml"), source="folder")) is None


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """The graph of dvc.yaml: DVC takes a second to read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.delenv("DVC_ROOT")
        return load_pipeline()


@pytest.mark.parametrize(
    ("changes", "due", "runs"),
    [
        ({"download@original"}, 24, {"add": 6, "baseline": 6, "teacher": 6, "warm_start": 6}),
        # A teacher's students follow, in its fold and task; a report leaves every model as it is.
        ({"teacher@mobilenet_v2-faceswap-1"}, 3, {"add": 1, "teacher": 1, "warm_start": 1}),
        ({"student@add-mobilenet_v2-reenactment-c40-0-2"}, 1, {"add": 1}),
        ({"report"}, 0, {}),
        (set(), 0, {}),
    ],
)
def test_a_plan_of_the_sample(
    changes: set[str], due: int, runs: dict[str, int], pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(planning, "load_pipeline", lambda: pipeline)
    monkeypatch.setattr(measuring, "build", lambda name: Toy())
    monkeypatch.setattr("pipeline.jobs.plan.changed", lambda: changes)
    params = load()
    said = plan(params, Machine(2, ("a", "b")))
    assert f"trainings  24: 8 models in 3 folds, of which {due} have to run" in said
    assert ("with 2 at a time" in said) == bool(due)
    rows = re.findall(r"^(\w+) mobilenet_v2 +(\d+) +[\d,]+ +[\d.e-]+ +[\d.]+$", said, re.MULTILINE)
    assert {name: int(count) for name, count in rows} == runs


def test_data_that_are_only_tested_on_are_cropped_and_no_training_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of docs/data.md: `make preset NAME=celebdf`, `make plan`, then `dvc exp run -S celebdf.path=... crop`."""
    merged = text("celebdf", ROOT / "params.yaml", ROOT / "presets")
    params = check(READER.load(merged), Path("preset"))
    (tmp_path / "params.yaml").write_text(merged)
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    said = plan(params, Machine(2, ("a", "b")))
    assert "stages     13, of which 13 have to run: 1 check, 4 compress, 2 crop, 2 detect, 2 download, 2 sample" in said
    assert "trainings  none: celebdf" in said and "`dvc repro crop`" in said
    assert "178 original, 340 Celeb_synthesis" in said and "GB of crops" in said and "hours " not in said


def test_another_sources_videos_are_not_taken_for_those_of_the_params(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `make preset NAME=comparison` over a finished run of the sample: data/raw is still the sample's."""
    params = changed(load(ROOT / "params.yaml"), source="sample_and_folder")
    monkeypatch.setattr(planning, "load_pipeline", lambda: pipeline)
    monkeypatch.setattr(amounts, "read_manifest", lambda folder: pytest.fail(f"{folder} was read"))
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.setattr(planning, "changed", lambda: {"download@original"})
    assert "videos     unknown" in plan(params, Machine(2))


@pytest.mark.parametrize(
    ("source", "section", "path", "said"),
    [
        ("sample", "folder", None, None),
        ("folder", "folder", None, "folder.path is not set"),
        ("sample_and_folder", "folder", None, "folder.path is not set"),
        ("sample_and_folder", "folder", ".", None),
        ("celebdf", "celebdf", None, "celebdf.path is not set"),
        ("celebdf", "celebdf", "no/such", "celebdf.path: no/such is not a folder"),
        ("deepfakedetection", "faceforensics", None, "faceforensics.path is not set"),
        ("faceforensics", "faceforensics", "no/such", "faceforensics.path: no/such is not a folder"),
    ],
)
def test_a_plan_begins_with_the_path_that_is_missing(
    source: str,
    section: str,
    path: str | None,
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before anything is measured, which takes minutes on the paper's networks."""
    params = load(ROOT / "params.yaml")
    params = params.model_copy(
        update={"source": source, section: getattr(params, section).model_copy(update={"path": path})}
    )
    monkeypatch.setattr("pipeline.params.schema.load", lambda: params)
    monkeypatch.setattr("pipeline.jobs.plan.plan", lambda *_: print("measuring") or "the plan")
    assert _main(argparse.Namespace(plan=True, jobs=2)) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert rest[-1] == "the plan"
    assert first.startswith(f"missing    {said}") if said else first == "measuring"


def test_a_folder_that_downloads_will_fill_is_not_missing() -> None:
    settings = PAPER.faceforensics.model_copy(update={"path": "no/such", "accept_terms": True})
    assert amounts.absent(PAPER.model_copy(update={"faceforensics": settings})) is None


def test_a_measured_step_trains_all_but_the_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy()
    monkeypatch.setattr(measuring, "build", lambda name: toy)
    before = [weight.clone() for weight in toy.parameters()]
    cost = measuring.measure(Cell("mobilenet_v2", "mobilenet_v2", "faceswap", "c40", 0), load(ROOT / "params.yaml"))
    moved = [not old.equal(new) for old, new in zip(before, toy.parameters(), strict=True)]
    first = len(list(toy.body[0].parameters()))  # train.freeze_stages is 1
    assert not any(moved[:first]) and all(moved[first:])
    assert cost.step > 0 and cost.score > 0 and cost.images == measuring.ON_A_CPU


@pytest.mark.parametrize(("machine", "threads"), [(Machine(4), [2]), (Machine(99), [1]), (Machine(4, ("0",)), [])])
def test_a_training_is_measured_by_as_many_threads_as_it_has_in_the_run(
    machine: Machine, threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(planning, "cores", lambda: 8)
    monkeypatch.setattr(planning.torch, "set_num_threads", told.append)
    _set_threads(machine)
    assert told == threads
