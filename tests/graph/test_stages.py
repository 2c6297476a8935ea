"""What the scripts of the video stages hand over: every number of params, the right people, the right folders."""

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.faces.detection import Outcome
from pipeline.videos.manifests import MANIFEST, write_manifest
from tests.aids.report_fixture import write_params

ODD = {
    "crf": {"c23": 21, "c40": 39}, "crop.size": 129, "crop.shard_frames": 7, "faces.max_side": 333,
    "faces.enlarge": 1.7, "faces.near": 5, "forge.per_target": 3, "forge.seed": 11, "sample.frames": 13,
    "forge.face_width": {"faceswap": 61, "reenactment": 73}, "sample.seed": 17, "stress.seed": 19, "stress.frames": 2,
    "workers": 3, "cluster.address": "auto", "faceforensics.path": "tree", "folds": [0, 2],
}  # fmt: skip


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run a stage's script with one function that it calls replaced; what that was given, positional ones by number."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    people = {"a": "b0", "b": "b0", "c": "b1", "d": "b1", "e": "b2", "f": "b2"}
    rows = [(f"{person}{clip}", person, bucket) for person, bucket in people.items() for clip in (1, 2)]
    for name in ("original", "faceswap"):
        columns = {
            "label": int(name != "original"),
            "frames": 30,
            "fps": 25.0,
            "width": 64,
            "height": 64,
            "parameters": "{}",
        }
        manifest = [
            dict.fromkeys(MANIFEST, "") | columns | {"video": video, "person": person, "bucket": bucket}
            for video, person, bucket in rows
        ]
        (tmp_path / name).mkdir()
        write_manifest(tmp_path / name, manifest)
        (tmp_path / name / "rejected.csv").write_text("set,video,frame,stage,cause\n")
        frames = [(name, *row, frame) for row in rows for frame in range(5)]
        table = pd.DataFrame(frames, columns=["set", "video", "person", "bucket", "frame"]).assign(label=0, target="")
        table.to_parquet(tmp_path / f"{name}.parquet")

    def run(
        stage: str, function: str, gives: Any, changes: dict[str, Any] | None = None, **paths: Any
    ) -> dict[str, Any]:
        given: dict[str, Any] = {}

        def caught(*arguments: Any, **named: Any) -> Any:
            given.update({str(number): value for number, value in enumerate(arguments)} | named)
            return gives

        write_params(tmp_path, **ODD | (changes or {}))
        module = import_module(f"stages.{stage}")
        monkeypatch.setattr(f"stages.{stage}.{function}", caught)
        folders = {name: tmp_path / value if isinstance(value, Path) else value for name, value in paths.items()}
        module.main(argparse.Namespace(**folders, out=tmp_path / "out"))
        return given

    return run


@pytest.mark.parametrize(("address", "workers"), [("auto", "auto"), (None, 3)])
def test_videos_go_to_the_cluster_where_there_is_one(
    call: Callable[..., dict[str, Any]], address: str | None, workers: int | str
) -> None:
    changes = {"cluster.address": address}
    given = call("compress", "compression.compress", (1, 0), changes=changes, quality="c23", videos=Path("original"))
    assert given["4"] == workers


@pytest.mark.parametrize(("quality", "crf"), [("c23", 21), ("c40", 39)])
def test_compress(call: Callable[..., dict[str, Any]], tmp_path: Path, quality: str, crf: int) -> None:
    given = call("compress", "compression.compress", (1, 0), quality=quality, videos=Path("original"))
    assert given == {"0": tmp_path / "original", "1": tmp_path / "out", "2": crf, "3": quality, "4": "auto",
                     "5": given["5"]}  # fmt: skip
    assert given["5"].name == "tree"


