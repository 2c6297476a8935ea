"""Multi-view attention distillation (Le & Woo, AAAI 2022, Eq. 4-9): match the teacher's features from random views.

    L_MV = gamma SWD(P_S, P_T) + eta [SWD(P_S, P_T+) + max(Delta - SWD(P_S, P_T-), 0)]                       (Eq. 9)

P is a feature's density over its positions, SWD a mean over K random directions (Eq. 8 sums; the released code takes
the mean, and the paper's constants belong to it). Which SWD: `pipeline.losses.slices`. T+ and T- are the teacher's
features of another image of the same class and of one of the opposite class in the batch.

`released` also follows the released code in taking the hinge direction by direction, and in adding the same
contrastive term from teacher to student.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline.detectors.backbones.features import Features
from pipeline.losses.projection import Pairing
from pipeline.losses.slices import DISTANCES
from pipeline.training.terms import Terms


def draw_directions(count: int, generator: torch.Generator) -> Tensor:
    """K directions uniform on the unit sphere of R^3: (K, 3), float64."""
    return nn.functional.normalize(torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=1)


def draw_partners(allowed: Tensor, generator: torch.Generator) -> Tensor:
    """For each row of allowed (B, B), bool, one allowed column, each as likely; 0 where none is: (B,)."""
    draws = torch.rand(allowed.shape, generator=generator).to(allowed.device, non_blocking=True)
    return draws.masked_fill(~allowed, -1.0).argmax(1)


class MultiViewAttention(nn.Module):
    """The multi-view attention loss over a backbone's four stages.

    distance: histogram, wasserstein or released. directions: K. groups: g, None for half the layer's channels.
    gamma, eta, margin: gamma_MV, eta_MV, Delta. contrastive: False leaves gamma SWD(P_S, P_T).
    layer_weights: one a stage; a stage of weight 0 costs nothing. seed: of the directions and partners, both drawn anew
    each step and layer; the generator's state is part of state_dict().

    Losses, scaled so that their sum is L_MV: `multiview_match`, `multiview_positive`, `multiview_negative` (the hinge).
    Measures, before any scaling: `multiview_swd`, `multiview_swd_positive`, `multiview_swd_negative` (mean over images)
    and `multiview_hinge_active` (share of hinges above 0), each also for one stage as `..._stage<i>`, else the mean
    over stages; `multiview_without_positive`, `multiview_without_negative`: images without such a partner. An image
    alone in its class has no positive, never itself; a batch of one class has no contrastive term at all.
    """

    def __init__(
        self,
        distance: str = "histogram",
        directions: int = 12,
        groups: int | None = None,
        gamma: float = 100.0,
        eta: float = 50.0,
        margin: float = 0.012,
        contrastive: bool = True,
        layer_weights: Sequence[float] = (0, 0.5, 2.5, 2.0),
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.distance = distance
        self.slice_distances = DISTANCES[distance]
        self.directions = directions
        self.groups = groups
        self.gamma = gamma
        self.eta = eta
        self.margin = margin
        self.contrastive = contrastive
        self.layer_weights = tuple(layer_weights)
        self.generator = torch.Generator().manual_seed(seed)

    def get_extra_state(self) -> Tensor:
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        self.generator.set_state(state.cpu())

    def forward(self, student: Features, teacher: Features, labels: Tensor) -> Terms:
        """student, teacher: Features of the same B images; labels: (B,), 0 real, 1 fake."""
        names = ("match", "positive", "negative") if self.contrastive else ("match",)
        zero = student.logits.new_zeros((), dtype=torch.float32)
        losses = {f"multiview_{name}": zero for name in names}
        measures: dict[str, Tensor] = {}
        by_name: dict[str, list[Tensor]] = {}
        classes = _Classes.of(labels.to(zero.device))
        layers = zip(self.layer_weights, student.stages, teacher.stages, strict=True)
        for stage, (layer_weight, ours, theirs) in enumerate(layers, start=1):
            if layer_weight == 0:
                continue
            terms = self._layer(ours, theirs, classes)
            for name, loss in terms.losses.items():
                losses[name] = losses[name] + layer_weight * loss
            for name, value in terms.measures.items():
                measures[f"{name}_stage{stage}"] = value
                by_name.setdefault(name, []).append(value)
        measures |= {name: torch.stack(values).mean() for name, values in by_name.items()}
        if self.contrastive:
            measures["multiview_without_positive"] = (~classes.same.any(1)).sum()
            measures["multiview_without_negative"] = (~classes.opposite.any(1)).sum()
        return Terms(losses, measures)

    def _layer(self, student: Tensor, teacher: Tensor, classes: "_Classes") -> Terms:
        """L_MV of one layer before its weight: student, teacher (B, C, H, W).

        Half precision is raised to float32, double stays double. Raises ValueError where the shapes differ.
        """
        if student.shape != teacher.shape:
            raise ValueError(
                f"features of unequal shapes: student {tuple(student.shape)}, teacher {tuple(teacher.shape)}"
            )
        with torch.autocast(student.device.type, enabled=False):
            dtype = torch.promote_types(student.dtype, torch.float32)
            student, teacher = student.to(dtype), teacher.detach().to(dtype)
            directions = draw_directions(self.directions, self.generator).to(student.device, non_blocking=True)
            groups = self.groups or max(student.shape[1] // 2, 1)
            swd = self.slice_distances(student, teacher, directions, self._pairings(classes), groups)
            return self._terms(swd, classes)

    def _pairings(self, classes: "_Classes") -> list[Pairing]:
        """Each image with its own, then with a positive and a negative; for `released` also the other way round."""
        pairings: list[Pairing] = [(None, None)]
        if self.contrastive:
            pairings += [(None, draw_partners(allowed, self.generator)) for allowed in classes[:2]]
            if self.distance == "released":
                pairings += [(draw_partners(allowed, self.generator), None) for allowed in classes[:2]]
        return pairings

    def _terms(self, swd: Tensor, classes: "_Classes") -> Terms:
        """swd: (P, K, B), own, positive, negative and, for `released`, the same from teacher to student."""
        match = swd[0].mean()
        losses = {"multiview_match": self.gamma * match}
        measures = {"multiview_swd": match.detach()}
        if not self.contrastive:
            return Terms(losses, measures)
        if self.distance != "released":
            swd = swd.mean(1, keepdim=True)  # Eq. 8 before the hinge of Eq. 9
        positive, negative = swd[1::2], swd[2::2]  # (1 or 2, K or 1, B)
        hinge = (self.margin - negative).relu()
        with_positive, with_negative = classes[2:]
        losses["multiview_positive"] = self.eta * _mean_over(positive, with_positive)
        losses["multiview_negative"] = self.eta * _mean_over(hinge, with_negative)
        measures["multiview_swd_positive"] = _mean_over(positive[:1].detach(), with_positive)
        measures["multiview_swd_negative"] = _mean_over(negative[:1].detach(), with_negative)
        measures["multiview_hinge_active"] = _mean_over((hinge[:1] > 0).to(swd.dtype), with_negative)
        return Terms(losses, measures)


class _Classes(NamedTuple):
    """Which images can be compared with which, found once for all layers: a GPU is held up by many small steps.

    same, opposite: (B, B), bool, other images of a class, images of the other one. with_positive, with_negative: the
    images that have such partners, as ones (B,) in float32, and their number, at least 1.
    """

    same: Tensor
    opposite: Tensor
    with_positive: tuple[Tensor, Tensor]
    with_negative: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, labels: Tensor) -> "_Classes":
        alike = labels[:, None] == labels[None, :]
        same, opposite = alike & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~alike
        # In a batch of one class there is nothing to contrast with, so positives do not count either.
        chosen = (same.any(1) & opposite.any()).float(), opposite.any(1).float()
        return cls(same, opposite, *((images, images.sum().clamp_min(1)) for images in chosen))


def _mean_over(values: Tensor, images: tuple[Tensor, Tensor]) -> Tensor:
    """Sum over the ways (two for `released`), mean over directions and the chosen images: (n, K, B) -> ()."""
    chosen, count = images
    return (values.sum(0).mean(0) * chosen).sum() / count
