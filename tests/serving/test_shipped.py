"""A shipped folder: whole, honest about itself, and refused where it is not."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.serving.__main__ import main
from pipeline.serving.export import modelcard
from pipeline.serving.export.exporting import export
from pipeline.serving.loading import load_family
from pipeline.serving.predicting import only
from pipeline.serving.shipped import read, seal
from pipeline.work.errors import UserError
from tests.aids.shipping import Run
from tests.serving.conftest import needs_onnx


@pytest.fixture
def copy(shipped: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped.detectors / "c40", tmp_path / "c40"))


def edit(folder: Path, **changes: object) -> None:
    about = json.loads((folder / "detector.json").read_text())
    (folder / "detector.json").write_text(json.dumps(about | changes))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "another version": (lambda folder: edit(folder, format=99), "format 99, this version reads 1"),
    "changed": (lambda folder: edit(folder, quality="raw"), "not the file that was exported"),
    "cut short": (
        lambda folder: (folder / "fold0/model.safetensors").write_bytes(b"short"),
        "fold0/model.safetensors: not the file that was exported",
    ),
    "a file gone": (lambda folder: (folder / "fold1/model.json").unlink(), "fold1/model.json: missing"),
    "no sums": (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS: missing"),
    "a pickle": (lambda folder: (folder / "fold0/model.pkl").touch(), "a pickle can run code and is never read"),
    "not json": (lambda folder: (folder / "detector.json").write_text("{"), "detector.json: cannot be read"),
    "a list": (lambda folder: (folder / "detector.json").write_text("[1]"), "format None"),
    "nonsense, sealed": (
        lambda folder: (edit(folder, folds="x"), seal(folder)),
        "detector.json: folds: ",
    ),
    "outside": (
        lambda folder: (folder / "SHA256SUMS").write_text(f"{'0' * 64}  detector.json\n{'0' * 64}  ../../x\n"),
        "",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_with_a_fault_is_refused_in_one_line(fault: str, copy: Path) -> None:
    spoil, said = FAULTS[fault]
    spoil(copy)
    with pytest.raises(UserError) as raised:
        read(copy)
    assert said in str(raised.value) and "\n" not in str(raised.value) and str(copy) in str(raised.value)


def test_a_network_of_another_detector_is_refused(copy: Path, shipped: Run) -> None:
    shutil.copytree(shipped.detectors / "raw/fold0", copy / "fold0", dirs_exist_ok=True)
    seal(copy)
    with pytest.raises(UserError, match="not a network of this detector"):
        load_family([copy]).networks("c40")


def test_folders_that_hold_no_or_several_detectors(shipped: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no shipped detector.*choose one of add-toy-faceswap in it"):
        load_family([shipped.detectors.parent])
    with pytest.raises(UserError, match="two detectors are of raw"):
        load_family([shipped.detectors, shipped.detectors / "raw"])
    with pytest.raises(UserError, match="no such folder"):
        load_family([tmp_path / "none"])
    with pytest.raises(UserError, match="a file; give --model the folder"):
        load_family([shipped.detectors / "raw/detector.json"])
    assert only(shipped.detectors.parent) == shipped.detectors
    with pytest.raises(UserError, match="no detector here"):
        only(tmp_path)


def test_the_card_is_hugging_faces_and_says_what_was_measured(shipped: Run) -> None:
    folder = shipped.detectors / "c40"
    text, detector = (folder / "README.md").read_text(), read(folder)
    head = yaml.safe_load(text.split("---")[1])
    (result,) = [r for r in head["model-index"][0]["results"] if r["dataset"]["config"] == "c40-all"]
    measured = {metric["name"]: metric["value"] for metric in result["metrics"]}
    cell = json.loads((shipped.root / f"reports/cells/{shipped.cell('c40')}.json").read_text())["results"]["c40"]
    assert measured == {f"AUC per {level}": pytest.approx(cell[level]["auc"], abs=5e-5) for level in ("frame", "video")}
    assert f"{cell['frame']['auc']:.3f}" in text and "made up; licence: none" in text
    low, high = cell["interval_persons"]["frame"]["auc"]  # of three people
    assert "intervals over people, who are few" in text and f"[{low:.3f}, {high:.3f}]" in text
    assert "Too few videos to promise" in text and not detector.video.holds
    assert "evidence, not proof" in text and "A higher score means more likely fake" in text


def test_the_cards_intervals_are_over_videos_where_people_are_many(shipped: Run) -> None:
    name = shipped.cell("c40")
    summary = json.loads((shipped.root / f"reports/cells/{name}.json").read_text())
    summary["results"]["c40"]["interval_persons"]["frame"]["auc"] = [0.1, 0.2]
    for people, kind in ((29, "interval_persons"), (30, "interval")):
        told = summary | {"counts": summary["counts"] | {"persons": people}}
        found = modelcard.results(told, "c40", shipped.scores(name), shipped.params)["all"]
        assert [found["frame_auc_low"], found["frame_auc_high"]] == summary["results"]["c40"][kind]["frame"]["auc"]


@needs_onnx
def test_the_cards_own_code_runs(
    copy: Path, shipped: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy)
    shutil.copy(shipped.video("v0", "c40"), "clip.mp4")
    blocks = re.findall(r"```(sh|python)\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    assert [kind for kind, _ in blocks] == ["sh", "python", "python"]
    program, *arguments = blocks[0][1].split()
    assert program == "add-deepfake" and main(arguments) == 0
    for _, code in blocks[1:]:
        exec(code, {})  # noqa: S102 (the code that the card shows, which is this project's)
    said = capsys.readouterr().out
    assert (
        "clip.mp4: " in said
        and "the middle 40 px" in said
        and re.search(r"^(real|fake|undecided) [0-9.]+$", said, re.M)
    )


def test_what_the_training_faces_were_like(shipped: Run) -> None:
    seen = read(shipped.detectors / "c40").seen
    assert 60 < seen.face[0] <= seen.face[1] < 132 and 0 < seen.sharpness[0] <= seen.sharpness[1]


def test_export_repeats_itself_and_asks_for_people_to_calibrate_on(
    shipped: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = shipped.cell("c40")
    root, params = shipped.root, shipped.params
    data = (root / "data/shards", root / "data/raw/original")
    places = (root / f"models/add/{name[4:]}", root / f"reports/cells/{name}", *data)
    without = params.model_copy(update={"export": params.export.model_copy(update={"onnx": False})})
    for out in ("one/c40", "two/c40"):
        export(*places, tmp_path / out, without)
    first, second = ((tmp_path / out / "c40/SHA256SUMS").read_text() for out in ("one", "two"))
    assert [line for line in first.splitlines() if "fold" in line] == [s for s in second.splitlines() if "fold" in s]
    with pytest.raises(UserError, match="no people to calibrate a verdict on"):
        single = without.model_copy(update={"folds": (0,)})
        scores = shipped.scores(name)
        scores[scores["fold"] == 0].to_parquet(tmp_path / f"{name}.parquet")
        shutil.copy(root / f"reports/cells/{name}.json", tmp_path)
        export(places[0], tmp_path / name, *places[2:], tmp_path / "three/c40", single)
    assert not (tmp_path / "three/c40").exists()
