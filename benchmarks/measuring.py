"""How time is taken: the clock around work that is waited for, sides in turn, medians with their spread."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch


def settle(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


@dataclass
class Timing:
    """Seconds of each repeat, on the clock and of this process on the processor."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{statistics.median(self.clock):8.4f} ({min(self.clock):.4f}..{max(self.clock):.4f}) "
            f"{statistics.median(self.processor):8.4f}"
        )

    @property
    def median(self) -> float:
        return statistics.median(self.clock)

    def cost(self, device: str) -> float:
        """The seconds to compare: the processor's own on a CPU, where other work would blur the clock."""
        return statistics.median(self.clock if device.startswith("cuda") else self.processor)

    def milliseconds(self) -> str:
        """Median (least..most)."""
        return f"{1e3 * self.median:.4g} ({1e3 * min(self.clock):.4g}..{1e3 * max(self.clock):.4g})"


def alternate(sides: Sequence[Callable[[], Any]], repeats: int, device: str, inner: int = 1) -> list[Timing]:
    """Seconds of one call of each side; they run in turn, after one unmeasured run each, `inner` calls a repeat."""
    timings = [Timing() for _ in sides]
    for repeat in range(repeats + 1):
        for side, timing in zip(sides, timings, strict=True):
            settle(device)
            clock, processor = time.perf_counter(), time.process_time()
            for _ in range(inner):
                side()
            settle(device)
            if repeat:
                timing.clock.append((time.perf_counter() - clock) / inner)
                timing.processor.append((time.process_time() - processor) / inner)
    return timings


class Clocked:
    """A loader that times the steps of the training loop: `blocks` blocks of `steps`, after `warm` unmeasured ones.

    source: gives batches without end. The device is waited for between blocks alone.
    """

    def __init__(self, source: Callable[[], Iterator[Any]], warm: int, blocks: int, steps: int, device: str) -> None:
        self.source, self.warm, self.blocks, self.steps, self.device = source, warm, blocks, steps, device
        self.timing = Timing()

    def __len__(self) -> int:
        return self.warm + self.blocks * self.steps

    def epoch(self, number: int, skip: int = 0) -> Iterator[Any]:
        batches = self.source()
        for _ in range(self.warm):
            yield next(batches)
        for _ in range(self.blocks):
            settle(self.device)
            clock, processor = time.perf_counter(), time.process_time()
            for _ in range(self.steps):
                yield next(batches)
            settle(self.device)
            self.timing.clock.append((time.perf_counter() - clock) / self.steps)
            self.timing.processor.append((time.process_time() - processor) / self.steps)
