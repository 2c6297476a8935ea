"""The benchmark of training with tiny sizes: all its sides run, and their ratios are told."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from benchmarks import made_up, training
from pipeline.loading.loader import TrainingLoader


def test_every_ratio_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = Namespace(backbone="mobilenet_v2", size=32, batch=4, frames=8, repeats=1, workers=0)
    training.measure(chosen, tmp_path)
    lines = [line for line in capsys.readouterr().out.splitlines() if " / " in line]
    assert len(lines) == 6 and all(float(line.split()[-2]) > 0 for line in lines)


def test_the_other_side_reads_the_same_pairs(tmp_path: Path) -> None:
    folders = made_up.shards(tmp_path / "shards", 8, 32)
    pairs = training.Pairs(training.png_files(folders, tmp_path / "files"), 32)
    found = [pairs[index] for index in range(len(pairs))]
    assert [int(one["label"]) for one in found] == [0] * 4 + [1] * 4
    loader = TrainingLoader(
        folders, buckets=["train"], qualities=["raw", "c40"], image_size=32, batch_size=8, flip=0.5, seed=0
    )
    (batch,) = loader.epoch(0)
    for quality, images in batch.images.items():
        theirs = [one[quality] for one in found]
        assert all(image.shape == (3, 32, 32) and image.dtype == torch.float32 for image in theirs)
        means = sorted(float(image.mean()) for image in theirs)
        assert sorted(float(image.mean()) for image in images) == pytest.approx(means, abs=1e-5)
