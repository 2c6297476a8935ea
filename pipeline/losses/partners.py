"""Which images are compared with which: own, positives and negatives (Le & Woo, AAAI 2022, Eq. 9)."""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.losses.constants import diagonal, multiples


class Pairings(NamedTuple):
    """Which student image is compared with which teacher image, as indices: P + Q pairings of B images each.

    theirs: (P, B), the teacher images that the student images, each in its place, are compared with; the first row is
    each one's own, 0..B-1. ours: (Q, B), the student images that the teacher images, each in its place, are compared
    with; None for no such pairing.
    """

    theirs: Tensor
    ours: Tensor | None = None


class Classes(NamedTuple):
    """Which images of a batch have partners, found once for all layers.

    barred: (2, B, B), bool, no positive, no negative: those of the other class and the image itself; those of its own.
    alone: (2, B), bool, images without a positive, without a negative.
    contrasted: (2, B), bool, whose positives, and whose negatives count: in a batch of one class there is nothing to
    contrast with, so positives do not count either.
    """

    barred: Tensor
    alone: Tensor
    contrasted: Tensor

    @classmethod
    def of(cls, labels: Tensor) -> "Classes":
        """labels: (B,)."""
        alike = labels[:, None] == labels[None, :]
        barred = torch.stack([alike == diagonal(len(labels), labels.device), alike])
        alone = barred.all(-1)
        return cls(barred, alone, ~(alone | alone[1].all()))


def choose_partners(draws: Tensor, barred: Tensor) -> Tensor:
    """For each row of draws (..., B, B), uniform, a column that is not barred, each as likely; 0 where all are."""
    return draws.masked_fill(barred, -1.0).argmax(-1)


def pairings(draws: Tensor, classes: Classes) -> list[Pairings]:
    """For each of L layers: each image with its own, with a positive and with a negative.

    draws: (L, ways, 2, B, B), uniform. Two ways: each of the teacher's images also with a positive and a negative of
    the student's. No way: each image with its own alone.
    """
    layers, ways, _, images, _ = draws.shape
    own = multiples(images, 1, torch.int64, draws.device).expand(layers, 1, images)
    if ways == 0:
        return [Pairings(theirs) for theirs in own]
    partners = choose_partners(draws, classes.barred)  # (L, ways, 2, B)
    theirs = torch.cat([own, partners[:, 0]], 1)
    ours = partners[:, 1] if ways == 2 else [None] * layers
    return [Pairings(*both) for both in zip(theirs, ours, strict=True)]
