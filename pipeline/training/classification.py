"""A classifier without a teacher: the teacher itself, and every baseline of Table 1 that is not distilled."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.detectors.backbones.base import Backbone
from pipeline.training.terms import Terms


class Classification(nn.Module):
    """Plain cross-entropy on the crops of one quality, or on a mix of `all`."""

    def __init__(self, student: Backbone, quality: str) -> None:
        super().__init__()
        self.student = student
        self.quality = quality
        self.qualities = (quality,)

    def forward(self, images: Mapping[str, Tensor], labels: Tensor, warmup: bool = False) -> Terms:
        """The cross-entropy of images {quality: (B, 3, S, S)} and labels (B,), 1 = fake."""
        logits = self.student(images[self.quality]).logits
        return Terms({"cross_entropy": cross_entropy(logits.float(), labels)})
