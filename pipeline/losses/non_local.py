"""Non-local attention as a distillation: features joined with what they attend to (Wang et al., CVPR 2018).

    z_i = x_i + sum_j softmax_j( <P x_i, P x_j> / sqrt(C/8) ) x_j,  L = mean over (B, C, H, W) of ( z_S - z_T )^2

x_i is the vector of C channels at position i; z is the residual block of their Eq. 6 with the embedded Gaussian of
Eq. 3 as its affinity, queries and keys of C/8 channels.

In ADD's released code the block trains jointly. It can then make both sides alike whatever the student does: a null
space shared by all features ends the loss. So here nothing of the block is trained: P has orthonormal rows, drawn at
random once, and serves as query and as key, for student and teacher alike. By the lemma of Johnson and
Lindenstrauss <P x, P y> is close to <x, y> / 8, so the block approximates their plain Gaussian form (Eq. 2), which does
as well as the trained one in their comparison (section 5.1).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.losses.staged import StagedLoss

REDUCTION = 8  # channels of the features to channels of queries and keys (released code)


class NonLocal(StagedLoss):
    """Non-local attention over the four stages.

    channels: C of each stage, the same for student and teacher. layer_weights: one a stage. seed: of the embeddings.
    """

    def __init__(self, channels: Sequence[int], layer_weights: Sequence[float] = (0, 1, 1, 1), seed: int = 0) -> None:
        super().__init__("nl", layer_weights)
        generator = torch.Generator().manual_seed(seed)
        for stage, count in enumerate(channels, start=1):
            embedding = torch.empty(max(1, count // REDUCTION), count)
            self.register_buffer(f"embedding{stage}", nn.init.orthogonal_(embedding, generator=generator))

    def block(self, stage: int, feature: Tensor) -> Tensor:
        """z of a feature (B, C, H, W): (B, HW, C)."""
        embedding = self.get_buffer(f"embedding{stage}")
        x = feature.flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, HW, C)
        key = x @ embedding.t()  # (B, HW, C/8)
        attention = (key @ key.transpose(1, 2) / len(embedding) ** 0.5).softmax(-1)  # (B, HW, HW)
        return x + attention @ x

    def stage_loss(self, stage: int, student: Tensor, teacher: Tensor) -> Tensor:
        with torch.autocast(student.device.type, enabled=False):
            return (self.block(stage, student) - self.block(stage, teacher)).square().mean()