@pytest.mark.parametrize(("manipulation", "width"), [("faceswap", 61), ("reenactment", 73)])
def test_forge(call: Callable[..., dict[str, Any]], tmp_path: Path, manipulation: str, width: int) -> None:
    given = call("forge", "forge_set", (1, 0), manipulation=manipulation, videos=Path("v"), landmarks=Path("l"))
    assert [given[str(place)] for place in range(4)] == [manipulation, tmp_path / "v", tmp_path / "l", tmp_path / "out"]
    assert (given["per_target"], given["width"], given["seed"], given["workers"]) == (3, width, 11, "auto")
    assert given["folds"].folds == (0, 2)


def test_landmarks(call: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model.dat"
    model.touch()
    monkeypatch.setattr("stages.landmarks.fetch", lambda name: {"landmarks": model}[name])
    given = call("landmarks", "track_set", "", videos=Path("original"))
    assert [given[str(place)] for place in range(5)] == [tmp_path / "original", tmp_path / "out", 333, model, "auto"]


@pytest.mark.parametrize("name", ["original", "faceswap"])
def test_sample(call: Callable[..., dict[str, Any]], name: str) -> None:
    frames = pd.DataFrame({"video": ["a1"], "frame": [3]})
    given = call("sample", "sampling.sample", frames, videos=Path(name))
    assert given["0"] == name and (given["3"], given["4"]) == (13, 17)
    assert len(given["1"]) == 12 and given["2"].empty


def test_detect(call: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    given = call("detect", "detect_set", Outcome(1, 1), videos=Path("original"), frames=Path("original.parquet"))
    search = given["3"]
    assert (search.max_side, search.enlarge, search.near) == (333, 1.7, 5)
    assert given["fakes"] == {tmp_path / "faceswap": "several"}, "forged here, so in the largest face"
    both = ["original", "faceswap"]
    brought = {"published": both, "sets": both, "manipulations": ["faceswap"], "forge.manipulations": []}
    brought |= {"folds": [0], "pooled.sets": {}}
    for source, when in (("faceforensics", "unproved"), ("folder", "always")):
        changes = brought | {"source": source, "export.task": "faceswap"}
        again = call(
            "detect", "detect_set", Outcome(1, 1), changes, videos=Path("original"), frames=Path("original.parquet")
        )
        assert again["fakes"] == {tmp_path / "faceswap": when}
    assert (
        call("detect", "detect_set", Outcome(1, 1), videos=Path("faceswap"), frames=Path("faceswap.parquet"))["fakes"]
        == {}
    )


def test_crop(call: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.crop.cropping.lacking", lambda *arguments: "")
    paths = {"frames": Path("faceswap.parquet"), "faces": Path("faces"), "raw": Path("raw"), "compressed": Path("c")}
    given = call("crop", "cropping.crop_set", (1, 0), set="faceswap", **paths)
    assert (given["size"], given["shard_frames"], given["workers"]) == (129, 7, "auto")
    assert given["compressed"] == {quality: tmp_path / "c" / quality for quality in ("c23", "c40")}
    assert (given["faces"], given["raw"], given["out"]) == (tmp_path / "faces", tmp_path / "raw", tmp_path / "out")
    assert len(given["frames"]) == 60


def test_degrade_takes_tested_people_alone(call: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    paths = {"frames": Path("original.parquet"), "faces": Path("faces"), "raw": Path("raw")}
    given = call("degrade", "degrade_set", (1, 0), set="original", degradation="h264-45", **paths)
    assert (given["size"], given["shard_frames"], given["seed"], given["workers"]) == (129, 7, 19, "auto")
    assert [str(step) for step in given["1"]] == ["h264-45"] and given["0"] == "h264-45"
    assert set(given["2"]["bucket"]) == {"b0", "b2"}, "those that folds 0 and 2 test"
    assert given["2"].groupby("video").size().unique().tolist() == [2]
    given = call("degrade", "degrade_set", (1, 0), set="original", degradation="twice", **paths)
    assert [str(step) for step in given["1"]] == ["h264-23", "h264-40"]
