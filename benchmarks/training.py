"""What keeps a training on a CPU from its step: loader, loop, losses. Run from the root, a few minutes:

    python -m benchmarks.training                       # MobileNetV2 at 112 px, batch 32, as the sample trains it
    python -m benchmarks.training --workers 2           # ImageFolder with worker processes, on the clock

All on made-up crops, random weights, one thread and glibc's memory kept (as stages are started). Sides run in turn in
one process; the table gives the median (least..most) ratio of their repeats, of processor seconds unless there are
workers, whose seconds only the clock sees.
1. The step of ADD against the loader alone, crops held in memory, and in a file on the disk.
2. torchvision's ImageFolder on the same pairs as PNG files (decoded by PIL; one window and one flip a pair), read by a
   DataLoader with `--workers` workers, against both.
3. The whole loop (trainer, loader, terms) against the bare step on batches that are there: forward, backward, Adam.
4. The step of ADD against a plain step and the teacher's forward pass.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2 import functional

from benchmarks import made_up
from benchmarks.measuring import Clocked, Timing, alternate
from pipeline.crops.shards import read_index, read_sample
from pipeline.detectors.device import seed_everything
from pipeline.loading.loader import TrainingLoader
from pipeline.training.history import Means
from pipeline.training.trainer import Trainer

KEPT = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
CPU = torch.device("cpu")


class Pairs(Dataset[dict[str, Tensor]]):
    """Pairs of PNG files as one would read them with torchvision: one folder a quality, one below it a class."""

    def __init__(self, root: Path, size: int) -> None:
        self.folders = {quality: ImageFolder(str(root / quality)) for quality in ("raw", made_up.QUALITY)}
        self.size = size

    def __len__(self) -> int:
        return len(self.folders["raw"])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        found, window, flip = {}, None, random.random() < 0.5
        for quality, folder in self.folders.items():
            image, label = folder[index]
            room = image.width - self.size + 1
            window = window or (random.randrange(room), random.randrange(room), self.size, self.size)
            pixels = functional.to_dtype(functional.pil_to_tensor(functional.crop(image, *window)), scale=True)
            pixels = functional.horizontal_flip(pixels) if flip else pixels
            found[quality] = functional.normalize(pixels, [0.5] * 3, [0.5] * 3)
        return {**found, "label": torch.tensor(label)}


def png_files(folders: Sequence[Path], root: Path) -> Path:
    """The crops of shards as files: <quality>/<class>/<key>.png."""
    for row in read_index(folders).to_dict("records"):
        for name, content in read_sample(str(row["path"]), int(row["offset"]), int(row["bytes"])).items():
            place = root / name.removesuffix(".png") / str(row["label"])
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{row['key']}.png").write_bytes(content)
    return root


def endless(epoch: Callable[[int], Iterator[Any]]) -> Callable[[], Iterator[Any]]:
    return lambda: chain.from_iterable(epoch(number) for number in count())


def bare(task: nn.Module, batch: Any) -> Callable[[], None]:
    """The least that a step is."""
    parameters = [parameter for parameter in task.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=2e-4)
    task.train()

    def step() -> None:
        total = torch.stack(list(task(batch.images, batch.labels).losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def loop(task: nn.Module, recipe: Any, source: Callable[[], Iterator[Any]]) -> Callable[[], None]:
    """A step of the whole loop: the trainer is stopped between its steps."""
    loader = Clocked(source, 10**6, 0, 0, "cpu")
    trainer = Trainer(task, recipe, loader, CPU)
    steps = trainer._steps()

    means = Means()

    def step() -> None:
        means.add(next(steps))
        if len(means.steps) == 4:
            means.take()

    return step


def ratio(one: Timing, *others: Timing, clock: bool = False) -> str:
    """one / the sum of the others: median (least..most) over the repeats."""
    kind = "clock" if clock else "processor"
    found = [a / sum(b) for a, *b in zip(*(getattr(timing, kind) for timing in (one, *others)), strict=True)]
    return f"{statistics.median(found):8.2f} ({min(found):.2f}..{max(found):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--size", type=int, default=112, help="px of the windows; crops have 16 more")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--workers", type=int, default=0)
    chosen = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in KEPT.items()):
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.training", *sys.argv[1:]], os.environ | KEPT)
    torch.set_num_threads(1)
    seed_everything(0)
    with tempfile.TemporaryDirectory() as folder:
        measure(chosen, Path(folder))


def measure(chosen: argparse.Namespace, folder: Path) -> None:
    folders = made_up.shards(folder / "shards", chosen.frames, chosen.size + 16)
    options: dict[str, Any] = {
        "buckets": ["train"],
        "qualities": ["raw", made_up.QUALITY],
        "image_size": chosen.size,
        "batch_size": chosen.batch,
        "flip": 0.5,
        "seed": 0,
    }
    held, mapped = (endless(TrainingLoader(folders, **options, place=place).epoch) for place in ("memory", "disk"))
    files = Pairs(png_files(folders, folder / "files"), chosen.size)
    settings: dict[str, Any] = {"batch_size": chosen.batch, "shuffle": True, "drop_last": True}
    others = endless(lambda number: iter(DataLoader(files, num_workers=chosen.workers, **settings)))
    kept = list(islice(held(), 4))
    recipe = made_up.recipe("add", amp="off", batch_size=chosen.batch, freeze_stages=0)

    def task(method: str) -> nn.Module:
        return made_up.task(method, chosen.backbone, made_up.some(held))

    plain, add, whole = task(chosen.backbone), task("add"), task("add")
    teacher = task("add").teacher

    @torch.no_grad()
    def look() -> None:
        teacher(kept[0].images["raw"])

    loaders = {"held": held, "mapped": mapped, "folder": others}
    sides = {"plain": bare(plain, kept[0]), "teacher": look, "ADD": bare(add, kept[0])}
    in_turn: list[tuple[dict[str, Callable[[], Any]], int]] = [
        ({name: partial(next, source()) for name, source in loaders.items()}, chosen.frames // chosen.batch),
        (sides | {"loop": loop(whole, recipe, held)}, 2),
    ]
    found: dict[str, Timing] = {}
    for each, inner in in_turn:
        found |= dict(zip(each, alternate(list(each.values()), chosen.repeats, "cpu", inner), strict=True))
    print(f"{chosen.backbone}, {chosen.size} px, batch {chosen.batch}, {chosen.workers} workers; a batch or a step:")
    print(f"{'':<10}{'clock s: median (least..most)':>36} {'processor s':>11}")
    for name, timing in found.items():
        print(f"{name:<10}{timing}")
    clock = chosen.workers > 0
    for what, one, rest in (
        ("step of ADD / loader, held", "ADD", ["held"]),
        ("step of ADD / loader, on the disk", "ADD", ["mapped"]),
        ("ImageFolder / loader, held", "folder", ["held"]),
        ("ImageFolder / loader, on the disk", "folder", ["mapped"]),
    ):
        print(f"{what:<40}{ratio(found[one], *(found[name] for name in rest), clock=clock)}")
    print(f"{'whole loop / bare step of ADD':<40}{ratio(found['loop'], found['ADD'])}")
    print(f"{'step of ADD / (plain step + teacher)':<40}{ratio(found['ADD'], found['plain'], found['teacher'])}")


if __name__ == "__main__":
    main()
