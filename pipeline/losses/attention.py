"""Attention transfer (Zagoruyko & Komodakis, ICLR 2017): the student looks where the teacher looks.

    Q = sum_c A_c^2 as a vector over positions,  L = mean_B || Q_S / ||Q_S|| - Q_T / ||Q_T|| ||^2

Squared, as in the authors' code (their Eq. 2 has the distance itself). Summed over the positions; code in public takes
their mean, which is HW times less.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import normalize

from pipeline.losses.staged import StagedLoss


def attention_map(feature: Tensor) -> Tensor:
    """The spatial attention of (B, C, H, W): (B, HW), each row of length 1."""
    return normalize(feature.square().sum(1).flatten(1), dim=1)


class AttentionTransfer(StagedLoss):
    """Attention transfer over the four stages; each stage's loss lies in 0..2. layer_weights: one a stage.

    Channels may differ between student and teacher, sizes may not.
    """

    def __init__(self, layer_weights: Sequence[float] = (0, 1, 1, 1)) -> None:
        super().__init__("at", layer_weights)

    def stage_loss(self, stage: int, student: Tensor, teacher: Tensor) -> Tensor:
        return (attention_map(student) - attention_map(teacher)).square().sum(1).mean()
