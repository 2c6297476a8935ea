"""Crops whose pixels tell which frame they are: red counts the frame, green the column, blue the row."""

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.crops.shards import ShardWriter, read_index
from pipeline.loading import places
from pipeline.loading.batches import AHEAD, Batch, _ahead, cut
from pipeline.loading.loader import TrainingLoader, evaluation_loader
from pipeline.loading.places import choose
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


def digest(batches: Iterable[Batch]) -> str:
    """Of every bit of the batches, in their order."""
    found = hashlib.sha256()
    for batch in batches:
        for quality, images in sorted(batch.images.items()):
            found.update(f"{quality} {tuple(images.shape)} {images.dtype}".encode())
            found.update(images.cpu().contiguous().numpy().tobytes())
        found.update(batch.labels.cpu().numpy().tobytes())
        found.update(repr([(item["key"], item["label"]) for item in batch.meta]).encode())
    return found.hexdigest()


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


@pytest.mark.parametrize("place", ["auto", "device", "memory", "disk"])
def test_neither_the_place_nor_a_pause_change_a_batch(folders: list[Path], place: str) -> None:
    wanted = list(training(folders).epoch(3))
    assert len(wanted) == len(training(folders)) == 2 * FAKES // 4
    loader = training(folders, place=place)
    assert same(wanted, list(loader.epoch(3)))
    assert same(wanted[4:], list(loader.epoch(3, skip=4)))
    assert list(loader.epoch(3, skip=len(wanted))) == []


