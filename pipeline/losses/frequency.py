"""Frequency attention distillation (Le & Woo, AAAI 2022, Eq. 1-3): match the teacher's features frequency by frequency.

    F(A)(c, u, v) = 1/(HW) sum_xy A(c, x, y) exp(-2 pi i (ux/W + vy/H))                                        (Eq. 1)
    L_FR = sum_c sum_uv w(u, v) |F(A_S) - F(A_T)|^2,  w(u, v) = exp(gamma mean_c |F(A_S) - F(A_T)|^2)       (Eq. 2, 3)

The paper leaves the scale of F open; 1/(HW) is the released code's. Without it exp() overflows on ordinary features.
w is one map an image and carries no gradient. The sum runs over (C, H, W), the mean over the batch.

How it is computed here. F is linear, so F(A_S) - F(A_T) is one transform, of D = A_S - A_T. w does not depend on c, so

    L_FR = C sum_uv w(u, v) q(u, v),   q(u, v) = mean_c |F(D)|^2,   w = exp(gamma q)

D is real, so |F(D)| is the same at (u, v) and (-u, -v): rfft2 computes H (W//2 + 1) of the H W values, and each counts
once or twice (`_occurrences`).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.detectors.backbones.features import Features
from pipeline.losses.constants import constant
from pipeline.losses.projection import is_channels_last
from pipeline.training.terms import Terms

# Up to this many positions the DFT is a matrix product: on a CPU 2.5 (8x8) to 6 (4x4) times faster than tiny FFTs.
MATMUL_POSITIONS = 64


@lru_cache(maxsize=16)
def _impulse_spectra(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The DFT of each unit impulse, so that `maps.flatten(-2) @ it` is rfft2 of the maps: (HW, H(W/2+1) * 2), real."""
    impulses = torch.eye(height * width, dtype=torch.float64).unflatten(1, (height, width))
    spectra = torch.view_as_real(torch.fft.rfft2(impulses, norm="forward"))
    return spectra.flatten(1).to(device, dtype)


