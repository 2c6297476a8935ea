"""The published data sets on tiny trees in their own layouts: pairs, links, published qualities, what is bad."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.params import presets
from pipeline.params import schema as params
from pipeline.sources import registry as sources
from pipeline.videos import sampling
from pipeline.videos.compression import compress
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.videos.writing import transcode
from pipeline.work.errors import UserError
from pipeline.work.files import link
from tests.aids.clips import ffmpeg, write_clip

ROOT = Path(__file__).parents[2]
SPLITS = {"train": [["000", "003"], ["011", "010"]], "val": [["020", "021"]], "test": [["030", "031"]]}
FRAMES = {"003": 8}  # the others have 10
METHODS = ("Deepfakes", "NeuralTextures")
Make = Callable[..., params.Params]


def video(path: Path, frames: int = 10, size: tuple[int, int] = (64, 48), seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    ground = random.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    write_clip(path, (np.roll(ground, 2 * i, 1) for i in range(frames)), 25, size)
    return path


@pytest.fixture(scope="session")
def whole_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs to train, one to validate, one to test; NeuralTextures end with the shorter video of the pair."""
    root = tmp_path_factory.mktemp("ff") / "FaceForensics++"
    (root / "splits").mkdir(parents=True)
    for split, pairs in SPLITS.items():
        (root / f"splits/{split}.json").write_text(json.dumps(pairs))
        for a, b in pairs:
            for target, donor in ((a, b), (b, a)):
                long, short = FRAMES.get(target, 10), min(FRAMES.get(name, 10) for name in (a, b))
                raw = [video(root / f"original_sequences/youtube/raw/videos/{target}.mp4", long, seed=int(target))]
                for method, frames in zip(METHODS, (long, short), strict=True):
                    path = root / f"manipulated_sequences/{method}/raw/videos/{target}_{donor}.mp4"
                    raw.append(video(path, frames, seed=int(target) + 100))
                for path in raw:
                    compressed = Path(str(path).replace("/raw/", "/c40/"))
                    transcode(path, compressed, 40)
                    shutil.copytree(compressed.parent, compressed.parents[2] / "c23/videos", dirs_exist_ok=True)
    return root


