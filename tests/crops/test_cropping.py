"""From raw videos to shards through the real stages; webdataset and cv2 are the independent readers."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import webdataset

from pipeline.crops.cropping import crop_set
from pipeline.crops.shards import read_index, read_sample
from pipeline.faces.boxes import cut as cut_out
from pipeline.videos.compression import compress
from pipeline.videos.manifests import read_manifest, read_rejected, write_rejected
from pipeline.videos.reading import read_frames
from pipeline.videos.sampling import sample
from pipeline.work.errors import UserError, VideoError
from tests.aids.clips import cut_one, ffmpeg, raw_set
from tests.aids.started import hashes

QUALITIES = {"c23": 23, "c40": 40}
BOX = {"left": 12, "top": 16, "size": 40}
FAKES = {"a_b": {"target": "a", "bucket": "b1"}, "b_a": {"target": "b", "bucket": "b0"}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in two buckets, each with a real video and a fake, compressed and sampled; boxes as if detected."""
    root = tmp_path_factory.mktemp("data")
    raw_set(root / "raw/original", {"a": {"bucket": "b1"}, "b": {"bucket": "b0"}})
    fakes = {video: row | {"label": 1, "donor": row["target"], "person": row["target"]} for video, row in FAKES.items()}
    raw_set(root / "raw/faceswap", fakes)
    (root / "frames").mkdir()
    (root / "faces/original").mkdir(parents=True)
    for name in ("original", "faceswap"):
        raw = root / "raw" / name
        for quality, crf in QUALITIES.items():
            assert compress(raw, root / "compressed" / name / quality, crf, quality, workers=1) == (2, 0)
        sample(name, read_manifest(raw), read_rejected(raw), 6, 0).to_parquet(root / f"frames/{name}.parquet")
    frames = pd.read_parquet(root / "frames/original.parquet")
    boxes = frames[["video", "frame"]].assign(**BOX, cause="").astype(dict.fromkeys(BOX, "Int64"))
    boxes.loc[0, list(BOX)], boxes.loc[0, "cause"] = pd.NA, "no face found"  # one of video a
    boxes.to_parquet(root / "faces/original/boxes.parquet")
    return root


def crop(data: Path, name: str, out: Path, workers: int = 1, compressed: Path | None = None) -> tuple[int, int]:
    folders = {quality: (compressed or data / "compressed" / name) / quality for quality in QUALITIES}
    frames = pd.read_parquet(data / f"frames/{name}.parquet")
    return crop_set(frames, data / "faces", data / "raw" / name, folders, out, 32, 4, workers)


