"""Multi-view attention distillation (Le & Woo, AAAI 2022, Eq. 4-9): match the teacher's features from random views.

    L_MV = gamma SWD(P_S, P_T) + eta [SWD(P_S, P_T+) + max(Delta - SWD(P_S, P_T-), 0)]                       (Eq. 9)

P is a feature's density over its positions, SWD a mean over K random directions (Eq. 8 sums; the released code takes
the mean, and the paper's constants belong to it). Which SWD: `pipeline.losses.slices`. T+ and T- are the teacher's
features of another image of the same class and of one of the opposite class in the batch.

`released` also follows the released code in taking the hinge direction by direction, and in adding the same
contrastive term from teacher to student.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.detectors.backbones.features import Features
from pipeline.losses.constants import constant
from pipeline.losses.partners import Classes, Pairings, pairings
from pipeline.losses.slices import DISTANCES
from pipeline.training.terms import Terms

# The terms of Eq. 9, and what is watched of them.
LOSSES = ("multiview_match", "multiview_positive", "multiview_negative")
MEASURES = ("multiview_swd", "multiview_swd_positive", "multiview_swd_negative", "multiview_hinge_active")


def draw_directions(count: int, generator: torch.Generator) -> Tensor:
    """K directions uniform on the unit sphere of R^3: (K, 3), float64."""
    return nn.functional.normalize(torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=1)


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
        """student, teacher: Features of the same B images; labels: (B,), 0 real, 1 fake.

        Small tensors are computed for all layers at once: many small kernels would hold up a GPU.
        """
        device = student.logits.device
        layers = [layer for layer in zip(self.layer_weights, student.stages, teacher.stages, strict=True) if layer[0]]
        if not layers:
            return Terms({name: student.logits.new_zeros((), dtype=torch.float32) for name in self._names})
        classes = Classes.of(labels.to(device))
        directions, draws = self._draw(len(layers), len(labels))
        compared = pairings(draws.to(device, non_blocking=True), classes)
        with torch.autocast(device.type, enabled=False):
            swd = [
                self._distances(ours, theirs, theta, images)
                for (_, ours, theirs), theta, images in zip(layers, directions, compared, strict=True)
            ]
            return self._terms(torch.stack(swd), classes)

    @property
    def _names(self) -> tuple[str, ...]:
        return LOSSES if self.contrastive else LOSSES[:1]

    def _draw(self, layers: int, images: int) -> tuple[list[Tensor], Tensor]:
        """Directions (K, 3) of each layer, and uniform draws (L, ways, 2, B, B) that its partners are chosen by."""
        ways = (2 if self.distance == "released" else 1) if self.contrastive else 0
        directions, draws = [], torch.empty(layers, ways, 2, images, images)
        for layer in draws:
            directions.append(draw_directions(self.directions, self.generator))
            layer.uniform_(generator=self.generator)
        return directions, draws

    def _distances(self, student: Tensor, teacher: Tensor, directions: Tensor, compared: Pairings) -> Tensor:
        """The distances (P, K, B) of one layer's features student, teacher (B, C, H, W).

        Half precision is raised to float32, double stays double. Raises ValueError where the shapes differ.
        """
        if student.shape != teacher.shape:
            raise ValueError(
                f"features of unequal shapes: student {tuple(student.shape)}, teacher {tuple(teacher.shape)}"
            )
        dtype = torch.promote_types(student.dtype, torch.float32)
        groups = self.groups or max(student.shape[1] // 2, 1)
        return self.slice_distances(student.to(dtype), teacher.detach().to(dtype), directions, compared, groups)

    def _terms(self, swd: Tensor, classes: Classes) -> Terms:
        """Eq. 9, summed over layers.

        swd: (L, P, K, B). P are own, positive and negative; for `released` also positive and negative the other way.
        """
        own, others = swd.split([1, swd.shape[1] - 1], 1)
        values = own.flatten(1).mean(1)[None]
        if self.contrastive:
            values = torch.cat([values, self._contrast(others, classes)])  # (6, L)
        scales = (self.gamma, self.eta, self.eta)[: len(self._names)]
        weights = tuple(weight for weight in self.layer_weights if weight)
        losses = values[: len(scales)] * constant(scales, swd.dtype, swd.device)[:, None]
        total = (losses * constant(weights, swd.dtype, swd.device)).sum(1)
        measures = self._measures(values.detach())
        if self.contrastive:
            without = classes.alone.sum(1).unbind()
            measures |= dict(zip(("multiview_without_positive", "multiview_without_negative"), without, strict=True))
        return Terms(dict(zip(self._names, total.unbind(), strict=True)), measures)

    def _contrast(self, swd: Tensor, classes: Classes) -> Tensor:
        """The contrastive term of Eq. 9, from the partners' distances swd (L, 2 or 4, K, B): means over images, (5, L).

        Rows 0 and 1 are losses: the positive's distance, and the hinge. Rows 2 to 4 are measures without gradient, from
        student to teacher alone: the positive's distance, the negative's, and the share of active hinges.
        """
        if self.distance != "released":
            swd = swd.mean(2, keepdim=True)  # Eq. 8 before the hinge of Eq. 9
        positive, negative = swd.unflatten(1, (-1, 2)).unbind(2)  # (L, ways, K or 1, B) each
        hinge = (self.margin - negative).relu()
        watched = [values.detach()[:, :1] for values in (positive, negative, hinge)]
        watched[2] = watched[2].sign()
        values = torch.stack([_over_views(values) for values in (positive, hinge, *watched)])  # (5, L, B)
        with_positive, with_negative = classes.contrasted
        images = torch.stack([with_positive, with_negative, with_positive, with_negative, with_negative]).to(swd.dtype)
        return (values * images[:, None]).sum(2) / images.sum(1, keepdim=True).clamp_min(1)

    def _measures(self, values: Tensor) -> dict[str, Tensor]:
        """MEASURES of each stage, and their means. values: (1 or 6, L), of which rows 1 and 2 are losses alone."""
        rows, means = values.unbind(), values.mean(1).unbind()
        watched = [rows[0].unbind(), *(row.unbind() for row in rows[3:])]
        stages = [stage for stage, weight in enumerate(self.layer_weights, start=1) if weight]
        found = {
            f"{name}_stage{stage}": row[layer]
            for layer, stage in enumerate(stages)
            for name, row in zip(MEASURES, watched, strict=False)
        }
        return found | dict(zip(MEASURES, (means[0], *means[3:]), strict=False))


def _over_views(values: Tensor) -> Tensor:
    """Sum over the ways (two for `released`), mean over directions: (L, ways, K, B) -> (L, B)."""
    return values.flatten(1) if values.shape[1] == values.shape[2] == 1 else values.sum(1).mean(1)
