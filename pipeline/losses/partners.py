"""Which images are compared with which: own, positives and negatives (Le & Woo, AAAI 2022, Eq. 9)."""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.losses.constants import diagonal, multiples


class Pairings(NamedTuple):
    """Which student image is compared with which teacher image, as indices: P + Q pairings of B images each.

    theirs: (P, B). Pairing p compares student image b with teacher image theirs[p, b]; row 0 is 0..B-1, its own.
    ours: (Q, B). Pairing P + q compares teacher image b with student image ours[q, b]. None: no such pairings.
    """

    theirs: Tensor
    ours: Tensor | None = None


class Classes(NamedTuple):
    """Which images of a batch can be partners of which, found once for all layers; bool, positives before negatives.

    A positive is another image of the same class, a negative one of the other class.
    barred: (2, B, B), column j is no positive (no negative) of row i.
    alone: (2, B), images without any.
    contrasted: (2, B), images whose positive (negative) counts. In a batch of one class none do: without negatives
    there is nothing to contrast positives with.
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
    """A random column for each row of draws (..., B, B), which are uniform: of those not barred; 0 where all are."""
    return draws.masked_fill(barred, -1.0).argmax(-1)


def pairings(draws: Tensor, classes: Classes) -> list[Pairings]:
    """For each of L layers: each image with its own, with a positive and with a negative.

    draws: (L, ways, 2, B, B), uniform. One way: student images with the teacher's partners. Two ways: teacher images
    with the student's partners too. No way: each image with its own alone.
    """
    layers, ways, _, images, _ = draws.shape
    own = multiples(images, 1, torch.int64, draws.device).expand(layers, 1, images)
    if ways == 0:
        return [Pairings(theirs) for theirs in own]
    partners = choose_partners(draws, classes.barred)  # (L, ways, 2, B)
    theirs = torch.cat([own, partners[:, 0]], 1)
    ours = partners[:, 1] if ways == 2 else [None] * layers
    return [Pairings(*both) for both in zip(theirs, ours, strict=True)]
