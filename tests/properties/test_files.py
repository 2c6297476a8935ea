"""What is written can be read again, for any content: squares, shards, tables; boxes lie in their frames."""

import json
import string
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crops.samples import region_of
from pipeline.crops.shards import ShardWriter, read_index, read_sample
from pipeline.faces.boxes import cut, read_squares, writing
from pipeline.faces.geometry import Face, square_box
from pipeline.videos.manifests import read_manifest, read_rejected, write_manifest, write_rejected

NAMES = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=30)
# NUL ends a text in some readers, and no file's name can hold it.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
FACES = st.tuples(*[st.floats(-300, 2000)] * 2, *[st.floats(1, 1500)] * 2)


@given(FACES, st.integers(2, 2000), st.integers(2, 2000), st.floats(1, 3))
def test_a_square_lies_in_its_frame(face: tuple[float, ...], width: int, height: int, enlarge: float) -> None:
    x, y, wide, high = face
    left, top, size = square_box(Face(x, y, x + wide, y + high), width, height, enlarge)
    assert left >= 0 and top >= 0 and left + size <= width and top + size <= height
    assert size == min(round(enlarge * max(x + wide - x, y + high - y)), width, height)
    if size // 2 <= x + wide / 2 <= width - size // 2 - 1:  # nothing had to be shifted: it is the face's middle
        assert abs(left + size / 2 - (x + wide / 2)) <= 1


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 60), st.integers(1, 30)), min_size=1, max_size=5))
def test_a_region_holds_all_boxes_at_even_places(boxes: list[tuple[int, int, int]]) -> None:
    width, height = 120, 90
    left, top, wide, high = region_of(boxes, width, height)
    assert left % 2 == top % 2 == 0 and left + wide <= width and top + high <= height
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    part = image[top : top + high, left : left + wide]
    for x, y, size in boxes:
        assert np.array_equal(cut(part, (x - left, y - top, size)), cut(image, (x, y, size)))


@settings(max_examples=15)
@given(st.dictionaries(st.integers(0, 999_999), st.integers(1, 20), min_size=1, max_size=4), st.integers(0, 99))
def test_squares_come_back_as_they_were(sizes: dict[int, int], seed: int) -> None:
    chance = np.random.default_rng(seed)
    squares = {frame: chance.integers(0, 256, (size, size, 3), dtype=np.uint8) for frame, size in sizes.items()}
    with TemporaryDirectory() as folder:
        with writing(Path(folder, "v.zip")) as keep:
            for frame, square in squares.items():
                keep(frame, square)
        for frame, square in read_squares(Path(folder, "v.zip"), squares):
            assert np.array_equal(square, squares[frame])


SAMPLES = st.lists(
    st.tuples(NAMES, st.dictionaries(st.sampled_from(["raw.png", "c40.png", "json"]), st.binary(max_size=1500))),
    min_size=1, max_size=9, unique_by=lambda sample: sample[0],
)  # fmt: skip


@settings(max_examples=15)
@given(SAMPLES, st.integers(1, 4), st.data())
def test_samples_of_shards_come_back_as_they_were(
    samples: list[tuple[str, dict[str, bytes]]], shard_frames: int, data: st.DataObject
) -> None:
    samples = [(key, files or {"json": b""}) for key, files in samples]
    buckets = sorted(data.draw(st.lists(st.sampled_from(["b0", "b1"]), min_size=len(samples), max_size=len(samples))))
    with TemporaryDirectory() as folder:
        contents = []
        for again in ("one", "two"):
            with ShardWriter(Path(folder, again), shard_frames) as writer:
                for bucket, (key, files) in zip(buckets, samples, strict=True):
                    row = {"set": "s", "video": key, "person": f"p{bucket}", "target": "", "donor": "", "frame": 0}
                    writer.write(bucket, key, files, row | {"label": 1})
            contents.append({p.name: p.read_bytes() for p in Path(folder, again).iterdir()})
        assert contents[0] == contents[1]
        table = read_index([Path(folder, "one")])
        for (key, files), row in zip(samples, table.to_dict("records"), strict=True):
            assert read_sample(str(row["path"]), int(row["offset"]), int(row["bytes"]), key) == files
        assert table.groupby("shard").size().max() <= shard_frames


@settings(max_examples=25)
@given(st.lists(st.tuples(NAMES, TEXTS, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=2)), min_size=1, max_size=4,
                unique_by=lambda row: row[0]))  # fmt: skip
def test_the_manifest_and_what_is_rejected_come_back_as_they_were(
    rows: list[tuple[str, str, str, dict[str, str]]],
) -> None:
    numbers = {"label": 1, "frames": 7, "fps": 29.97, "width": 64, "height": 48, "target": "", "donor": "NaN"}
    videos = [
        numbers | {"video": video, "person": person, "bucket": "b0", "parameters": json.dumps(about), "source": text,
                   "licence": "none"}
        for video, person, text, about in rows
    ]  # fmt: skip
    causes = [{"set": "s", "video": video, "frame": "", "stage": "x", "cause": text} for video, _, text, _ in rows]
    with TemporaryDirectory() as folder:
        write_manifest(Path(folder), videos)
        write_rejected(Path(folder), causes)
        found, rejected = read_manifest(Path(folder)), read_rejected(Path(folder))
        assert found.to_dict("records") == [
            {column: row[column] for column in found} for row in sorted(videos, key=lambda row: str(row["video"]))
        ]
        assert list(rejected["cause"]) == [row["cause"] for row in sorted(causes, key=lambda row: str(row["video"]))]
