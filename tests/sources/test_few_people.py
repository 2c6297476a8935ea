"""Too few people, or people who drop out: told as soon as it can be known, by the stage that knows it first."""

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.crops.cropping import lacking
from pipeline.crops.shards import ShardWriter
from pipeline.forging.fakes import forge_set
from pipeline.params.cells import Cell
from pipeline.params.schema import Params, load
from pipeline.sources import registry
from pipeline.training.fitting import fit
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.work.errors import UserError, VideoError
from stages import landmarks
from tests.aids.clips import write_clip
from tests.aids.report_fixture import write_params

ROOT = Path(__file__).parents[2]
Make = Callable[..., Params]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Params of a folder of so many people, one short video each; changes as in `write_params`."""

    def people(count: int, **changes: object) -> Params:
        for number in range(count):
            images = (np.full((48, 64, 3), 9 * frame, np.uint8) for frame in range(12))
            write_clip(tmp_path / f"videos/p{number}.mp4", images, 25, (64, 48), metadata={"comment": str(number)})
        folder = {"source": "folder", "folder.path": str(tmp_path / "videos"), "folder.clip_frames": None}
        return load(write_params(tmp_path, workers=1, **folder, **changes))

    return people


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split.buckets": 2}, r"folds holds 2, which would test bucket b2, but .* is 2: set folds to \[0, 1\], or"),
        ({"split.buckets": 2, "folds": [5]}, r"set folds to \[0, 1\], or split\.buckets to 6"),
        ({"split.validation": 2}, r"split\.buckets is 3: .* 2 \(split\.validation\) validate, .* to 4 or more"),
        ({"folds": [0, 1, 0]}, r"folds names a fold twice: \[0, 1, 0\]"),
        ({"source": "celebdf"}, r"folds must be \[0\] for the source celebdf"),
        ({"published": ["original", "faceswap"]}, "both hold faceswap"),
        ({"published": []}, "published and forge"),
        ({"forge.reals": []}, r"forge\.reals must hold original"),
        ({"detect.sets": ["faceswap"]}, r"detect\.sets must hold original"),
        ({"detect.sets": ["original", "swap"]}, "holds swap, which sets does not have"),
        ({"forge.face_width": {"faceswap": 64}}, r"forge\.face_width has no width for reenactment"),
    ],
)  # fmt: skip
def test_params_that_no_people_could_serve_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(write_params(tmp_path, **changes))


def test_stages_side_by_side_refuse_before_the_first(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        write_params(tmp_path, folds=[7])
    command = [sys.executable, "-m", "pipeline.jobs"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.startswith(
        "jobs: params.yaml: folds holds 7, which would test bucket b7"
    )


def test_nobody_who_lends_a_face_is_told_at_download(make: Make, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"3 buckets need as many people, the source has 2 \(p0, p1\): add people, or set"
    ):
        registry.download(make(2), "original", tmp_path / "original")
    params = make(4)
    said = registry.download(params, "original", tmp_path / "original")
    people = read_manifest(tmp_path / "original").groupby("bucket")["person"].agg(list)
    single = next(number for number in range(3) if len(people[f"b{number}"]) == 1)
    assert f"no second person, which faceswap needs, in bucket b{single} ({people[f'b{single}'][0]})" in said
    assert said.endswith("4 people fill 2, split.buckets=2 and folds=[0, 1]")
    with pytest.raises(UserError, match="no second person, which faceswap needs"):
        landmarks.main(argparse.Namespace(videos=tmp_path / "original", out=tmp_path / "landmarks.parquet"))
    enough = registry.download(make(4, **{"split.buckets": 2, "folds": [0, 1]}), "original", tmp_path / "original")
    assert enough == "original: 4 videos of 4 people (b0 2, b1 2), 0 rejected"
    (tmp_path / "videos/p3.mp4").unlink()
    said = registry.download(make(3), "original", tmp_path / "original")
    assert said.endswith("4 people are the least, or leave faceswap out of the params' lists")


def test_a_video_refused_when_it_is_cut_moves_nobody(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = make(7)
    registry.download(params, "original", tmp_path / "before")
    before = read_manifest(tmp_path / "before").set_index("person")["bucket"]
    gone = before[before == "b1"].index[0]
    store = registry.store

    def torn(clips: list[registry.Clip], folder: Path) -> list[object]:
        if clips[0].person == gone:
            raise VideoError("torn")
        return store(clips, folder)

    monkeypatch.setattr(registry, "store", torn)
    said = registry.download(params, "original", tmp_path / "after")
    after = read_manifest(tmp_path / "after").set_index("person")["bucket"]
    assert after.to_dict() == before.drop(gone).to_dict()
    assert f"1 rejected; nothing is left of {gone}, the others stay in their buckets" in said
    assert read_rejected(tmp_path / "after")["cause"].tolist() == ["torn"]
    everyone = before[before == "b1"].index

    def none_of_b1(clips: list[registry.Clip], folder: Path) -> list[object]:
        if clips[0].person in everyone:
            raise VideoError("torn")
        return store(clips, folder)

    monkeypatch.setattr(registry, "store", none_of_b1)
    said = registry.download(params, "original", tmp_path / "without")
    assert f"no original video in bucket b1 ({', '.join(sorted(everyone))}), which fold 1 tests: add people" in said


def test_a_person_without_a_face_is_told_before_the_forge_begins(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six people, two a bucket: without the face of one, the other has nobody to swap with."""
    from pipeline.faces.tracks import Track, writing

    params = make(6)
    registry.download(params, "original", tmp_path / "original")
    manifest = read_manifest(tmp_path / "original")
    faceless = manifest[manifest["bucket"] == "b2"]["video"].iloc[0]
    points = np.random.default_rng(0).uniform(10, 40, (12, 68, 2))
    with writing(tmp_path / "landmarks.parquet") as write:
        for video in manifest["video"]:
            found = np.full(12, video != faceless)
            write(video, Track(found, points if video != faceless else np.full_like(points, np.nan)))
    with pytest.raises(
        UserError, match=rf"no faceswap can be made in bucket b2 .*fold 2 tests.*{faceless}: fewer than"
    ):
        forge_set(
            "faceswap", tmp_path / "original", tmp_path / "landmarks.parquet", tmp_path / "faceswap",
            per_target=1, width=32, seed=0, workers=1, folds=params,
        )  # fmt: skip
    assert not (tmp_path / "faceswap").exists()