@lru_cache(maxsize=16)
def _occurrences(sides: tuple[torch.Size, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """How often the size of each value of rfft2 occurs in the whole spectrum: 2, but once at u = 0 and u = W/2.

    sides: (H, W) of each layer; all their values in one row. Kept, as the spectra above: made anew, each step would
    wait for the copy to a GPU.
    """
    rows = []
    for height, width in sides:
        times = torch.full((width // 2 + 1,), 2.0, dtype=dtype)
        times[0] = 1
        if width % 2 == 0:
            times[-1] = 1
        rows.append(times.repeat(height))
    return torch.cat(rows).to(device)


class _MeanSquare(torch.autograd.Function):
    """y = mean of x^2 over `dim`, of n values. Gradient by hand: dL/dx = (2 / n) x dL/dy.

    The factor is taken with dL/dy, which is small. Autograd would write three tensors of x's size for the same.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.dim = dim
        return x.square().mean(dim)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return x * (grads[0] / (x.shape[ctx.dim] / 2)).unsqueeze(ctx.dim), None


def power_spectrum(maps: Tensor) -> Tensor:
    """Mean over channels of |DFT / (HW)|^2 of real maps (B, C, H, W): (B, H, W//2 + 1), laid out as by rfft2."""
    height, width = maps.shape[-2:]
    if height * width <= MATMUL_POSITIONS:
        spectra = _impulse_spectra(height, width, maps.dtype, maps.device)
        # Channels last keeps the memory order of channels_last features: no copy either way.
        if is_channels_last(maps):
            power = _MeanSquare.apply(spectra.t() @ maps.flatten(2).transpose(1, 2), 2)  # (B, HW, C) -> (B, H(W/2+1)2)
        else:
            power = _MeanSquare.apply(maps.flatten(2) @ spectra, 1)  # (B, C, HW) -> (B, H(W/2+1)2)
        power = power.unflatten(1, (height, width // 2 + 1, 2))
    else:
        power = _MeanSquare.apply(torch.view_as_real(torch.fft.rfft2(maps, norm="forward")), 1)
    found: Tensor = power.sum(-1)
    return found


def _difference(student: Tensor, teacher: Tensor) -> Tensor:
    """A_S - A_T, in float32 or more. The DFT is linear: one transform of this, not two."""
    if student.shape != teacher.shape:
        raise ValueError(f"features of unequal shapes: student {tuple(student.shape)}, teacher {tuple(teacher.shape)}")
    return student.to(torch.promote_types(student.dtype, torch.float32)) - teacher.detach()


def frequency_attention_losses(
    students: Sequence[Tensor], teachers: Sequence[Tensor], gamma: float = 1.0, weighted: bool = True
) -> tuple[Tensor, Tensor]:
    """L_FR of each of L layers and its largest weight.

    students, teachers: (B, C, H, W) each, equal shapes; half precision is raised to float32, double stays double.
    gamma: gamma_FR of Eq. 3. weighted: False sets w = 1; then L_FR = sum_c mean_xy (A_S - A_T)^2 (Parseval).
    Returns the losses (L,), with gradient to the students alone; max w over images and frequencies (L,), with none.
    Raises ValueError where the shapes differ.
    """
    with torch.autocast(students[0].device.type, enabled=False):
        differences = [_difference(*pair) for pair in zip(students, teachers, strict=True)]
        # q of all layers in one row: a GPU is held up by many small steps.
        layers = [power_spectrum(difference).flatten(1) for difference in differences]  # (B, H(W//2 + 1)) each
        distance = torch.cat(layers, 1)
        weight = (gamma * distance.detach()).exp() if weighted else torch.ones_like(distance)
        sides, places = tuple(d.shape[2:] for d in differences), [layer.shape[1] for layer in layers]
        times = _occurrences(sides, distance.dtype, distance.device)
        sums = torch.stack([part.sum(1) for part in (weight * distance * times).split(places, 1)])  # (L, B)
        channels = constant(tuple(float(d.shape[1]) for d in differences), distance.dtype, distance.device)
        return channels * sums.mean(1), torch.stack([part.max() for part in weight.split(places, 1)])


class FrequencyAttention(nn.Module):
    """The frequency attention loss over a backbone's four stages.

    gamma: gamma_FR (Eq. 3). layer_weights: one a stage; a stage of weight 0 costs nothing (weights: released code).
    Losses: `frequency`. Measures: `frequency_w_max`, and for each stage `frequency_stage<i>` (its L_FR before the layer
    weight) and `frequency_w_max_stage<i>`. A w_max near 1 says that L_FR is the mean squared error of the features.
    """

    def __init__(self, gamma: float = 1.0, layer_weights: Sequence[float] = (0, 1.0, 2.0, 0.25)) -> None:
        super().__init__()
        self.gamma = gamma
        self.layer_weights = tuple(layer_weights)

    def forward(self, student: Features, teacher: Features, labels: Tensor) -> Terms:
        """student, teacher: Features of the same B images; labels: (B,), not used by this loss."""
        layers = zip(self.layer_weights, student.stages, teacher.stages, strict=True)
        kept = {stage: layer for stage, layer in enumerate(layers, start=1) if layer[0] != 0}
        if not kept:
            return Terms({"frequency": student.logits.new_zeros((), dtype=torch.float32)})
        weights, ours, theirs = zip(*kept.values(), strict=True)
        losses, maxima = frequency_attention_losses(ours, theirs, self.gamma)
        total = (constant(weights, losses.dtype, losses.device) * losses).sum()
        measures: dict[str, Tensor] = {}
        for stage, loss, w_max in zip(kept, losses.detach().unbind(), maxima.unbind(), strict=True):
            measures |= {f"frequency_stage{stage}": loss, f"frequency_w_max_stage{stage}": w_max}
        return Terms({"frequency": total}, measures | {"frequency_w_max": maxima.max()})