@pytest.fixture(scope="module")
def shards(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "faceswap"
    assert crop(data, "faceswap", out) == (11, 1)
    return out


def test_same_bytes_with_one_worker_and_with_two(data: Path, shards: Path, tmp_path: Path) -> None:
    crop(data, "faceswap", tmp_path / "faceswap", workers=2)
    assert hashes(tmp_path / "faceswap") == hashes(shards)
    names = ["b0-000000.tar", "b0-000001.tar", "b1-000000.tar", "b1-000001.tar", "index.parquet", "rejected.parquet"]
    assert list(hashes(shards)) == names


def test_webdataset_reads_the_shards_as_the_index_says(shards: Path) -> None:
    index = read_index([shards]).set_index("key")
    urls = [str(path) for path in sorted(shards.glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [item["__key__"] for item in samples] == list(index.index)
    for item in samples:
        row, about = index.loc[item["__key__"]], json.loads(item["json"])
        assert {
            name: row[name] for name in ("video", "person", "bucket", "set", "frame", "label", "target", "donor")
        } == {name: value for name, value in about.items() if name != "box"}
        assert about["box"] == [row["left"], row["top"], row["size"]] == list(BOX.values())
        assert Path(item["__url__"]).name == row["shard"]
        assert item["__key__"] == f"{about['video']}-{about['frame']:06d}"
        same = read_sample(row["path"], row["offset"], row["bytes"])
        assert {name: item[name] for name in same} == same
        assert set(same) == {"raw.png", "c23.png", "c40.png", "json"}


def test_crops_show_the_same_pixels_in_every_quality(data: Path, shards: Path) -> None:
    for row in read_index([shards]).itertuples():
        files = read_sample(row.path, row.offset, row.bytes)
        crops = {}
        for quality in ("raw", *QUALITIES):
            image = cv2.imdecode(np.frombuffer(files[f"{quality}.png"], np.uint8), cv2.IMREAD_COLOR)
            crops[quality] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(int)
        frame = dict(read_frames(data / f"raw/faceswap/{row.video}.mp4"))[row.frame]
        wanted = cv2.resize(frame[16:56, 12:52], (32, 32), interpolation=cv2.INTER_AREA)
        assert (crops["raw"] == wanted).all()
        near, far = (np.abs(crops[quality] - crops["raw"]).mean() for quality in ("c23", "c40"))
        assert 0 < near < far
        aligned = np.corrcoef(crops["raw"].ravel(), crops["c40"].ravel())[0, 1]
        shifted = np.corrcoef(crops["raw"][:, 2:].ravel(), crops["c40"][:, :-2].ravel())[0, 1]
        assert aligned > 0.9 and aligned > shifted


def test_people_never_cross_buckets(data: Path, shards: Path, tmp_path: Path) -> None:
    crop(data, "original", tmp_path / "original")
    index = read_index([tmp_path / "original", shards])
    assert (index.groupby("person")["bucket"].nunique() == 1).all()
    assert all(row.shard.startswith(f"{row.bucket}-") for row in index.itertuples())
    reals, fakes = ({(r.target or r.video, r.frame) for r in group.itertuples()} for _, group in index.groupby("label"))
    assert reals == fakes


def test_what_is_missing_is_listed_with_its_cause(data: Path, tmp_path: Path) -> None:
    """A face not found, a video that compress refused, one that lost frames: counted, and the rest goes on."""
    frame = int(pd.read_parquet(data / "faces/original/boxes.parquet")["frame"].iat[0])
    folder = tmp_path / "c"
    for quality in QUALITIES:
        (folder / quality).mkdir(parents=True)
        for path in (data / f"compressed/faceswap/{quality}").glob("*.mp4"):
            (folder / quality / path.name).write_bytes(path.read_bytes())
        write_rejected(folder / quality, [])
    cut_one(data / "raw/faceswap/a_b.mp4", folder / "c40/a_b.mp4", frames=11)
    assert crop(data, "faceswap", tmp_path / "one", compressed=folder) == (6, 6)
    found = pd.read_parquet(tmp_path / "one/rejected.parquet").astype(object)
    assert found.where(found.notna(), None).values.tolist() == [
        ["faceswap", "a_b", frame, "detect", "no face found"],
        ["faceswap", "a_b", None, "crop", "frame counts differ: raw 12, c23 12, c40 11"],
    ]
    lost = {"set": "faceswap", "video": "b_a", "frame": "", "stage": "compress-c23", "cause": "damaged"}
    write_rejected(folder / "c23", [lost])
    with pytest.raises(UserError, match="none of the 12 sampled frames could be cropped: damaged; frame counts differ"):
        crop(data, "faceswap", tmp_path / "two", compressed=folder)
    assert not (tmp_path / "two/index.parquet").exists()


def test_a_box_that_leaves_the_frame_is_refused() -> None:
    with pytest.raises(VideoError, match="leaves the frame of 20x10 pixels"):
        cut_out(np.zeros((10, 20, 3), np.uint8), (5, 4, 7))


def test_compress_lists_bad_videos_and_goes_on(tmp_path: Path) -> None:
    raw = raw_set(tmp_path / "original", {"good": {}, "torn": {}}, frames=4)
    (raw / "torn.mp4").write_bytes((raw / "torn.mp4").read_bytes()[:900])
    assert compress(raw, tmp_path / "c40", 40, "c40", workers=1) == (1, 1)
    assert read_rejected(tmp_path / "c40").values.tolist() == [
        ["original", "torn", "", "compress-c40", "not readable as a video: cut short, or no MP4 (moov atom not found)"]
    ]
    assert sorted(path.name for path in (tmp_path / "c40").iterdir()) == ["encoding.csv", "good.mp4", "rejected.csv"]
    (raw / "good.mp4").unlink()
    with pytest.raises(UserError, match="no video could be compressed"):
        compress(raw, tmp_path / "c23", 23, "c23", workers=1)


def test_a_stage_tells_a_mendable_error_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stages.sample", "--videos", str(tmp_path), "--out", str(tmp_path / "x.parquet")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr == f"sample: {tmp_path}/manifest.csv: not found; run `dvc repro` to make it\n"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"size": "64:48"}, "frame sizes differ: raw 96x80, c23 64x48, c40 96x80"),
        ({"frames": 9}, "frame counts differ: raw 12, c23 9, c40 12"),
    ],
)
def test_a_pair_of_different_sizes_or_lengths_is_refused(
    data: Path, tmp_path: Path, changes: dict[str, object], cause: str
) -> None:
    """Its squares would not show the same pixels."""
    compressed = tmp_path / "compressed"
    shutil.copytree(data / "compressed/faceswap", compressed)
    scale, count = changes.get("size", "96:80"), changes.get("frames", 12)
    source = data / "compressed/faceswap/c23/a_b.mp4"
    ffmpeg("-i", source, "-vf", f"scale={scale}", "-frames:v", count, compressed / "c23/a_b.mp4")
    crop(data, "faceswap", tmp_path / "out", compressed=compressed)
    rejected = pd.read_parquet(tmp_path / "out/rejected.parquet")
    assert cause in set(rejected.loc[rejected["video"] == "a_b", "cause"])
    assert set(read_index([tmp_path / "out"])["video"]) == {"b_a"}
