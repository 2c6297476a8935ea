"""Shards that were damaged, or do not fit their index: one line that names the file before anything is trained on."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.crops.shards import INDEX, ShardWriter, read_index
from pipeline.reporting.figures.crops import spectra
from pipeline.serving.export import exporting
from pipeline.work.errors import UserError
from tests.aids.refusing import refusal, write
from tests.aids.report_fixture import write_params

SIZE = 48


def png(shade: int, size: int = SIZE) -> bytes:
    return bytes(cv2.imencode(".png", np.full((size, size, 3), shade, np.uint8))[1])


def shards(root: Path, other: dict[str, bytes] | None = None) -> None:
    """Two people a bucket, a real and a fake frame of each. other: files in place of the first sample's."""
    for name, label in (("original", 0), ("faceswap", 1)):
        with ShardWriter(root / "data/shards" / name, shard_frames=2) as writer:
            for bucket in ("b0", "b1"):
                for number in range(2):
                    video = f"{bucket}-{number}" + "-fake" * label
                    row = {"set": name, "video": video, "person": f"{bucket}-{number}", "frame": 3, "label": label}
                    row |= {"left": 0, "top": 0, "size": SIZE, "target": video[:4] if label else "", "donor": ""}
                    files = other if other is not None and not writer.rows else {"raw.png": png(90), "c40.png": png(80)}
                    writer.write(bucket, f"{video}-000003", {**files, "json": b"{}"}, row)


def index(**columns: object) -> Callable[[Path], None]:
    """Spoil the reals' index: other values in a column, or without it."""

    def spoil(root: Path) -> None:
        path = root / "data/shards/original" / INDEX
        table = pd.read_parquet(path)
        for name, value in columns.items():
            table = table.drop(columns=name) if value is None else table.assign(**{name: value})
        table.to_parquet(path)

    return spoil


def shard(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        for path in (root / "data/shards/original").glob("*.tar"):
            path.write_bytes(change(path.read_bytes()))

    return spoil


def first(**files: bytes) -> Callable[[Path], None]:
    return lambda root: shards(root, {f"{name}.png": content for name, content in files.items()})


def swapped(root: Path) -> None:
    path = root / "data/shards/original" / INDEX
    table = pd.read_parquet(path)
    table["offset"] = table.groupby("shard")["offset"].transform(lambda offsets: offsets.to_numpy()[::-1])
    table.to_parquet(path)


def alone(root: Path) -> None:
    for path in (root / "data/shards/original").glob("*.tar"):
        path.unlink()


PLACE = "data/shards/original"
TABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda root: (root / PLACE / INDEX).unlink(), "index.parquet: not found; run `dvc repro`"),
    "an empty index": (write(f"{PLACE}/{INDEX}", b""), "index.parquet: not a readable table"),
    "an index of zeros": (write(f"{PLACE}/{INDEX}", bytes(2000)), "index.parquet: not a readable table"),
    "an index cut short": (
        lambda root: (root / PLACE / INDEX).write_bytes((root / PLACE / INDEX).read_bytes()[:-100]),
        "index.parquet: not a readable table",
    ),
    "an index without people": (index(person=None), "lacks the columns person"),
    "an index without frames": (index(frame=None), "the index lacks frame"),
    "an index without places": (index(offset=None, bytes=None), "lacks the columns offset, bytes"),
    "an index without rows": (
        lambda root: pd.read_parquet(root / PLACE / INDEX).iloc[:0].to_parquet(root / PLACE / INDEX),
        "no reals in bucket",
    ),
    "a person in two buckets": (index(person="one"), "one is in more than one bucket"),
    "labels beyond 0 and 1": (index(label=[0, 0, 0, 2]), "labels other than 0 and 1"),
    "reals that are called fakes": (index(label=1), "no reals"),
    "places beyond the end": (index(offset=10**7), "cannot be read"),
    "places before the start": (index(offset=-512), "cannot be read"),
    "places of nothing": (index(bytes=0), "cannot be read"),
    "places between samples": (index(offset=100), "cannot be read"),
    "places of another sample": (swapped, "its index has"),
    "no shards": (alone, "b0-000000.tar: cannot be read"),
    "shards cut short": (shard(lambda data: data[:600]), "cannot be read"),
    "empty shards": (shard(lambda data: b""), "cannot be read"),
    "shards of zeros": (shard(lambda data: bytes(len(data))), "cannot be read"),
    "shards of noise": (shard(lambda data: np.random.default_rng(0).bytes(len(data))), "cannot be read"),
    "no crop of a quality": (first(raw=png(1)), "no c40 crops; add c40 to params `compressions`"),
    "no crop at all": (first(), "no c40 crops"),
    "a crop of another size": (first(raw=png(1), c40=png(1, 40)), "px unlike others; run the crop stage again"),
    "a crop that is no image": (first(raw=png(1), c40=b"x" * 200), "is no image; run the crop stage again"),
    "a crop without bytes": (first(raw=png(1), c40=b""), "is no image; run the crop stage again"),
    "half a crop": (first(raw=png(1), c40=png(1)[:30]), "is no image; run the crop stage again"),
}


@pytest.mark.parametrize("what", TABLE)
def test_damaged_shards_are_refused_in_one_line(what: str, tmp_path: Path) -> None:
    small = {
        "split": {"buckets": 2, "validation": 0, "seed": 0}, "folds": [1], "crop.size": SIZE, "model.image_size": 32,
        "model.pretrained": False, "train.freeze_stages": 0, "train.batch_size": 2, "tracking.enabled": False,
        "compressions": ["c40"],
    }  # fmt: skip
    write_params(tmp_path, **small)
    shards(tmp_path)
    spoil, says = TABLE[what]
    spoil(tmp_path)
    cell = ("--backbone", "mobilenet_v2", "--manipulation", "faceswap", "--seed", 0, "--fold", 1)
    line = refusal(tmp_path, "classifier", "--method", "baseline", *cell, "--compression", "c40",
                   "--shards", "data/shards", "--out", "models/baseline/fold0")  # fmt: skip
    assert says in line and "data/shards" in line, line


@pytest.mark.parametrize("what", ["no crop of a quality", "a crop that is no image", "a crop without bytes"])
def test_crops_that_are_looked_at_are_refused_like_those_that_are_trained_on(what: str, tmp_path: Path) -> None:
    """By the report's figures, and by an export, which takes a few to compare its networks."""
    spoil, says = TABLE[what]
    spoil(tmp_path)
    index = read_index([tmp_path / PLACE])
    for look in (lambda: spectra(index, ["original"], "c40"), lambda: exporting._crops(index, "c40")):
        with pytest.raises(UserError, match=f"{PLACE}/b0-000000.tar: .*{says}"):
            look()
