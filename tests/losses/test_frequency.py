"""The frequency attention loss against numpy's FFT, Parseval's identity and finite differences."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.detectors.backbones.features import Features
from pipeline.losses.frequency import MATMUL_POSITIONS, FrequencyAttention, frequency_attention_losses

# Odd and even sides, oblong maps, and both ways of taking the transform.
SHAPES = [(3, 5, 4, 4), (2, 4, 8, 8), (2, 3, 5, 7), (2, 3, 6, 5), (1, 2, 1, 1), (2, 3, 16, 16), (2, 3, 9, 11)]


def pair(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(sum(shape))
    student, teacher = torch.randn(2, *shape, generator=generator, dtype=dtype)
    return student, teacher


def features(*stages: Tensor) -> Features:
    return Features(stages, stages[-1].mean((2, 3)), stages[-1].new_zeros(len(stages[-1]), 2))


def frequency_attention_loss(
    student: Tensor, teacher: Tensor, gamma: float = 1.0, weighted: bool = True
) -> tuple[Tensor, Tensor]:
    """Of one layer: the loss and its largest weight."""
    (loss,), (w_max,) = frequency_attention_losses([student], [teacher], gamma, weighted)
    return loss, w_max


def test_shapes_cover_both_transforms() -> None:
    assert {shape[2] * shape[3] <= MATMUL_POSITIONS for shape in SHAPES} == {True, False}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_numpy(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    student, teacher = pair(shape)
    s, t = (np.fft.fft2(a.numpy()) / (shape[2] * shape[3]) for a in (student, teacher))
    d = np.abs(s - t) ** 2
    w = np.exp(0.7 * d.mean(1, keepdims=True))
    expected = (w * d).sum((1, 2, 3)).mean()
    loss, w_max = frequency_attention_loss(
        student.contiguous(memory_format=layout), teacher.contiguous(memory_format=layout), gamma=0.7
    )
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert w_max.item() == pytest.approx(w.max(), rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_without_weights_is_parseval(shape: tuple[int, ...]) -> None:
    student, teacher = pair(shape)
    loss, w_max = frequency_attention_loss(student, teacher, weighted=False)
    assert loss.item() == pytest.approx((student - teacher).square().mean((2, 3)).sum(1).mean().item(), rel=1e-12)
    assert w_max == 1


def test_typical_weight_is_near_one() -> None:
    """The known figure for N(0, 1) features of 16x16: max w = 1.02 with the forward norm, about 500 with ortho."""
    student, teacher = pair((4, 512, 16, 16), torch.float32)
    assert frequency_attention_loss(student, teacher)[1].item() == pytest.approx(1.01, abs=0.01)
    assert frequency_attention_loss(student * 16, teacher * 16)[1].item() > 4  # ortho is forward times sqrt(256)


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 2, 9, 8)])
def test_gradient_is_that_of_a_constant_weight(shape: tuple[int, ...]) -> None:
    student, teacher = pair(shape)
    student.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a: frequency_attention_loss(a, teacher, weighted=False)[0], student, fast_mode=False
    )
    loss, _ = frequency_attention_loss(student, teacher, gamma=1.0)
    (gradient,) = torch.autograd.grad(loss, student)
    # w held at its value: the gradient of sum w |F D|^2 is 2 F^H (w F D).
    spectrum = torch.fft.fft2((student - teacher).detach())
    n = shape[2] * shape[3]
    w = (spectrum.abs().square().mean(1, keepdim=True) / n**2).exp()
    expected = 2 * torch.fft.ifft2(w * spectrum).real / n / shape[0]
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


def test_teacher_gets_no_gradient() -> None:
    student, teacher = (a.requires_grad_() for a in pair((2, 3, 4, 4)))
    frequency_attention_loss(student, teacher)[0].backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_channel_order_changes_nothing() -> None:
    student, teacher = pair((2, 6, 4, 4))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    expected = frequency_attention_loss(student, teacher)[0]
    torch.testing.assert_close(frequency_attention_loss(student[:, order], teacher[:, order])[0], expected)


def test_half_precision_under_autocast_is_computed_in_float32() -> None:
    student, teacher = (a.bfloat16() for a in pair((2, 64, 8, 8), torch.float32))
    expected, _ = frequency_attention_loss(student.float(), teacher.float())
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = frequency_attention_loss(student, teacher)
    assert loss.dtype == torch.float32
    assert loss.item() == expected.item()


def test_layers_are_weighted_named_and_skipped() -> None:
    student, teacher = pair((2, 3, 4, 4))
    # Stage 1 of unequal shapes would raise if it were looked at.
    terms = FrequencyAttention(0.5, (0, 1.0, 0, 3.0))(
        features(student[:, :1], student, student, student), features(teacher, teacher, teacher, teacher * 2), labels(2)
    )
    second, w_second = frequency_attention_loss(student, teacher, 0.5)
    fourth, w_fourth = frequency_attention_loss(student, teacher * 2, 0.5)
    torch.testing.assert_close(terms.losses["frequency"], second + 3 * fourth, check_dtype=False)
    assert terms.measures["frequency_w_max"] == max(w_second, w_fourth) == w_fourth
    assert terms.measures["frequency_stage2"] == second
    assert not any("stage1" in name or "stage3" in name for name in terms.measures)
    assert not any(value.requires_grad for value in terms.measures.values())


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unequal shapes: student \(2, 3, 4, 4\)"):
        frequency_attention_loss(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 5))


def labels(count: int) -> Tensor:
    return torch.arange(count) % 2
