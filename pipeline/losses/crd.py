"""Contrastive representation distillation (Tian, Krishnan & Isola, ICLR 2020), with negatives from the batch.

    s_ij = < g_S(f_S(x_i)), g_T(f_T(x_j)) > / tau
    L = - mean_i log( e^s_ii / (e^s_ii + sum_{j: y_j != y_i} e^s_ij) ) - the same with s_ji, the teacher's as anchor

f: the pooled features of the fourth stage; g: a linear map to unit length that trains with the student. As in the paper
both sides serve as anchors, and negatives are of the other class (its supervised sampling). The paper draws thousands
of negatives from a memory bank and classifies each pair on its own, h = e^s / (e^s + N/M). Here the other images of the
batch are the negatives, and the N + 1 candidates are normalised by their own sum (InfoNCE, van den Oord et al. 2018).
Both are lower bounds of the mutual information of student and teacher. Where a backbone widens its features before
pooling (MobileNetV2), f is not the paper's penultimate layer but what the other losses compare.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from pipeline.detectors.backbones.features import Features
from pipeline.training.terms import Terms


class ContrastiveDistillation(nn.Module):
    """student, teacher: channels of the fourth stage; temperature: tau > 0; dimensions: of g's space. Losses: `crd`.

    A batch of one class has no negatives, and a loss of 0.
    """

    def __init__(self, student: int, teacher: int, temperature: float, dimensions: int) -> None:
        super().__init__()
        self.temperature = temperature
        self.embed_student, self.embed_teacher = nn.Linear(student, dimensions), nn.Linear(teacher, dimensions)

    def forward(self, student: Features, teacher: Features, labels: Tensor) -> Terms:
        """student, teacher: Features of the same B images; labels: (B,), 0 real, 1 fake."""
        with torch.autocast(labels.device.type, enabled=False):
            ours, theirs = (features.stages[-1].float().mean((2, 3)) for features in (student, teacher))  # (B, C) each
            ours, theirs = normalize(self.embed_student(ours)), normalize(self.embed_teacher(theirs.detach()))
            scores = ours @ theirs.t() / self.temperature  # (B, B)
            own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
            scores = scores.masked_fill(~own & (labels[:, None] == labels), -torch.inf)
            places = torch.arange(len(labels), device=labels.device)
            return Terms({"crd": cross_entropy(scores, places) + cross_entropy(scores.t(), places)})
