"""Matching of features: L_FR (Le & Woo, AAAI 2022, Eq. 2-3) with gamma_FR = 0, by Parseval's identity.

    L = sum over c, mean over (x, y) and B of ( A_S - A_T )^2  =  sum_c sum_uv |F(A_S) - F(A_T)|^2,  F with 1/(HW)

The control for the frequency domain: what ADD's frequency attention alone (`add_fr`) adds to this is its weight w.
"""

from torch import Tensor

from pipeline.losses.staged import StagedLoss


class FeatureMatching(StagedLoss):
    """The squared difference of features over the four stages; student and teacher have the same shapes."""

    def stage_loss(self, stage: int, student: Tensor, teacher: Tensor) -> Tensor:
        return (student - teacher).square().sum(1).mean()
