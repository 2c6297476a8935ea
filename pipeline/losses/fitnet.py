"""FitNets (Romero et al., ICLR 2015): the student's last feature, regressed onto the teacher's, is a hint.

    L = mean over (B, C, H, W) of ( r(A_S) - A_T )^2        (their Eq. 3, without the 1/2)

r is a 1x1 convolution that trains with the student. It is applied to the student alone: the target is fixed, so the
loss cannot fall by making both sides small. FitNets hints at a layer in the middle; ADD's comparison takes the
penultimate layer, and its released code has no regressor and compares the pooled vectors by their cosine.
"""

from torch import Tensor, nn
from torch.nn.functional import mse_loss

from pipeline.detectors.backbones.features import Features
from pipeline.training.terms import Terms


class FitNet(nn.Module):
    """The hint on the fourth stage. student, teacher: channels of that stage. Losses: `fitnet`."""

    def __init__(self, student: int, teacher: int) -> None:
        super().__init__()
        self.regressor = nn.Conv2d(student, teacher, 1)

    def forward(self, student: Features, teacher: Features, labels: Tensor) -> Terms:
        """student, teacher: Features of the same B images; labels: not used."""
        hint = self.regressor(student.stages[-1])  # (B, C_S, H, W) -> (B, C_T, H, W)
        return Terms({"fitnet": mse_loss(hint.float(), teacher.stages[-1].detach().float())})