def shards(folder: Path, name: str, buckets: dict[str, str]) -> Path:
    """An index with a frame of each person; buckets: person -> bucket."""
    with ShardWriter(folder / name, 100) as writer:
        for person, bucket in sorted(buckets.items(), key=lambda item: item[1]):
            row = {"set": name, "person": person, "label": int(name != "original")}
            writer.write(bucket, person, {"raw.png": b""}, row)
    return folder / name


def test_crop_names_who_is_left_without_a_face(make: Make, tmp_path: Path) -> None:
    everyone = {"ann": "b0", "ben": "b1", "cleo": "b2", "dan": "b2"}
    frames = pd.DataFrame({"set": "original", "person": list(everyone), "bucket": list(everyone.values())})
    params = make(1)
    assert lacking(params, frames, shards(tmp_path, "original", everyone)) == ""
    said = lacking(params, frames, shards(tmp_path, "original", {"ann": "b0", "cleo": "b2"}))
    assert said.startswith("no crop is left of ben, dan (") and "bucket b1 (ben), which fold 1 tests" in said
    assert "set folds to [" not in said  # fold 0 and 2 would train on b1


def test_a_training_without_one_class_does_not_begin(make: Make, tmp_path: Path) -> None:
    people = {"ann": "b0", "ben": "b1", "cleo": "b2"}
    params, cell = make(1), Cell("teacher", "mobilenet_v2", "faceswap", "raw", 0)
    shards(tmp_path, "original", people)
    recipe = params.recipe(params.teacher)

    def begin(fold: int) -> None:
        fit(None, cell, fold, recipe, {}, params, tmp_path, tmp_path / "model")

    shards(tmp_path, "faceswap", {"ann": "b0", "ben": "b1"})
    with pytest.raises(
        UserError, match=r"faceswap: no fakes in bucket b2 \(cleo\), which fold 2 tests: rejected.parquet"
    ):
        begin(2)
    shards(tmp_path, "faceswap", {"ann": "b0"})
    with pytest.raises(UserError, match=r"no fakes in bucket b1, b2 \(ben, cleo\), which fold 0 trains on"):
        begin(0)
    shards(tmp_path, "reenactment", people)
    pooled = params.model_copy(update={"pooled": params.pooled.model_copy(update={"tasks": ("all",)})})
    with pytest.raises(UserError, match=r"faceswap: no fakes in bucket b1, b2 \(ben, cleo\), which fold 0 trains on"):
        fit(None, replace(cell, manipulation="all"), 0, recipe, {}, pooled, tmp_path, tmp_path / "model")
    for name in ("original", "faceswap"):  # bucket b1 has vanished: fold 1 is not another bucket's
        shards(tmp_path, name, {"ann": "b0", "cleo": "b2"})
    with pytest.raises(UserError, match="no frames in bucket b1"):
        begin(1)
