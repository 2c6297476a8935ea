"""Knowledge distillation (Hinton, Vinyals & Dean 2015): the student's softened answer is the teacher's.

    L = T^2 mean_B KL( softmax(z_T / T) || softmax(z_S / T) )

z: logits, T: the temperature. T^2 keeps the gradient's size whatever T is, as its authors advise.
"""

from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from pipeline.detectors.backbones.features import Features
from pipeline.training.terms import Terms


class KnowledgeDistillation(nn.Module):
    """Softened logits at a temperature over 0. Losses: `kd`."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Features, teacher: Features, labels: Tensor) -> Terms:
        """student, teacher: Features of the same B images; labels: not used."""
        ours, theirs = (log_softmax(f.logits.float() / self.temperature, 1) for f in (student, teacher))  # (B, 2)
        loss = kl_div(ours, theirs.detach(), reduction="batchmean", log_target=True)
        return Terms({"kd": self.temperature**2 * loss})
