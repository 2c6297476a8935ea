"""What the parts of benchmarks.gpu share: sizes, precisions, the card's memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.profiler import profile

Row = dict[str, Any]
EPOCH = 92_160 // 144  # batches an epoch of a task of FaceForensics++
EPOCHS = 32  # at most


@dataclass(frozen=True)
class Setup:
    """Sizes of everything: the paper's, or tiny ones that prove the benchmark on a laptop."""

    device: str
    tiny: bool = False
    light: bool = False

    def pick(self, paper: Any, tiny: Any) -> Any:
        return tiny if self.tiny else paper

    @property
    def small(self) -> "Setup":
        """The same with a small network, whose steps are many short kernels: MobileNetV2 as the sample trains it."""
        return replace(self, light=True)

    @property
    def backbone(self) -> str:
        return "mobilenet_v2" if self.light else self.pick("resnet50", "mobilenet_v2")

    @property
    def size(self) -> int:
        return self.pick(112 if self.light else 128, 32)

    @property
    def batch(self) -> int:
        return self.pick(32 if self.light else 144, 4)

    @property
    def counts(self) -> dict[str, int]:
        return self.pick({"warm": 8, "blocks": 5, "steps": 6}, {"warm": 1, "blocks": 2, "steps": 1})


@dataclass(frozen=True)
class Precision:
    """How a step computes. repeatable: deterministic kernels, as trainings run; else cuDNN chooses by trial."""

    name: str
    amp: str = "off"
    tf32: bool = False
    channels_last: bool = False
    repeatable: bool = True

    @contextmanager
    def on(self) -> Iterator[None]:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.tf32
        torch.use_deterministic_algorithms(self.repeatable, warn_only=True)
        torch.backends.cudnn.benchmark = not self.repeatable
        torch.utils.deterministic.fill_uninitialized_memory = False  # as seed_everything sets it for trainings
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.backends.cudnn.benchmark = False

    def autocast(self, device: str) -> torch.autocast:
        return torch.autocast(device, torch.bfloat16, enabled=self.amp == "bf16")


FP32 = Precision("fp32")
TF32 = Precision("tf32", tf32=True)
BF16 = Precision("bf16", "bf16", tf32=True)
BEST = Precision("bf16, channels last", "bf16", tf32=True, channels_last=True)
FREE = Precision("bf16, channels last, kernels by trial", "bf16", True, True, repeatable=False)
COMPILED = Precision("bf16, channels last, compiled", "bf16", True, True)


def reset(device: str) -> None:
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def memory_held(device: str) -> float:
    """GiB that torch held at most since the last reset; nan on a CPU."""
    return torch.cuda.max_memory_reserved() / 2**30 if device == "cuda" else float("nan")


def ran(recorded: profile, device: str) -> dict[str, tuple[int, float]]:
    """What the device ran under the profiler: {kernel: (times, their ms)}; on a CPU torch's operations."""
    on_gpu = device == "cuda"
    kind = "CUDA" if on_gpu else "CPU"
    found = [event for event in recorded.key_averages() if event.device_type.name == kind]
    return {e.key: (e.count, (e.self_device_time_total if on_gpu else e.self_cpu_time_total) / 1e3) for e in found}
