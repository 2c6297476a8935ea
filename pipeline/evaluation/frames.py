"""The frames that a trained model is tested on, prepared as its card says."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.detectors.card import Card
from pipeline.detectors.device import device
from pipeline.loading.loader import EvaluationLoader, evaluation_loader
from pipeline.params.sections import Evaluation, Loader


def frames_of(
    index: pd.DataFrame,
    quality: str,
    card: Card,
    settings: Evaluation,
    loading: Loader,
    kept: NDArray[np.bool_] | None = None,
) -> EvaluationLoader:
    """Every frame of an index once, or those of its rows that are kept, at one quality, in middle windows of the
    model's input size."""
    return evaluation_loader(
        index,
        qualities=[quality],
        image_size=card.image_size,
        batch_size=settings.batch_size,
        place=loading.place,
        device=device(),
        kept=kept,
    )
