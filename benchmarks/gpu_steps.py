"""The parts of benchmarks.gpu on one step: the card's peaks, steps by precision, compiled, and their kernels."""

import itertools
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import made_up
from benchmarks.gpu_setup import (
    BEST,
    BF16,
    COMPILED,
    FP32,
    FREE,
    TF32,
    Precision,
    Row,
    Setup,
    memory_held,
    ran,
    reset,
)
from benchmarks.losses import backward
from benchmarks.measuring import Timing, alternate
from pipeline.detectors.backbones.features import Features
from pipeline.detectors.backbones.registry import build
from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.multiview import MultiViewAttention


@cache
def peak(setup: Setup, amp: str, tf32: bool) -> tuple[float, float]:
    """TFLOP/s of the fastest of some large 3x3 convolutions (channels last), and of a matrix product."""
    dtype = torch.bfloat16 if amp == "bf16" else torch.float32
    # Full float32 has no fast kernels for channels last, and trying them all out takes minutes.
    exact = dtype == torch.float32 and not tf32
    layout = torch.contiguous_format if exact else torch.channels_last
    with Precision("peak", amp, tf32, True, repeatable=exact).on(), torch.no_grad():
        found = []
        shapes = setup.pick([(144, 256, 32), (144, 512, 16), (144, 512, 32)], [(2, 8, 8)])
        for batch, channels, side in shapes[:1] if exact else shapes:
            x = torch.randn(batch, channels, side, side, device=setup.device, dtype=dtype)
            w = torch.randn(channels, channels, 3, 3, device=setup.device, dtype=dtype)
            x, w = (t.contiguous(memory_format=layout) for t in (x, w))
            call = lambda x=x, w=w: torch.conv2d(x, w, padding=1)  # noqa: E731
            (timing,) = alternate([call], 5, setup.device, inner=3)
            found.append(2 * batch * side**2 * channels**2 * 9 / timing.median / 1e12)
        n = setup.pick(8192, 64)
        a, b = torch.randn(2, n, n, device=setup.device, dtype=dtype)
        (timing,) = alternate([lambda: a @ b], 5, setup.device, inner=3)
    return max(found), 2 * n**3 / timing.median / 1e12


def peaks(setup: Setup) -> Iterator[Row]:
    """The fastest of some large 3x3 convolutions (kernels by trial but in fp32), and a large matrix product."""
    for precision in (BF16, TF32, FP32):
        convolution, product = peak(setup, precision.amp, precision.tf32)
        yield {"precision": precision.name, "convolutions TFLOP/s": convolution, "matrix products TFLOP/s": product}


# ------------------------------------------------------------------------------------------------ one step
@cache
def step_flops(backbone: str, size: int) -> float:
    """Floating-point operations of a plain training step, forward and backward, an image."""
    network, images = build(backbone).to("meta"), torch.empty(4, 3, size, size, device="meta")
    with FlopCounterMode(display=False) as counter:
        network(images).logits.sum().backward()
    return counter.get_total_flops() / 4


def step(setup: Setup, precision: Precision) -> Row:
    """Plain step, teacher's forward pass and ADD step in one precision, and the losses' share."""
    device = setup.device
    source = made_up.resident(setup.batch, setup.size, device)
    with precision.on():
        timings, memory = [], 0.0
        for method in (setup.backbone, "add"):
            task = made_up.task(method, setup.backbone, made_up.some(source))
            recipe = made_up.recipe(method, amp=precision.amp, channels_last=precision.channels_last)
            reset(device)
            timings.append(made_up.training(task, recipe, source, device, **setup.counts))
            memory = memory_held(device)
        plain, add = timings
        student, teacher = task.student, task.teacher
        batch = next(source())
        (looking,) = alternate([lambda: _look(teacher, batch, precision, device)], 5, device, inner=3)
        losses = _losses(student, teacher, batch, precision, device)
    rate = step_flops(setup.backbone, setup.size) * setup.batch / plain.median / 1e12
    return {
        "network": f"{setup.backbone}, {setup.size} px, batch {setup.batch}",
        "precision": precision.name,
        "plain step ms": plain.milliseconds(),
        "images/s": setup.batch / plain.median,
        "TFLOP/s": rate,
        "share of convolutions' peak": rate / peak(setup, precision.amp, precision.tf32)[0],
        "teacher ms": 1e3 * looking.median,
        "ADD step ms": add.milliseconds(),
        "ADD images/s": setup.batch / add.median,
        "ADD / (plain + teacher)": add.median / (plain.median + looking.median),
        "losses ms": losses.milliseconds(),
        "losses / ADD step": losses.median / add.median,
        "ADD memory GiB": memory,
    }


