"""What benchmarks of training work on: made-up features, batches and crops, and trainings by the paper's recipe."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measuring import Clocked, Timing
from pipeline.crops.shards import ShardWriter
from pipeline.detectors.backbones.features import Features
from pipeline.detectors.backbones.registry import build
from pipeline.losses import registry
from pipeline.params import presets
from pipeline.params.recipes import Train
from pipeline.params.schema import Params
from pipeline.training.classification import Classification
from pipeline.training.distillation import Distillation
from pipeline.training.trainer import Trainer

ROOT = Path(__file__).parents[1]
SHAPES = ((256, 32, 32), (512, 16, 16), (1024, 8, 8), (2048, 4, 4))  # of ResNet-50 at 128 px
QUALITY = "c40"


def features(
    batch: int, device: str, channels_last: bool, shapes: Sequence[tuple[int, int, int]] = SHAPES
) -> tuple[Features, Features]:
    """ReLU-like features of student and teacher, the student's near the teacher's; the same on every device."""
    generator = torch.Generator().manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    student, teacher = [], []
    for shape in shapes:
        theirs = torch.randn(batch, *shape, generator=generator)
        ours = (theirs + 0.3 * torch.randn(theirs.shape, generator=generator)).relu()
        teacher.append(theirs.relu().to(device).contiguous(memory_format=layout))
        student.append(ours.to(device).contiguous(memory_format=layout).requires_grad_())
    logits = torch.zeros(batch, 2, device=device)
    return Features(tuple(student), logits, logits), Features(tuple(teacher), logits, logits)


@dataclass
class Batch:
    images: dict[str, Tensor]
    labels: Tensor


def batches(batch: int, size: int, device: str, count: int = 4) -> list[Batch]:
    """`count` batches of noise that lie on the device as the loader leaves them."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        raw = torch.rand(batch, size, size, 3, generator=generator).mul_(2).sub_(1).permute(0, 3, 1, 2)
        images = {"raw": raw.to(device), QUALITY: (raw + 0.1).clamp_(-1, 1).to(device)}
        found.append(Batch(images, (torch.arange(batch) % 2).to(device)))
    return found


def shards(root: Path, frames: int, size: int) -> list[Path]:
    """Crops of smooth noise, half of them fakes, in two qualities: about as large as PNGs of faces."""
    random = np.random.default_rng(0)
    for label, name in enumerate(("original", "made_up")):
        with ShardWriter(root / name, shard_frames=1000) as writer:
            for frame in range(frames // 2):
                image = cv2.GaussianBlur(random.integers(0, 256, (size, size, 3), dtype=np.uint8), (0, 0), 1.5)
                pixels = {"raw": image, QUALITY: cv2.GaussianBlur(image, (0, 0), 1.0)}
                files = {f"{q}.png": cv2.imencode(".png", p)[1].tobytes() for q, p in pixels.items()}
                row = {"set": name, "video": "0", "person": "0", "frame": frame, "label": label}
                writer.write("train", f"{frame:06d}", files, row | {"target": "", "donor": ""})
    return [root / "original", root / "made_up"]


class Nowhere:
    """A checkpoint that keeps nothing."""

    def load(self) -> None:
        return None

    def save(self, state: Any) -> None:
        return None


@cache
def paper() -> Params:
    return presets.read("faceforensics", ROOT)


def recipe(method: str, **changes: Any) -> Train:
    """The paper's recipe of a method, as one epoch at a constant rate that keeps the last weights."""
    params = paper()
    section = params.baselines[method] if method in params.baselines else registry.section(method, params)
    once = {"epochs": 1, "schedule": "constant", "warmup_epochs": 0, "validations_per_epoch": 1, "select": "last"}
    return params.recipe(section).model_copy(update=once | changes)


def some(source: Callable[[], Iterator[Any]]) -> Tensor:
    """16 images of what is to come, of several batches where these are small."""
    return torch.cat([batch.images["raw"] for batch in islice(source(), 4)])[:16]


def task(method: str, backbone: str, images: Tensor) -> nn.Module:
    """What a training of a method trains; for a classifier the method is the backbone. All from random weights.

    A student starts from its teacher's weights, and the teacher knows the statistics of the batches: features of two
    unlike random networks lie so far apart that the weights of L_FR overflow. images: some of those to come.
    """
    torch.manual_seed(0)
    student = build(backbone)
    if method == backbone:
        return Classification(student, QUALITY)
    teacher = build(backbone)
    teacher.load_state_dict(student.state_dict())
    _settle_statistics(teacher, images.cpu())
    distillers = registry.build(method, backbone, paper(), student.channels, teacher.channels, seed=0)
    return Distillation(student, teacher, distillers, QUALITY)


def _settle_statistics(network: nn.Module, images: Tensor) -> None:
    """Fill the running statistics from one batch, as training would have."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum


def training(
    task: nn.Module,
    recipe: Train,
    source: Callable[[], Iterator[Any]],
    device: str,
    warm: int,
    blocks: int,
    steps: int,
) -> Timing:
    """Seconds of a step of the project's own training loop on the batches of `source`."""
    loader = Clocked(source, warm, blocks, steps, device)
    Trainer(task, recipe, loader, torch.device(device)).run(None, Nowhere(), lambda row: None, "step")  # type: ignore[arg-type]
    return loader.timing


def resident(batch: int, size: int, device: str) -> Callable[[], Iterator[Batch]]:
    """The same few batches for ever."""
    held = batches(batch, size, device)
    return lambda: cycle(held)
