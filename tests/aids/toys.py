"""A backbone of five units and made-up batches: what the training loop needs, in milliseconds."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.detectors.backbones.base import Backbone
from pipeline.detectors.backbones.features import Features


class Toy(Backbone):
    """Four strided convolutions of five channels: features 5x8x8 to 5x1x1 from images of 16 px."""

    channels = (5, 5, 5, 5)

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3 if i == 0 else 5, 5, 3, 2, 1), nn.BatchNorm2d(5), nn.ReLU()) for i in range(4)
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(5, 2))

    @property
    def head(self) -> nn.Module:
        return self.classifier

    def stages(self) -> list[list[nn.Module]]:
        return [[module] for module in self.body]

    def forward(self, images: Tensor) -> Features:
        outputs, x = [], images
        for module in self.body:
            x = module(x)
            outputs.append(x)
        embedding = x.mean((2, 3))
        return Features(tuple(outputs), embedding, self.head(embedding))


@dataclass
class Batch:
    images: dict[str, Tensor]
    labels: Tensor


class Batches:
    """Six batches an epoch, seeded by its number; fakes are brighter, so that there is something to learn."""

    def __init__(self, size: int = 8, broken_at: int | None = None) -> None:
        self.size, self.broken_at = size, broken_at

    def __len__(self) -> int:
        return 6

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(number)
        for index in range(len(self)):
            labels = torch.randint(0, 2, (self.size,), generator=generator)
            raw = torch.randn(self.size, 3, 16, 16, generator=generator) + labels[:, None, None, None]
            if self.broken_at == number * len(self) + index:
                raw = raw * torch.inf
            if index >= skip:
                yield Batch({"raw": raw, "c40": raw.round()}, labels)
