"""Compression as augmentation: batches in which each frame comes at a quality drawn for it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch

from pipeline.loading.batches import Batch
from pipeline.params.cells import ALL_QUALITIES


def mix(batches: Iterable[Batch], seed: int, epoch: int, first: int) -> Iterator[Batch]:
    """The batches with one image a frame, under the name `all`, at any of their qualities, each as likely.

    Drawn from (seed, epoch) and a batch's number alone; first: the number of the first of these batches.
    """
    for number, batch in enumerate(batches, first):
        names = sorted(batch.images)
        drawn = np.random.default_rng((seed, epoch, number)).integers(0, len(names), len(batch.labels))
        places = torch.from_numpy(drawn).to(batch.labels.device)
        mixed = torch.empty_like(batch.images[names[0]])
        for place, name in enumerate(names):
            chosen = (places == place).nonzero()[:, 0]
            mixed[chosen] = batch.images[name][chosen]
        yield replace(batch, images={ALL_QUALITIES: mixed})
