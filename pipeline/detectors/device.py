"""Where torch computes, and how its draws are made repeatable. Run as a program it says which GPUs torch cannot use."""

import json
import sys
import warnings
from functools import cache

import torch


def device() -> torch.device:
    """The first CUDA device where torch can use it, else the CPU; a GPU that it cannot use is told of, once."""
    causes = unusable(1)
    if any(causes):
        _tell(*causes)
    return torch.device("cpu" if any(causes) or not causes else "cuda")


def unusable(first: int | None = None) -> list[str]:
    """Why this build of torch cannot use each GPU that it sees, in one line; empty for one that it can use.

    first: of that many GPUs alone, for each takes some memory. A driver that is too old hides them all: then there is
    one line. Without a GPU there is none.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    if not there:
        return [_line(one.message) for one in told][:1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's of a GPU that it has no kernels for, which is told below
        return [_missing_kernels(index) for index in range(torch.cuda.device_count())[:first]]


def _missing_kernels(index: int) -> str:
    """A GPU older, or newer, than those that torch was built for runs nothing. All other errors are the caller's."""
    try:
        torch.ones(1, device=f"cuda:{index}").add(1).item()
    except RuntimeError as error:
        if "no kernel image" not in str(error):
            raise
        major, minor = torch.cuda.get_device_capability(index)
        return f"{torch.cuda.get_device_name(index)}, compute capability {major}.{minor}: not built for it"
    return ""


def _line(message: object) -> str:
    """The cause in a warning of torch's, without its advice and without the place in torch's source."""
    return str(message).removeprefix("CUDA initialization: ").partition(" Please ")[0].partition(" (Triggered ")[0]


@cache
def _tell(cause: str) -> None:
    said = f"torch {torch.__version__} cannot use the GPU, so the CPU works: {cause} (docs/scaling.md)"
    print(said, file=sys.stderr, flush=True)


def seed_everything(seed: int) -> None:
    """Seed torch, and ask for deterministic kernels: on a CPU all are, on a GPU a warning names those that are not."""
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else torch fills every new tensor with NaN, to expose reads of what was never written: a tenth of a step's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


if __name__ == "__main__":
    print(json.dumps(unusable()))
