"""The frames that a trained model is tested on: all of some buckets, prepared as its card says."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.detectors.card import Card
from pipeline.detectors.device import device
from pipeline.loading.loader import EvaluationLoader, evaluation_loader
from pipeline.params.sections import Evaluation, Loader


def frames_of(
    folders: Sequence[Path], buckets: Iterable[str], quality: str, card: Card, settings: Evaluation, loading: Loader
) -> EvaluationLoader:
    """Every frame of the buckets once, at one quality, in middle windows of the model's input size."""
    return evaluation_loader(
        folders,
        buckets=buckets,
        qualities=[quality],
        image_size=card.image_size,
        batch_size=settings.batch_size,
        place=loading.place,
        device=device(),
    )
