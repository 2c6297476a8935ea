"""How often the distillation losses call their device, counted without one. Run from the root, seconds:

    python -m benchmarks.launches              # ADD's losses, each distance
    python -m benchmarks.launches --where      # and from which lines

The processor needs some 10 us to give a GPU its next piece of work, which at these sizes is often done sooner: what
counts then is how many pieces there are. Tensors are torch's `meta` ones, which have a shape, no values and no
processor's shortcuts. Counted is each operation that works on memory of the device, and each copy to it; views and
empty memory are free. A few operations (sorts, transforms, sums over rows) are several kernels each.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.made_up import SHAPES
from pipeline.detectors.backbones.features import Features
from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.multiview import MultiViewAttention
from pipeline.losses.slices import DISTANCES

DEVICE = "meta"
FREE = ("aten::empty", "aten::new_empty", "aten::detach", "aten::alias", "aten::_unsafe_view", "aten::_reshape_alias")
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "L_FR": FrequencyAttention,
    **{f"L_MV {kind}": (lambda kind=kind: MultiViewAttention(kind)) for kind in DISTANCES},
}
Place = tuple[str, str]  # an operation, and the line of the project that asked for it


class Launches(TorchDispatchMode):
    """Counts the operations that a device would be given while it is on: {(operation, line): times}."""

    def __init__(self, device: str = DEVICE) -> None:
        super().__init__()
        self.device = device
        self.found: Counter[Place] = Counter()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        name = operation._schema.name
        works = any(tensor.device.type == self.device for tensor in tensors)
        if works and not operation.is_view and not name.startswith(FREE):
            self.found[name.removeprefix("aten::"), _line()] += 1
        return result

    @property
    def total(self) -> int:
        return self.found.total()


def _line() -> str:
    """The innermost line of the losses; the backward pass has none but that of a Function of our own."""
    frame = (
        sys._getframe()
    )  # traceback.extract_stack would read the sources, which takes longer than all that is counted
    while frame := frame.f_back:
        if "/pipeline/losses/" in frame.f_code.co_filename:
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
    return "backward"


def features(batch: int, dtype: torch.dtype, shapes: Sequence[tuple[int, int, int]] = SHAPES) -> Features:
    """Features without values, channels last, as a training on a GPU has them."""
    stages = tuple(
        torch.empty(batch, *shape, dtype=dtype, device=DEVICE).to(memory_format=torch.channels_last) for shape in shapes
    )
    logits = torch.empty(batch, 2, dtype=dtype, device=DEVICE)
    return Features(tuple(stage.requires_grad_() for stage in stages), logits, logits)


def count(loss: nn.Module, dtype: torch.dtype = torch.float32, batch: int = 32) -> tuple[Launches, Launches]:
    """Forward and backward of a loss's second step; the first makes what is kept, such as constants of a shape."""
    student, teacher = features(batch, dtype), features(batch, dtype)
    labels = torch.empty(batch, dtype=torch.int64, device=DEVICE)
    for _ in range(2):
        forward, backward = Launches(), Launches()
        # The losses turn autocast off, which torch does not know of this device.
        with forward, patch("torch.autocast", lambda *_, **__: nullcontext()):
            total = torch.stack(list(loss(student, teacher, labels).losses.values())).sum()
        with backward:
            torch.autograd.grad(total, student.stages, allow_unused=True)
    return forward, backward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--where", action="store_true", help="which operations, from which lines")
    where = parser.parse_args().where
    print(f"torch {torch.__version__}; operations on the device, forward + backward")
    for name, build in LOSSES.items():
        whole = {dtype: count(build(), dtype) for dtype in (torch.float32, torch.bfloat16)}
        print(f"{name:<20}" + "".join(f" {str(d)[6:]:>10} {f.total:4} + {b.total:4}" for d, (f, b) in whole.items()))
        if not where:
            continue
        for found in whole[torch.float32]:
            for (operation, line), times in sorted(found.found.items(), key=lambda item: item[0][::-1]):
                print(f"    {times:4} {operation:<28} {line}")


if __name__ == "__main__":
    main()
