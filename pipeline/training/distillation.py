"""A student under a frozen teacher: named loss terms for one batch of paired crops."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.detectors.backbones.base import Backbone
from pipeline.training.terms import Terms

# name -> (its weight in the objective, a module (student Features, teacher Features, labels) -> Terms)
Distillers = Mapping[str, tuple[float, nn.Module]]


class Distillation(nn.Module):
    """L = CE + sum over distillers of weight * their terms (Eq. 10: alpha * L_FR + beta * L_MV).

    The student sees the crops of `quality`, the teacher the raw crops of the same frames, after the same window and
    flip. The teacher stays in eval mode and takes no gradient.
    """

    def __init__(self, student: Backbone, teacher: Backbone, distillers: Distillers, quality: str) -> None:
        super().__init__()
        self.student = student
        self.teacher = teacher.requires_grad_(False).eval()
        self.weights = {name: weight for name, (weight, _) in distillers.items()}
        self.distillers = nn.ModuleDict({name: module for name, (_, module) in distillers.items()})
        self.quality = quality
        self.qualities = ("raw", quality) if distillers else (quality,)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, images: Mapping[str, Tensor], labels: Tensor, warmup: bool = False) -> Terms:
        """Terms for images {quality: (B, 3, S, S)} and labels (B,), each loss already times its weight.

        In the warm-up only the classifier trains. No distillation term depends on it, so none is computed then (the
        released code computes L_MV there, without effect on the classifier).
        """
        student = self.student(images[self.quality])
        terms = Terms({"cross_entropy": cross_entropy(student.logits.float(), labels)})
        if warmup or not self.distillers:
            return terms
        with torch.no_grad():
            teacher = self.teacher(images["raw"])
        for name, distiller in self.distillers.items():
            found = distiller(student, teacher, labels)
            terms.losses |= {term: self.weights[name] * value for term, value in found.losses.items()}
            terms.measures |= found.measures
        return terms
