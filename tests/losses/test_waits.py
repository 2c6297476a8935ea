"""No loss makes a GPU wait, seen without one: torch follows the steps on tensors of a device, but without values."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pipeline.detectors.backbones.features import Features
from pipeline.losses import binning, constants, frequency, projection, registry
from pipeline.losses.multiview import MultiViewAttention
from pipeline.losses.slices import DISTANCES
from pipeline.params.cells import ABLATIONS
from pipeline.params.schema import load

# Stages so large and so small that both ways of the DFT are gone; channels as many on both sides.
SHAPES = ((4, 8, 12, 12), (4, 8, 10, 10), (4, 16, 4, 4), (4, 16, 2, 2))
KEPT = (
    constants.constant,
    constants.diagonal,
    constants.multiples,
    frequency._impulse_spectra,
    frequency._occurrences,
    binning._raster,
    projection._indices,
)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What losses keep of a device, before and after: these tensors are of no use to others."""
    for call in KEPT:
        call.cache_clear()
    yield
    for call in KEPT:
        call.cache_clear()


class Waits(TorchDispatchMode):
    """Copies between processor and GPU that the processor would wait for. A value that it asks for raises anyway."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = operation(*args, **kwargs)
        name = operation._schema.name
        devices = {leaf.device.type for leaf in tree_leaves((args, found)) if isinstance(leaf, Tensor)}
        copies = name in ("aten::_to_copy", "aten::copy_") and len(devices) > 1
        free = kwargs.get("non_blocking") or (name == "aten::copy_" and args[2:] == (True,))
        if copies and not free:
            self.found.append(name)
        return found


def waits(loss: nn.Module) -> list[str]:
    """Of the loss's second step; the first makes what is kept, such as constants of a shape."""
    with torch.device("cuda"):
        ours, theirs = ([torch.empty(s).to(memory_format=torch.channels_last) for s in SHAPES] for _ in range(2))
        logits, labels = torch.empty(4, 2), torch.zeros(4, dtype=torch.int64)
    for features in ours:
        features.requires_grad_()
    seen = Waits()
    for _ in range(2):
        seen.found.clear()
        with seen:
            loss(Features(tuple(ours), ours[-1], logits), Features(tuple(theirs), theirs[-1], logits), labels)
    return seen.found


def on_a_gpu(loss: nn.Module) -> nn.Module:
    """loss.to("cuda"), which torch does not do for such tensors."""
    for module in loss.modules():
        for name, parameter in module.named_parameters(recurse=False):
            module._parameters[name] = nn.Parameter(parameter.detach().to("cuda"))
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to("cuda")
    return loss


class Asks(nn.Module):
    def forward(self, student: Features, teacher: Features, labels: Tensor) -> None:
        student.logits.detach().cpu()


@pytest.mark.parametrize("method", ["add", *ABLATIONS, *registry.DISTILLED, *DISTANCES])
@pytest.mark.filterwarnings("ignore:CUDA is not available")  # autocast's, of the GPU that is not there
def test_no_loss_waits_for_a_gpu(method: str) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cpu"):
        if method in DISTANCES:
            losses: list[nn.Module] = [MultiViewAttention(method)]
        else:
            channels = [shape[1] for shape in SHAPES]
            params = load(Path(__file__).parents[2] / "params.yaml")
            losses = [loss for _, loss in registry.build(method, "resnet18", params, channels, channels, 0).values()]
        for loss in losses:
            assert waits(on_a_gpu(loss)) == []


def test_a_wait_would_be_seen() -> None:
    with FakeTensorMode():
        assert waits(Asks()) == ["aten::_to_copy"]
