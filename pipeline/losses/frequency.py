"""Frequency attention distillation (Le & Woo, AAAI 2022, Eq. 1-3): match the teacher's features frequency by frequency.

    F(A)(c, u, v) = 1/(HW) sum_xy A(c, x, y) exp(-2 pi i (ux/W + vy/H))                                        (Eq. 1)
    L_FR = sum_c sum_uv w(u, v) |F(A_S) - F(A_T)|^2,  w(u, v) = exp(gamma mean_c |F(A_S) - F(A_T)|^2)       (Eq. 2, 3)

The paper leaves the scale of F open; 1/(HW) is the released code's. Without it exp() overflows on ordinary features.
w is one map an image and carries no gradient. The sum runs over (C, H, W), the mean over the batch.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from pipeline.detectors.backbones.features import Features
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
def _occurrences(width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """How often each column of rfft2 occurs in the whole spectrum: those left out equal their mirror image.

    Kept, as the spectra above: made anew, each step would wait for the copy to a GPU.
    """
    times = torch.full((width // 2 + 1,), 2.0, dtype=dtype)
    times[0] = 1
    if width % 2 == 0:
        times[-1] = 1
    return times.to(device)


def power_spectrum(maps: Tensor) -> Tensor:
    """Mean over channels of |DFT / (HW)|^2 of real maps (B, C, H, W): (B, H, W//2 + 1), laid out as by rfft2."""
    height, width = maps.shape[-2:]
    if height * width <= MATMUL_POSITIONS:
        spectra = _impulse_spectra(height, width, maps.dtype, maps.device)
        # Channels last keeps the memory order of channels_last features: no copy either way.
        if is_channels_last(maps):
            power = (spectra.t() @ maps.flatten(2).transpose(1, 2)).square().mean(2)  # (B, HW, C) -> (B, H(W/2+1)2)
        else:
            power = (maps.flatten(2) @ spectra).square().mean(1)  # (B, C, HW) -> (B, H(W/2+1)2)
        power = power.unflatten(1, (height, width // 2 + 1, 2))
    else:
        power = torch.view_as_real(torch.fft.rfft2(maps, norm="forward")).square().mean(1)
    return power.sum(-1)


def frequency_attention_loss(
    student: Tensor, teacher: Tensor, gamma: float = 1.0, weighted: bool = True
) -> tuple[Tensor, Tensor]:
    """L_FR of one layer and its largest weight.

    student, teacher: (B, C, H, W), equal shapes; half precision is raised to float32, double stays double.
    gamma: gamma_FR of Eq. 3. weighted: False sets w = 1; then L_FR = sum_c mean_xy (A_S - A_T)^2 (Parseval).
    Returns two scalars: the loss, with gradient to the student alone; max w over images and frequencies, with none.
    Raises ValueError where the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"features of unequal shapes: student {tuple(student.shape)}, teacher {tuple(teacher.shape)}")
    with torch.autocast(student.device.type, enabled=False):
        dtype = torch.promote_types(student.dtype, torch.float32)
        difference = student.to(dtype) - teacher.detach().to(dtype)  # the DFT is linear: one transform, not two
        channels, width = student.shape[1], student.shape[3]
        distance = power_spectrum(difference)  # (B, H, W//2 + 1): mean_c d(u, v)
        weight = (gamma * distance.detach()).exp() if weighted else torch.ones_like(distance)
        times = _occurrences(width, dtype, student.device)
        loss = channels * (weight * distance * times).sum((1, 2)).mean()  # w has no channel: sum_c d = C mean_c d
        return loss, weight.max()


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
        total = student.logits.new_zeros((), dtype=torch.float32)
        measures: dict[str, Tensor] = {}
        layers = zip(self.layer_weights, student.stages, teacher.stages, strict=True)
        for stage, (layer_weight, ours, theirs) in enumerate(layers, start=1):
            if layer_weight == 0:
                continue
            loss, w_max = frequency_attention_loss(ours, theirs, self.gamma)
            total = total + layer_weight * loss
            measures |= {f"frequency_stage{stage}": loss.detach(), f"frequency_w_max_stage{stage}": w_max}
        w_maxima = [value for name, value in measures.items() if "w_max" in name]
        if w_maxima:
            measures["frequency_w_max"] = torch.stack(w_maxima).max()
        return Terms({"frequency": total}, measures)
