"""Names fit all that is added to them, down to the member of a shard; they are unlike, and stay what they are."""

import random
from pathlib import Path

import pandas as pd
import pytest
import webdataset

from pipeline.crops.cropping import crop_set
from pipeline.crops.shards import ShardWriter, read_index, read_sample
from pipeline.forging.donors import Donor
from pipeline.forging.fakes import Job
from pipeline.params.sources import NAME_LETTERS, QUALITY_LETTERS
from pipeline.sources import names, sample
from pipeline.sources.public import Listed, _fitting
from pipeline.videos.compression import compress
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.videos.sampling import sample as draw
from tests.aids.clips import raw_set

LONG = "Interview with the minister about what was said in the hall [aB3dE5gH7jK]"


def test_the_worst_case_through_forge_and_crop_is_a_readable_shard(tmp_path: Path) -> None:
    """Two names as long as they get, the last of a thousand clips, a quality of eight letters: cropped for real."""
    target, donor = names.of_files([f"{LONG} 1.mp4", f"{LONG} 2.mp4"])
    assert len(target) == len(donor) == names.LONGEST and target != donor
    fake = Job("faceswap", f"{target}_999", Donor(f"{donor}_999", False, 0.0), 64, 0).name
    row = {"label": 1, "target": f"{target}_999", "donor": f"{donor}_999", "bucket": "b0"}
    raw = raw_set(tmp_path / "raw/s", {fake: row})
    quality = "q" * QUALITY_LETTERS
    compress(raw, tmp_path / "compressed" / quality, 40, quality, workers=1)
    frames = draw("s", read_manifest(raw), read_rejected(raw), 3, 0)
    (tmp_path / "faces/s").mkdir(parents=True)
    boxes = frames[["video", "frame"]].assign(left=12, top=16, size=40, cause="")
    boxes.astype(dict.fromkeys(("left", "top", "size"), "Int64")).to_parquet(tmp_path / "faces/s/boxes.parquet")
    out = tmp_path / "shards"
    folders = {quality: tmp_path / "compressed" / quality}
    assert crop_set(frames, tmp_path / "faces", raw, folders, out, 32, 4, 1) == (3, 0)
    read = list(webdataset.WebDataset([str(path) for path in out.glob("*.tar")], shardshuffle=False))
    assert [one["__key__"] for one in read] == list(read_index([out])["key"])
    assert {f"{quality}.png", "raw.png", "json"} < read[0].keys()


def test_the_last_of_ten_million_frames_fits_too(tmp_path: Path) -> None:
    clip = names.of_people([LONG])[0] + "_999"
    files = {f"{'q' * QUALITY_LETTERS}.png": b"1", "raw.png": b"2", "json": b"{}"}
    with ShardWriter(tmp_path, 9) as writer:
        row = {"set": "s", "person": "p", "label": 1}
        writer.write("b0", f"{clip}__{clip}-{9_999_999:06d}", files, row)
    found = read_index([tmp_path]).iloc[0]
    assert read_sample(found["path"], found["offset"], found["bytes"]) == files


def test_what_fits_is_as_it_is_written() -> None:
    files = ["a b.mp4", "deep/er/José.mp4", "../x.mov", "b.tar.mp4", "UPPER_lower-9.mkv"]
    assert names.of_files(files) == ["a-b", "deep-er-Jose", "x", "b-tar", "UPPER_lower-9"]
    assert names.of_people(["Ann Li", "Dr. Who"]) == ["Ann-Li", "Dr-Who"]
    assert names.beside(["a.srt", "b.txt"], ["a-srt"]) == ["a-srt-442af7e1", "b-txt"]


def test_no_two_are_alike() -> None:
    files = ["a.mp4", "a.mov", "A.MOV", "影片.mp4", "電影.mp4", "--.mp4", f"{LONG}1.mp4", f"{LONG}2.mp4"]
    files += ["x/y.mp4", "x-y.mp4", "José.mp4", "Jose\u0301.mp4", "Andr\udce9.mp4", "André.mp4", *names.of_files(files)]
    for _ in range(20):
        random.Random(_).shuffle(files)
        found = names.of_files(files)
        assert len({name.lower() for name in found}) == len(files)
        assert all(0 < len(name) <= names.LONGEST and not names.UNSAFE.search(name) for name in found)


def test_further_files_change_no_name_unless_they_look_alike() -> None:
    files = ["a.mp4", f"{LONG}1.mp4", "影片.mp4", "b.mp4", "b.mov"]
    before = dict(zip(files, names.of_files(files), strict=True))
    more = ["0.mp4", *files, f"{LONG}0.mp4", "電影.mp4", "b.avi", "a/b.mp4"]
    after = dict(zip(more, names.of_files(more), strict=True))
    assert before == {file: after[file] for file in files}
    assert before["b.mov"] == "b-mov"


def test_a_published_name_stays_and_fits() -> None:
    kept = Listed(
        "01_02__walking_and_outside_surprised__ABCDEFGH", "f", "01", "test", "01__walking_and_outside_surprised"
    )
    assert _fitting(kept) == kept
    long = "x" * 120
    real, fake = _fitting(Listed(long, "f", long, "test")), _fitting(Listed("y" * 120, "f", long, "test", long))
    assert real.video == real.person == fake.target == fake.person and len(real.video) == names.LONGEST_CLIP
    assert len(fake.video) == names.LONGEST_FAKE and fake.donor == fake.mate == ""


def test_the_samples_names_fit() -> None:
    people = pd.read_csv(sample.CLIPS)["person"].unique()
    assert names.of_people(list(people)) == list(people)


@pytest.mark.parametrize("letters", [NAME_LETTERS])
def test_the_longest_file_of_a_model_fits_a_file_system(letters: int) -> None:
    cell = f"warm_start-inception_resnet_v1-{'m' * letters}-{'q' * QUALITY_LETTERS}-s{2**63}.parquet.part"
    assert len(cell) < 255
