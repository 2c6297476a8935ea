"""What losses over the four stages share: weights, sum and names."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from pipeline.detectors.backbones.features import Features
from pipeline.training.terms import Terms


class StagedLoss(nn.Module, ABC):
    """sum over stages of layer weight * stage loss; a stage of weight 0 costs nothing.

    Losses: `<name>`. Measures: `<name>_stage<i>`, the loss of one stage before its weight.
    """

    def __init__(self, name: str, layer_weights: Sequence[float]) -> None:
        super().__init__()
        self.name = name
        self.layer_weights = tuple(layer_weights)

    @abstractmethod
    def stage_loss(self, stage: int, student: Tensor, teacher: Tensor) -> Tensor:
        """Of stage 1..4, for features (B, C, H, W) in float32; the teacher's carry no gradient."""

    def forward(self, student: Features, teacher: Features, labels: Tensor) -> Terms:
        """student, teacher: Features of the same B images; labels: not used."""
        total = student.logits.new_zeros((), dtype=student.stages[0].float().dtype)
        measures: dict[str, Tensor] = {}
        layers = zip(self.layer_weights, student.stages, teacher.stages, strict=True)
        for stage, (weight, ours, theirs) in enumerate(layers, start=1):
            if weight == 0:
                continue
            loss = self.stage_loss(stage, ours.float(), theirs.detach().float())
            total = total + weight * loss
            measures[f"{self.name}_stage{stage}"] = loss.detach()
        return Terms({self.name: total}, measures)
