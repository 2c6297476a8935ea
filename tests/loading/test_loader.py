"""Crops whose pixels tell which frame they are: red counts the frame, green the column, blue the row."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.crops.shards import ShardWriter
from pipeline.loading.batches import Batch
from pipeline.loading.loader import TrainingLoader, evaluation_loader
from pipeline.work.errors import UserError

STORED, SIZE = 24, 16
REALS, FAKES = 5, 13  # of each bucket


def picture(number: int) -> np.ndarray:
    image = np.zeros((STORED, STORED, 3), np.uint8)
    image[..., 0], image[..., 1], image[..., 2] = number, np.arange(STORED), np.arange(STORED)[:, None]
    return image


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("shards")
    number = 0
    for name, label, count in (("original", 0, REALS), ("faceswap", 1, FAKES)):
        with ShardWriter(root / name, shard_frames=4) as writer:
            for bucket in ("b0", "b1"):
                for frame in range(count):
                    image = picture(number)
                    pngs = {"raw": image, "c40": 255 - image}
                    files = {f"{q}.png": bytes(cv2.imencode(".png", i[..., ::-1])[1]) for q, i in pngs.items()}
                    row = {"set": name, "video": f"v{bucket}", "person": bucket, "frame": frame, "label": label}
                    places = {"left": 0, "top": 0, "size": STORED, "target": "", "donor": ""}
                    writer.write(bucket, f"v{bucket}-{frame:06d}", files, row | places)
                    number += 1
    return [root / "original", root / "faceswap"]


def training(folders: list[Path], **changes: object) -> TrainingLoader:
    options = {
        "buckets": ["b1"],
        "qualities": ["raw", "c40"],
        "image_size": SIZE,
        "batch_size": 4,
        "flip": 0.5,
        "seed": 7,
    }
    return TrainingLoader(folders, **(options | changes))  # type: ignore[arg-type]


def pixels(images: torch.Tensor) -> np.ndarray:
    """Back to (B, S, S, 3) whole numbers."""
    return ((images * 0.5 + 0.5) * 255).round().int().permute(0, 2, 3, 1).numpy()


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.images[q], b.images[q]) and torch.equal(a.labels, b.labels) and a.meta == b.meta
        for a, b in zip(one, other, strict=True)
        for q in a.images
    )


def test_classes_are_balanced_and_every_frame_comes(folders: list[Path]) -> None:
    loader = training(folders, batch_size=26)
    (batch,) = loader.epoch(0)
    assert len(loader) == 1 and batch.labels.tolist().count(1) == FAKES == len(batch.labels) // 2
    counts = Counter((item["set"], item["frame"]) for item in batch.meta)
    assert {counts["faceswap", frame] for frame in range(FAKES)} == {1}
    assert {counts["original", frame] for frame in range(REALS)} == {2, 3}
    assert {item["bucket"] for item in batch.meta} == {"b1"}
    assert [item["label"] for item in batch.meta] == batch.labels.tolist()


def test_one_window_and_one_flip_for_every_quality(folders: list[Path]) -> None:
    corners, flips = set(), set()
    first = REALS  # the number that the first real of b1 was painted with
    for batch in training(folders).epoch(0):
        assert batch.images["raw"].shape == (4, 3, SIZE, SIZE) and batch.images["raw"].dtype == torch.float32
        raw, compressed = pixels(batch.images["raw"]), pixels(batch.images["c40"])
        assert (raw == 255 - compressed).all()
        for image, about in zip(raw, batch.meta, strict=True):
            number = 2 * REALS + FAKES + about["frame"] if about["label"] else first + about["frame"]
            assert (image[..., 0] == number).all()
            columns = image[0, :, 1]
            flip = columns[0] > columns[-1]
            assert columns.tolist() == sorted(range(columns.min(), columns.min() + SIZE), reverse=bool(flip))
            corners.add((int(image[0, 0, 2]), int(columns.min())))
            flips.add(bool(flip))
    assert len(corners) > 10 and flips == {True, False}


def test_epochs_differ_and_repeat_by_seed(folders: list[Path]) -> None:
    loader = training(folders)
    epochs = [list(loader.epoch(number)) for number in range(2)]
    assert not same(*epochs)
    assert same(epochs[1], list(training(folders).epoch(1)))
    assert not same(epochs[1], list(training(folders, seed=8).epoch(1)))


def test_neither_cache_nor_workers_nor_a_pause_change_a_batch(folders: list[Path]) -> None:
    wanted = list(training(folders).epoch(3))
    assert len(wanted) == len(training(folders)) == 2 * FAKES // 4
    assert same(wanted, list(training(folders, cache_mb=1).epoch(3)))
    assert same(wanted, list(training(folders, workers=2).epoch(3)))
    assert same(wanted[4:], list(training(folders).epoch(3, skip=4)))


def test_evaluation_sees_every_frame_once_at_its_centre(folders: list[Path]) -> None:
    loader = evaluation_loader(folders, buckets=["b0", "b1"], qualities=["raw"], image_size=SIZE, batch_size=5)
    batches = list(loader)
    assert same(batches, list(loader)) and len(loader) == len(batches) == 8
    images = np.concatenate([pixels(batch.images["raw"]) for batch in batches])
    margin = (STORED - SIZE) // 2
    wanted = [picture(number)[margin:-margin, margin:-margin] for number in range(2 * (REALS + FAKES))]
    assert (images == np.array(wanted)).all()


def test_errors_name_what_to_mend(folders: list[Path], tmp_path: Path) -> None:
    index = pd.read_parquet(folders[0] / "index.parquet")
    (tmp_path / "crossed").mkdir()
    index.assign(person="one").to_parquet(tmp_path / "crossed/index.parquet")
    with pytest.raises(UserError, match="one is in more than one bucket"):
        training([tmp_path / "crossed"])
    with pytest.raises(UserError, match=r"index\.parquet: not found"):
        training([tmp_path])
    with pytest.raises(UserError, match="no frames in bucket b7"):
        training(folders, buckets=["b0", "b7"])
    with pytest.raises(UserError, match="no c23 crops"):
        training(folders, qualities=["c23"])
    with pytest.raises(UserError, match=r"larger than crop\.size"):
        training(folders, image_size=32)
    with pytest.raises(UserError, match="no fakes among the training people"):
        training(folders[:1])
