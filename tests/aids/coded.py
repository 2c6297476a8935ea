"""Crops whose pixels tell what they are, and a network that notes what it is shown: who, at which quality, how cut."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from pipeline.crops.shards import ShardWriter
from pipeline.detectors.backbones.features import Features
from tests.aids.toys import Toy

STORED, SIZE = 40, 32  # px of the stored crops, and of what a network sees of them
QUALITIES = ("raw", "c23", "c40")
PEOPLE = {"ann": "b0", "ben": "b0", "cat": "b0", "dan": "b1", "eve": "b2", "fay": "b2"}  # buckets of 3, 1 and 2
SETS = ("original", "faceswap", "reenactment")
FRAMES = 3  # of each person and set


@dataclass(frozen=True)
class Seen:
    """One image that a network was shown. left, top: of the window in the stored crop; training: the network's mode."""

    person: str
    set: str
    frame: int
    quality: str
    left: int
    top: int
    flipped: bool
    training: bool

    @property
    def crop(self) -> tuple[str, str, int]:
        return self.person, self.set, self.frame

    @property
    def window(self) -> tuple[int, int, bool]:
        return self.left, self.top, self.flipped


class Watching(Toy):
    """The toy, with a list of all that its forward was given: a batch after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[Seen]] = []

    def forward(self, images: Tensor) -> Features:
        self.batches.append(read(images, self.training))
        return super().forward(images)

    def seen(self, training: bool) -> list[Seen]:
        return [one for batch in self.batches for one in batch if one.training == training]


def picture(person: str, name: str, frame: int, quality: str) -> np.ndarray:
    """RGB, (STORED, STORED, 3): red tells person, set and frame, green the quality and column, blue the row."""
    image = np.zeros((STORED, STORED, 3), np.uint8)
    image[..., 0] = (list(PEOPLE).index(person) * len(SETS) + SETS.index(name)) * FRAMES + frame
    image[..., 1] = QUALITIES.index(quality) * 80 + np.arange(STORED)
    image[..., 2] = np.arange(STORED)[:, None]
    return image


def read(images: Tensor, training: bool) -> list[Seen]:
    """What the normalised images of a batch (B, 3, SIZE, SIZE) are, by their upper corners."""
    corners = ((images.detach()[:, :, 0, [0, -1]] * 0.5 + 0.5) * 255).round().int()  # (B, 3, 2)
    found = []
    for (red, _), (first, last), (top, _) in corners.tolist():
        code, frame = divmod(red, FRAMES)
        person, name = list(PEOPLE)[code // len(SETS)], SETS[code % len(SETS)]
        quality, left = QUALITIES[first // 80], min(first, last) % 80
        found.append(Seen(person, name, frame, quality, left, top, first > last, training))
    return found


def write_shards(folder: Path, qualities: Sequence[str] = QUALITIES) -> Path:
    """The shards of every set, in `folder`."""
    for name in SETS:
        with ShardWriter(folder / name, shard_frames=10) as writer:
            for person, bucket in PEOPLE.items():
                video, label = f"{person}-{name}", int(name != "original")
                target = f"{person}-original" if label else ""
                for frame in range(FRAMES):
                    files = {f"{q}.png": _png(picture(person, name, frame, q)) for q in qualities}
                    row = {"set": name, "video": video, "person": person, "target": target, "donor": "", "frame": frame}
                    row |= {"label": label, "left": 0, "top": 0, "size": STORED}
                    writer.write(bucket, f"{video}-{frame:06d}", files | {"json": json.dumps(row).encode()}, row)
    return folder


def people(buckets: Sequence[str]) -> set[str]:
    return {person for person, bucket in PEOPLE.items() if bucket in buckets}


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def _png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image[..., ::-1])[1])