@pytest.fixture
def tree(whole_tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_tree, tmp_path / "tree"))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Params of a source on tmp_path/tree; keywords change its section."""
    defaults = params.load(ROOT / "params.yaml")

    def settings(source: str = "faceforensics", **changes: object) -> params.Params:
        section = "celebdf" if source == "celebdf" else "faceforensics"
        options = getattr(defaults, section).model_copy(update={"path": str(tmp_path / "tree")} | changes)
        return defaults.model_copy(update={"source": source, section: options, "workers": 1})

    return settings


def drop(tree: Path, pattern: str) -> None:
    for path in tree.rglob(pattern):
        path.unlink()


def causes(folder: Path) -> dict[str, str]:
    rows = read_rejected(folder)
    return dict(zip(rows["video"], rows["cause"], strict=True))


def test_the_tree_is_linked_in_official_buckets(make: Make, tree: Path, tmp_path: Path) -> None:
    outcome = sources.download(make(), "original", tmp_path / "raw/original")
    assert outcome == "original: 8 videos of 8 people (test 2, train 4, val 2), 0 rejected"
    reals = read_manifest(tmp_path / "raw/original").set_index("video")
    assert reals["bucket"].to_dict() == {
        name: split for split, pairs in SPLITS.items() for pair in pairs for name in pair
    }
    assert (reals["person"] == reals.index).all() and (reals["label"] == 0).all() and (reals["target"] == "").all()
    sources.download(make(), "NeuralTextures", tmp_path / "raw/NeuralTextures")
    fakes = read_manifest(tmp_path / "raw/NeuralTextures").set_index("video")
    assert {"000_003", "003_000"} < set(fakes.index) and len(fakes) == 8
    for name, row in fakes.iterrows():
        assert [row["target"], row["donor"]] == str(name).split("_")
        assert (row["person"], row["bucket"], row["label"]) == (row["target"], reals.at[row["target"], "bucket"], 1)
    for name, file in (
        ("original", "original_sequences/youtube"),
        ("NeuralTextures", "manipulated_sequences/NeuralTextures"),
    ):
        for path in (tmp_path / "raw" / name).glob("*.mp4"):
            assert path.samefile(tree / file / "raw/videos" / path.name)  # no second copy of 500 GB
    shutil.rmtree(tmp_path / "raw")  # as DVC does before each run
    assert len(list(tree.rglob("raw/videos/*.mp4"))) == 24


@pytest.mark.parametrize(("refused", "kind"), [([], "hard"), (["link"], "symbolic"), (["link", "symlink"], "copy")])
def test_a_link_falls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: list[str], kind: str) -> None:
    def refuse(*_: object) -> None:
        raise OSError("another file system")

    for name in refused:
        monkeypatch.setattr(os, name, refuse)
    (tmp_path / "a").write_text("content")
    for _ in range(2):  # over what is there, too
        link(tmp_path / "a", tmp_path / "to/b")
    target = tmp_path / "to/b"
    assert target.read_text() == "content" and list(target.parent.iterdir()) == [target]
    assert (target.is_symlink(), target.samefile(tmp_path / "a")) == (kind == "symbolic", kind != "copy")


def test_pairs_share_their_frames(make: Make, tree: Path, tmp_path: Path) -> None:
    """NeuralTextures and FaceSwap end with the shorter video: frames are drawn from those that all videos have."""
    chosen = {}
    for name in ("original", *METHODS):
        sources.download(make(), name, tmp_path / name)
        manifest, rejected = read_manifest(tmp_path / name), read_rejected(tmp_path / name)
        frames = sampling.sample(name, manifest, rejected, 6, seed=0)
        chosen[name] = frames.groupby("video")["frame"].apply(list)
    assert dict(read_manifest(tmp_path / "original").set_index("video")["frames"])["000"] == 10
    for method in METHODS:
        for fake, numbers in chosen[method].items():
            assert numbers == chosen["original"][str(fake)[:3]] and len(numbers) == 6
    assert max(chosen["original"]["000"]) < 8 and max(chosen["original"]["011"]) >= 8


def test_some_pairs_of_each_split(make: Make, tree: Path, tmp_path: Path) -> None:
    sources.download(make(n_pairs=1), "Deepfakes", tmp_path / "out")
    assert list(read_manifest(tmp_path / "out")["video"]) == [
        "000_003", "003_000", "020_021", "021_020", "030_031", "031_030",
    ]  # fmt: skip


def test_published_qualities_are_linked_where_they_are_the_same_video(make: Make, tree: Path, tmp_path: Path) -> None:
    folder = tree / "manipulated_sequences/Deepfakes/c40/videos"
    drop(folder, "000_003.mp4")
    video(folder / "003_000.mp4", frames=7)
    raw = tree / "manipulated_sequences/Deepfakes/raw/videos"
    ffmpeg("-i", raw / "010_011.mp4", "-pix_fmt", "yuv444p", folder / "010_011.mp4")
    ffmpeg("-i", raw / "011_010.mp4", "-c:v", "mpeg4", folder / "011_010.mp4")
    sources.download(make(allow_missing=True), "Deepfakes", tmp_path / "raw/Deepfakes")
    out = tmp_path / "c40"
    assert compress(tmp_path / "raw/Deepfakes", out, 40, "c40", workers=1, tree=tree) == (5, 3)
    table = pd.read_csv(out / "encoding.csv").set_index("video")
    assert set(table["origin"]) == {"published"} and set(table["crf"]) == {40}
    assert table["pix_fmt"].to_dict() == dict.fromkeys(table.index, "yuv420p") | {"010_011": "yuv444p"}
    for path in out.glob("*.mp4"):
        assert path.samefile(folder / path.name)
    assert causes(out) == {
        "000_003": "the file is missing",
        "003_000": "the published video has 7 frames of 64x48 px, but raw has 8 of 64x48 px",
        "011_010": "the published video is mpeg4, not h264",
    }
    with pytest.raises(UserError, match=r"faceforensics\.path is not set"):
        compress(tmp_path / "raw/Deepfakes", out, 40, "c40", workers=1)


def test_or_they_are_encoded_from_raw(make: Make, tree: Path, tmp_path: Path) -> None:
    sources.download(make(use_published=False, n_pairs=1), "original", tmp_path / "raw/original")
    drop(tree, "*.mp4")  # hard links keep the content
    out = tmp_path / "c23"
    assert compress(tmp_path / "raw/original", out, 23, "c23", workers=1) == (6, 0)
    table = pd.read_csv(out / "encoding.csv")
    assert set(table["origin"]) == {"encoded"} and set(table["codec"]) == {"h264"}


def test_half_a_pair_is_none(make: Make, tree: Path, tmp_path: Path) -> None:
    (tree / "original_sequences/youtube/raw/videos/010.mp4").write_bytes(b"<html>")
    video(tree / "manipulated_sequences/Deepfakes/raw/videos/020_021.mp4", size=(48, 64))
    sources.download(make(), "original", tmp_path / "original")
    assert list(read_manifest(tmp_path / "original")["video"]) == ["000", "003", "020", "021", "030", "031"]
    assert "not readable" in causes(tmp_path / "original")["010"]
    assert causes(tmp_path / "original")["011"] == "the other video of its pair, 010, cannot be used"
    sources.download(make(), "Deepfakes", tmp_path / "fakes")
    assert list(read_manifest(tmp_path / "fakes")["video"]) == ["000_003", "003_000", "021_020", "030_031", "031_030"]
    assert causes(tmp_path / "fakes") == {
        "010_011": "its target 010 is not among the usable originals",
        "011_010": "its target 011 is not among the usable originals",
        "020_021": "48x64 px, but its target has 64x48 px",
    }


def test_what_is_missing_is_listed_and_an_error(make: Make, tree: Path, tmp_path: Path) -> None:
    drop(tree, "003_000.mp4")
    drop(tree / "original_sequences/youtube/c23", "020.mp4")
    with pytest.raises(UserError, match=r"4 of 48 files are missing .* missing\.csv .*not in the folder"):
        sources.download(make(), "Deepfakes", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    table = pd.read_csv(tree / "missing.csv")
    folder = "manipulated_sequences/Deepfakes"
    assert list(table["path"]) == [
        *(f"{folder}/{quality}/videos/003_000.mp4" for quality in ("c23", "c40", "raw")),
        "original_sequences/youtube/c23/videos/020.mp4",
    ]
    sources.download(make(allow_missing=True), "Deepfakes", tmp_path / "out")
    assert causes(tmp_path / "out") == {"003_000": "the file is missing"}


@pytest.mark.parametrize(
    "saved",
    [
        b"path;cause\nx.mp4;gone\n",
        "path,cause\nx.mp4,gone\n".encode("utf-16"),
        b"caf\xe9\n\xe9\n",
        b"path,cause\nx.mp4\n",
    ],
    ids=["semicolons", "UTF-16", "Latin-1", "no cause"],
)
def test_a_list_of_missing_files_that_a_spreadsheet_saved_is_written_anew(
    make: Make, tree: Path, tmp_path: Path, saved: bytes
) -> None:
    drop(tree / "original_sequences/youtube/c23", "020.mp4")
    (tree / "missing.csv").write_bytes(saved)
    with pytest.raises(UserError, match=r"1 of 24 files are missing .* missing\.csv"):
        sources.download(make(), "original", tmp_path / "out")
    assert list(pd.read_csv(tree / "missing.csv")["path"]) == ["original_sequences/youtube/c23/videos/020.mp4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "dataset/splits"),
        ("{", "no JSON list of pairs"),
        ('[["000", "001", "002"]]', "no JSON list of pairs"),
        ('[["000", "../x"]]', "'../x' is listed twice, or is no name"),
        ('[["000", "001"], ["001", "002"]]', "'001' is listed twice"),
    ],
)
def test_splits_that_cannot_be_read(make: Make, tmp_path: Path, content: str | None, message: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "own").mkdir()
    if content:
        (tmp_path / "own/train.json").write_text(content)
    with pytest.raises(UserError, match=message):
        sources.download(make(splits=str(tmp_path / "own")), "original", tmp_path / "out")


def test_deepfakedetection(make: Make, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for quality in ("raw", "c23", "c40"):
        for name in ("01__walking_down_street", "02__walking_down_street", "02__kitchen_pan"):
            video(tree / f"original_sequences/actors/{quality}/videos/{name}.mp4")
        for name in ("01_02__walking_down_street__YVGY8LOK", "02_01__kitchen_pan__ABCDEFGH"):
            video(tree / f"manipulated_sequences/DeepFakeDetection/{quality}/videos/{name}.mp4")
    settings = make("deepfakedetection")
    sources.download(settings, "original", tmp_path / "original")
    reals = read_manifest(tmp_path / "original")
    assert list(reals["person"]) == ["01", "02", "02"] and set(reals["bucket"]) == {"test"}
    sources.download(settings, "DeepFakeDetection", tmp_path / "fakes")
    fakes = read_manifest(tmp_path / "fakes").set_index("video")
    assert list(fakes["target"]) == ["01__walking_down_street", "02__kitchen_pan"]
    assert list(fakes["donor"]) == ["02__walking_down_street", ""]
    assert list(fakes["person"]) == ["01", "02"] and set(fakes["label"]) == {1}
    assert json.loads(fakes["parameters"].iloc[0])["published"] == {
        quality: f"manipulated_sequences/DeepFakeDetection/{quality}/videos/01_02__walking_down_street__YVGY8LOK.mp4"
        for quality in ("c23", "c40")
    }


def test_celebdf(make: Make, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("Celeb-real/id0_0000", "Celeb-real/id1_0007", "YouTube-real/00170", "Celeb-synthesis/id1_id0_0007",
                 "Celeb-synthesis/id0_id1_0000", "Celeb-synthesis/id5_id1_0003"):  # fmt: skip
        video(tree / f"{name}.mp4")
    (tree / "List_of_testing_videos.txt").write_text(
        "1 YouTube-real/00170.mp4\n1 Celeb-real/id1_0007.mp4\n0 Celeb-synthesis/id1_id0_0007.mp4\n"
        "0 Celeb-synthesis/id5_id1_0003.mp4\n"
    )
    sources.download(make("celebdf"), "original", tmp_path / "original")
    reals = read_manifest(tmp_path / "original").set_index("video")
    assert reals["person"].to_dict() == {"00170": "youtube-00170", "id1_0007": "id1"}
    assert set(reals["bucket"]) == {"test"}
    sources.download(make("celebdf"), "Celeb_synthesis", tmp_path / "fakes")
    fakes = read_manifest(tmp_path / "fakes").set_index("video")
    assert fakes["target"].to_dict() == {"id1_id0_0007": "id1_0007", "id5_id1_0003": "id5_0003"}
    assert fakes["person"].to_dict() == {"id1_id0_0007": "id1", "id5_id1_0003": "id5"}
    sources.download(make("celebdf", videos="all"), "original", tmp_path / "original")
    assert len(read_manifest(tmp_path / "original")) == 3
    (tree / "List_of_testing_videos.txt").write_text("1 ../../secret/x.mp4\n")
    with pytest.raises(UserError, match="is not the list of testing videos"):
        sources.download(make("celebdf"), "original", tmp_path / "original")


@pytest.mark.parametrize("name", ["celebdf", "deepfakedetection"])
def test_sets_to_test_on_are_prepared_as_what_was_trained_on(name: str) -> None:
    """Crops of another size, or faces found by other rules, would be another test."""
    trained, tested = (presets.read(preset, ROOT) for preset in ("faceforensics", name))
    for key in ("crf", "compressions", "sample", "faces", "crop", "forge", "folds"):
        assert getattr(tested, key) == getattr(trained, key), key
    assert set(tested.published) <= set(sources.SOURCES[name].sets)  # type: ignore[attr-defined]