def _look(teacher: nn.Module, batch: Any, precision: Precision, device: str) -> Features:
    with torch.no_grad(), precision.autocast(device):
        found: Features = teacher(batch.images["raw"])
    return found


def _losses(student: nn.Module, teacher: nn.Module, batch: Any, precision: Precision, device: str) -> Timing:
    """L_FR + L_MV forward and backward to the features, on features as the step has them."""
    theirs = _look(teacher, batch, precision, device)
    with precision.autocast(device):
        seen = student(batch.images[made_up.QUALITY])
    ours = Features(tuple(stage.detach().requires_grad_() for stage in seen.stages), *seen[1:])
    del seen
    frequency, multiview = FrequencyAttention(), MultiViewAttention()

    def side() -> None:
        with precision.autocast(device):
            found = frequency(ours, theirs, batch.labels).losses | multiview(ours, theirs, batch.labels).losses
        backward(found, ours)

    (timing,) = alternate([side], 5, device, inner=3)
    return timing


def _waits(setup: Setup) -> float:
    """How often a step of ADD waits for the device: by torch's own warnings, with those of the ends taken off."""

    def count(steps: int) -> int:
        recipe, source = made_up.recipe("add", amp="bf16"), made_up.resident(setup.batch, setup.size, setup.device)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            made_up.training(
                made_up.task("add", setup.backbone, made_up.some(source)), recipe, source, setup.device, 0, 1, steps
            )
        return sum("synchronizing" in str(one.message) for one in told)

    torch.cuda.set_sync_debug_mode("warn")
    try:
        return (count(6) - count(2)) / 4
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _compile(task: nn.Module, setup: Setup, mode: str) -> None:
    options = {"mode": mode} if not setup.tiny else {"backend": "eager"}
    for name in ("student", "teacher"):
        if network := getattr(task, name, None):
            network.compile(**options)


def steps(setup: Setup) -> Iterator[Row]:
    """Training steps on resident batches by precision: median (least..most) of blocks of steps."""
    for precision in setup.pick((BEST, FP32, TF32, BF16, FREE), (FP32, BEST)):
        yield step(setup, precision)
    for precision in setup.pick((FP32, BEST), ()):
        yield step(setup.small, precision)
    if setup.device == "cuda":
        yield {"network": "waits for the device in a step of ADD", "plain step ms": _waits(setup)}


def compiled(setup: Setup) -> Iterator[Row]:
    """The plain step and the ADD step, bf16 and channels last, with the networks under torch.compile."""
    source = made_up.resident(setup.batch, setup.size, setup.device)
    for mode, method in itertools.product(("reduce-overhead", "default"), (setup.backbone, "add")):
        started = time.perf_counter()
        task = made_up.task(method, setup.backbone, made_up.some(source))
        _compile(task, setup, mode)
        recipe = made_up.recipe(method, amp="bf16", channels_last=True)
        with COMPILED.on():
            timing = made_up.training(task, recipe, source, setup.device, **setup.counts)
        yield {
            "mode": mode,
            "step": "plain" if method == setup.backbone else "ADD",
            "ms": timing.milliseconds(),
            "images/s": setup.batch / timing.median,
            "with compilation s": time.perf_counter() - started,
        }


def _watched(source: Callable[[], Iterator[Any]], recorded: profile, warm: int) -> Iterator[Any]:
    """The batches; the profiler starts after the first ones, in which much is made once."""
    for index, batch in enumerate(source()):
        if index == warm:
            recorded.start()
        yield batch


def kernels(setup: Setup) -> Iterator[Row]:
    """What the device runs in a step of ADD by the profiler: how much, and what takes longest."""
    steps = 3
    for load in (setup, setup.small):
        source = made_up.resident(load.batch, load.size, load.device)
        task, recipe = made_up.task("add", load.backbone, made_up.some(source)), made_up.recipe("add")
        recorded = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
        with BEST.on():
            watched = partial(_watched, source, recorded, warm := 3)
            timing = made_up.training(task, recipe, watched, load.device, warm, 1, steps)
            recorded.stop()
        found = ran(recorded, load.device)
        yield {
            "network": load.backbone,
            "what": f"all, in a step of {1e3 * timing.median:.3g} ms under the profiler",
            "calls a step": sum(times for times, _ in found.values()) / steps,
            "ms a step": sum(milliseconds for _, milliseconds in found.values()) / steps,
        }
        longest = sorted(found.items(), key=lambda item: -item[1][1])[: setup.pick(14, 3)]
        for name, (times, milliseconds) in longest:
            yield {
                "network": load.backbone,
                "what": name[:90],
                "calls a step": times / steps,
                "ms a step": milliseconds / steps,
            }