def test_crops_on_the_disk_leave_no_file_and_a_full_disk_is_told(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    batches = training(folders, place="disk").epoch(0)
    next(batches)
    assert list((tmp_path / ".scratch").iterdir()) == []

    def full(file: int, start: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(UserError, match=r"\.scratch: no room for .* loader\.place"):
        next(training(folders, place="disk").epoch(0))
    assert list((tmp_path / ".scratch").iterdir()) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("place", ["auto", "device", "memory", "disk"])
def test_a_gpu_sees_the_same_bits(folders: list[Path], place: str) -> None:
    wanted = list(training(folders).epoch(3))
    found = list(training(folders, place=place, device=torch.device("cuda")).epoch(3))
    assert all(batch.images["raw"].is_cuda and batch.labels.is_cuda for batch in found)
    assert digest(found) == digest(wanted)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_crops_on_a_gpu_are_cut_without_a_wait(folders: list[Path]) -> None:
    batches = training(folders, place="device", device=torch.device("cuda")).epoch(0)
    next(batches)  # decodes, and copies what the whole epoch draws
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert len(list(batches)) == len(training(folders)) - 1
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_what_is_gathered_ahead_comes_in_order_and_no_more_of_it_than_is_told() -> None:
    """Only a GPU's batches are."""
    asked: list[int] = []

    def get(draw: int) -> int:
        asked.append(draw)
        return 10 * draw

    coming = _ahead(get, range(9))  # type: ignore[arg-type]
    assert next(coming) == 0 and len(asked) <= AHEAD + 1
    assert list(coming) == [10 * draw for draw in range(1, 9)] and asked == list(range(9))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_crops_beyond_two_thousand_million_bytes_are_found() -> None:
    """A task of FaceForensics++ takes 4.5 GB a quality: places that 32 bits do not count."""
    crops = torch.zeros(45_000, 128, 128, 3, dtype=torch.uint8, device="cuda")
    crops[-2:] = torch.randint(0, 256, (2, 128, 128, 3), device="cuda")
    rows, tops, lefts, flips = (torch.tensor(v, device="cuda") for v in ([44_999, 44_998], [3, 16], [16, 5], [0, 1]))
    found = cut(crops, rows, tops, lefts, flips, 112)
    assert torch.equal(found[0], crops[44_999, 3:115, 16:])
    assert torch.equal(found[1], crops[44_998, 16:, 5:117].flip(1))


def test_the_place_is_the_first_with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(places, "free_memory", lambda: 8000)
    monkeypatch.setattr(places.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 4000))
    assert [choose("auto", needed, cuda) for needed in (500, 501, 1000, 1001)] == ["device", "memory", "memory", "disk"]
    assert [choose("auto", needed, cpu) for needed in (500, 1000, 1001)] == ["memory", "memory", "disk"]
    monkeypatch.setattr(places.os, "cpu_count", lambda: 16)
    assert [choose("auto", needed, cpu) for needed in (500, 501)] == ["memory", "disk"]
    assert {choose(place, 10**15, cuda) for place in ("device", "memory", "disk")} == {"device", "memory", "disk"}


def test_free_memory_is_of_this_machine_and_of_its_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    free = places.free_memory()
    assert 2**20 < free < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name, limit, wanted in (("limited", "5000000", 3_000_000), ("unlimited", "max", free)):
        limits = tmp_path / f"{name}.max", tmp_path / f"{name}.current"
        for path, content in zip(limits, (limit, "2000000"), strict=True):
            path.write_text(f"{content}\n")
        monkeypatch.setattr(places, "CGROUPS", (tuple(map(str, limits)),))
        assert places.free_memory() == pytest.approx(wanted, rel=0.2)


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_dropout_draws_the_same_wherever_the_crops_lie(folders: list[Path], place: str) -> None:
    """A pass takes one number of torch's generator, as a DataLoader does; what is left of one takes none."""
    loader = training(folders, place=place)
    torch.manual_seed(3)
    torch.empty((), dtype=torch.int64).random_()
    wanted = torch.rand(5)
    torch.manual_seed(3)
    list(loader.epoch(0))
    assert torch.equal(torch.rand(5), wanted)
    torch.manual_seed(3)
    torch.empty((), dtype=torch.int64).random_()
    list(loader.epoch(0, skip=2))
    assert torch.equal(torch.rand(5), wanted)


def test_the_batches_stay_what_they_were(folders: list[Path]) -> None:
    """Pinned: what was trained on them must come out again, however they are read."""
    epochs = [batch for number in range(3) for batch in training(folders).epoch(number)]
    assert digest(epochs) == "1c80678123fe9a0e0a7a945d8efeefadbeaec17f735be76882af5e68cbd90cff"
    unseen = evaluation_loader(read_index(folders), qualities=["c40"], image_size=SIZE, batch_size=5)
    assert digest(unseen) == "ff202b7bbed68bf411a4ff77d553e24f0a7c57ca314049797a8cb8ce117e031f"


def test_mixed_frames_come_at_each_quality_and_by_seed_epoch_and_frame_alone(folders: list[Path]) -> None:
    loader = training(folders, mixed=True)
    plain, mixed = list(training(folders).epoch(3)), list(loader.epoch(3))
    drawn = Counter()
    for whole, batch in zip(plain, mixed, strict=True):
        assert list(batch.images) == ["all"] and batch.meta == whole.meta
        for place, image in enumerate(batch.images["all"]):
            (quality,) = (name for name, images in whole.images.items() if torch.equal(images[place], image))
            drawn[quality] += 1
    assert drawn.total() == 24 and min(drawn["raw"], drawn["c40"]) >= 6
    assert same(mixed[4:], list(training(folders, mixed=True, place="disk").epoch(3, skip=4)))
    assert not same(mixed, list(training(folders, mixed=True, seed=8).epoch(3)))
    again = [torch.equal(a.images["all"], b.images["all"]) for a, b in zip(mixed, loader.epoch(4), strict=True)]
    assert not all(again)


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three targets of four frames; fakes of two of them and of a video that is not there; one lacks a real frame."""
    root = tmp_path_factory.mktemp("paired")
    rows = [
        ("original", f"t{v}", "", frame, 10 * v + frame) for v in range(3) for frame in range(4) if (v, frame) != (1, 2)
    ]
    rows += [("faceswap", f"t{v}_x", f"t{v}", frame, 100 + 10 * v + frame) for v in (0, 1, 7) for frame in range(4)]
    for name in ("original", "faceswap"):
        with ShardWriter(root / name, shard_frames=99) as writer:
            for _, video, target, frame, number in (row for row in rows if row[0] == name):
                png = bytes(cv2.imencode(".png", picture(number)[..., ::-1])[1])
                row = {"set": name, "video": video, "person": video[:2], "frame": frame, "label": int(bool(target))}
                places = {"left": 0, "top": 0, "size": STORED, "target": target, "donor": ""}
                writer.write("b1", f"{video}-{frame}", {"raw.png": png}, row | places)
    return [root / "original", root / "faceswap"]


def test_pairs_are_a_fake_and_its_targets_frame_through_one_window(
    folders: list[Path], paired: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    loader = training(paired, qualities=["raw"], batch_size=7, paired=True)
    assert loader.batch_size == 6 and "4 of 12 fakes lack their target's frames" in capsys.readouterr().err
    seen = Counter()
    for batch in loader.epoch(0):
        assert batch.labels.tolist() == [1, 0] * 3
        images = pixels(batch.images["raw"])
        for fake, real, a, b in zip(batch.meta[::2], batch.meta[1::2], images[::2], images[1::2], strict=True):
            assert real["video"] == fake["target"]
            assert real["frame"] == fake["frame"] or (fake["target"], fake["frame"], real["frame"]) == ("t1", 2, 1)
            assert (a[..., 1:] == b[..., 1:]).all()  # green and blue tell the window and the flip
            seen[fake["target"], fake["frame"]] += 1
    assert set(seen) == {(f"t{v}", frame) for v in (0, 1) for frame in range(4)}
    assert len(loader) == len(training(paired, qualities=["raw"], batch_size=6))  # as long an epoch as without
    assert same(list(loader.epoch(2))[2:], list(loader.epoch(2, skip=2)))
    with pytest.raises(UserError, match=r"train\.paired"):
        training(folders, paired=True)  # whose fakes know no target


def test_evaluation_sees_every_frame_once_at_its_centre(folders: list[Path]) -> None:
    loader = evaluation_loader(read_index(folders), qualities=["raw"], image_size=SIZE, batch_size=5)
    batches = list(loader)
    assert same(batches, list(loader)) and len(loader) == len(batches) == 8
    images = np.concatenate([pixels(batch.images["raw"]) for batch in batches])
    margin = (STORED - SIZE) // 2
    wanted = [picture(number)[margin:-margin, margin:-margin] for number in range(2 * (REALS + FAKES))]
    assert (images == np.array(wanted)).all()


def test_some_frames_alone_are_decoded_in_the_batches_that_they_have_among_all(folders: list[Path]) -> None:
    index = read_index(folders)
    kept = np.arange(len(index)) % 3 == 1
    kept[10:20] = False  # two whole batches
    settings = {"qualities": ["raw"], "image_size": SIZE, "batch_size": 5}
    some = evaluation_loader(index, **settings, kept=kept)
    assert len(some.crops) == kept.sum() > 5
    batches = [pixels(batch.images["raw"]) for batch in evaluation_loader(index, **settings)]
    wanted = [batch[kept[5 * n : 5 * n + 5]] for n, batch in enumerate(batches) if kept[5 * n : 5 * n + 5].any()]
    found = [pixels(batch.images["raw"]) for batch in some]
    assert len(found) == len(wanted) == 5  # of eight: one frame is left in the last, and it is not kept
    assert all((here == there).all() for here, there in zip(found, wanted, strict=True))


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


def test_manipulations_are_balanced_in_every_batch(folders: list[Path], tmp_path: Path) -> None:
    """Thirteen fakes of one and two of another: each is a quarter of every batch, and no frame is left out."""
    with ShardWriter(tmp_path / "reenactment", shard_frames=4) as writer:
        for frame in range(2):
            files = {f"{q}.png": bytes(cv2.imencode(".png", picture(200 + frame))[1]) for q in ("raw", "c40")}
            row = {"set": "reenactment", "video": "w", "person": "b1", "frame": frame, "label": 1}
            row |= {"left": 0, "top": 0, "size": STORED, "target": "", "donor": ""}
            writer.write("b1", f"w-{frame:06d}", files, row)
    loader = training([*folders, tmp_path / "reenactment"], batch_size=8)
    seen: Counter[tuple[str, int]] = Counter()
    for batch in loader.epoch(0):
        counts = Counter(item["set"] for item in batch.meta)
        assert counts["original"] == 4 and counts["faceswap"] == counts["reenactment"] == 2
        seen.update((item["set"], item["frame"]) for item in batch.meta)
    assert {name for name, _ in seen} == {"original", "faceswap", "reenactment"}
    assert same(list(loader.epoch(1)), list(loader.epoch(1))) and not same(list(loader.epoch(0)), list(loader.epoch(1)))
