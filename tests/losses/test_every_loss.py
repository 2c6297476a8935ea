"""What every distillation keeps to, whichever it is: float32 under autocast, and no care for the layout of memory."""

from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.detectors.backbones.features import Features
from pipeline.losses import registry
from pipeline.params.cells import ABLATIONS
from pipeline.params.schema import load

CHANNELS = (8, 16, 16, 24)
SIDES = (8, 6, 4, 2)
LABELS = torch.tensor([0, 1, 1, 0])
METHODS = [name for name in ("add", *ABLATIONS, *registry.DISTILLED) if name != "warm_start"]  # which has no loss
PARAMS = load(Path(__file__).parents[2] / "params.yaml")
LAYOUTS = {"rows": torch.contiguous_format, "channels last": torch.channels_last}
CASES = [(method, "histogram") for method in METHODS] + [("add", name) for name in ("wasserstein", "released")]


def toy(seed: int, layout: str = "rows", dtype: torch.dtype = torch.float32) -> Features:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(len(LABELS), c, s, s) for c, s in zip(CHANNELS, SIDES, strict=True)]
    stages = tuple(
        torch.randn(shape, generator=generator).relu().to(dtype).contiguous(memory_format=LAYOUTS[layout])
        for shape in shapes
    )
    logits = torch.randn(len(LABELS), 2, generator=generator).to(dtype)
    return Features(stages, stages[-1].mean((2, 3)), logits)


def losses(method: str, distance: str, student: Features, teacher: Features, half: bool = False) -> dict[str, Tensor]:
    multiview = PARAMS.add.multiview.model_copy(update={"distance": distance})
    params = PARAMS.model_copy(update={"add": PARAMS.add.model_copy(update={"multiview": multiview})})
    torch.manual_seed(0)  # fitnet and crd draw their maps from the common generator
    found: dict[str, Tensor] = {}
    built = registry.build(method, "mobilenet_v2", params, CHANNELS, CHANNELS, seed=0)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        for _, module in built.values():
            found |= module(student, teacher, LABELS).losses
    return found


def gradients(features: Features, found: dict[str, Tensor]) -> list[Tensor]:
    total = torch.stack(list(found.values())).sum()
    inputs = [*features.stages, features.logits]
    return [g for g in torch.autograd.grad(total, inputs, allow_unused=True) if g is not None]


def learning(features: Features) -> Features:
    stages = tuple(stage.detach().requires_grad_() for stage in features.stages)
    return Features(stages, features.embedding, features.logits.detach().requires_grad_())


@pytest.mark.parametrize(("method", "distance"), CASES)
def test_layouts_of_student_and_teacher_change_nothing(method: str, distance: str) -> None:
    """Also where the two differ, as those of a compiled student and a plain teacher may."""
    outcomes = []
    for ours, theirs in product(LAYOUTS, LAYOUTS):
        student = learning(toy(0, ours))
        found = losses(method, distance, student, toy(1, theirs))
        outcomes.append((found, gradients(student, found)))
    for found, gradient in outcomes[1:]:
        torch.testing.assert_close(found, outcomes[0][0], rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(gradient, outcomes[0][1], rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(("method", "distance"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_under_autocast_it_is_computed_in_float32(method: str, distance: str, dtype: torch.dtype) -> None:
    """Features come in half precision, and whatever they come in, no product of theirs is rounded to eight bits."""
    pair = toy(0, dtype=dtype), toy(1, dtype=dtype)
    exact = (Features(tuple(s.float() for s in f.stages), f.embedding.float(), f.logits.float()) for f in pair)
    wanted, found = losses(method, distance, *exact), losses(method, distance, *pair, half=True)
    # FitNet's regressor is a part of the network, and computes as one.
    torch.testing.assert_close(found, wanted, rtol=0.02 if method == "fitnet" else 1e-6, atol=0)
    assert all(value.dtype == torch.float32 for value in found.values())


@pytest.mark.parametrize(("method", "distance"), CASES)
def test_a_teacher_alike_costs_nothing_and_another_does(method: str, distance: str) -> None:
    """But for what contrasts with others, and FitNet, whose regressor has yet to learn that."""
    student = toy(0)
    near, far = (losses(method, distance, student, other) for other in (student, toy(1)))
    for name in far:
        if name in ("fitnet", "crd", "multiview_positive", "multiview_negative"):
            continue
        assert near[name].item() == pytest.approx(0, abs=1e-6) and far[name].item() > 1e-4, name
