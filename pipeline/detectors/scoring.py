"""A detector's scores on the frames of shards: one way for validation in training and for all tests."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pipeline.detectors.backbones.base import Backbone


@dataclass(frozen=True)
class Scores:
    """frames: one row a frame, with the shards' metadata and `score`, the probability of fake; embeddings: (N, D)."""

    frames: pd.DataFrame
    embeddings: NDArray[np.float32]


def score(model: Backbone, batches: Iterable, quality: str, device: torch.device) -> Scores:
    """Score every frame that the loader gives, once, in its order."""
    # Outside inference mode: weights that change their layout within it could not be trained any more.
    model.to(device=device).to(memory_format=torch.channels_last)
    model.eval()
    rows: list[dict[str, object]] = []
    scores, embeddings = [], []
    with torch.inference_mode():
        for batch in batches:
            images = batch.images[quality].to(device, memory_format=torch.channels_last)
            found = model(images)
            rows += batch.meta
            scores.append(found.logits.float().softmax(1)[:, 1])  # left on the device: a read would hold up a GPU
            embeddings.append(found.embedding.float())
    frames = pd.DataFrame(rows)
    frames["score"] = torch.cat(scores).cpu().double().numpy()
    return Scores(frames, torch.cat(embeddings).cpu().numpy())
