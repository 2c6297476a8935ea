"""The part of benchmarks.gpu on how often the losses ask the device for work, and whether that takes their time."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks import made_up
from benchmarks.gpu_setup import BEST, Row, Setup, ran
from benchmarks.launches import LOSSES, count
from benchmarks.losses import backward
from benchmarks.measuring import alternate, settle
from pipeline.detectors.backbones.features import Features
from pipeline.detectors.backbones.registry import build


def launches(setup: Setup) -> Iterator[Row]:
    """Each loss forward and backward on bf16 features: kernels by the profiler, and the share of its time they run.

    A share far below 1 says that the device waits for the processor; then fewer kernels are what helps.
    """
    for load in (setup, setup.small):
        student, teacher = (_half(each) for each in made_up.features(load.batch, load.device, True, _shapes(load)))
        labels = torch.arange(load.batch, device=load.device) % 2
        for name, loss in LOSSES.items():
            with BEST.on():
                yield {"network": load.backbone, "loss": name} | _row(loss(), student, teacher, labels, load.device)


def _row(loss: nn.Module, student: Features, teacher: Features, labels: torch.Tensor, device: str) -> Row:
    side: Callable[[], None] = partial(_both_ways, loss, student, teacher, labels)
    (timing,) = alternate([side], 5, device, inner=3)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recorded:
        side()
        settle(device)
    kernels = ran(recorded, device)
    busy = sum(milliseconds for _, milliseconds in kernels.values())
    forward, back = count(loss, torch.bfloat16)
    return {
        "ms": timing.milliseconds(),
        "kernels": sum(times for times, _ in kernels.values()),
        "their ms": busy,
        "their share of the time": busy / (1e3 * timing.median),
        "operations counted without a device": forward.total + back.total,
    }


def _both_ways(loss: nn.Module, student: Features, teacher: Features, labels: torch.Tensor) -> None:
    backward(loss(student, teacher, labels).losses, student)


def _half(features: Features) -> Features:
    stages = tuple(stage.detach().bfloat16().requires_grad_(stage.requires_grad) for stage in features.stages)
    return features._replace(stages=stages)


def _shapes(load: Setup) -> list[tuple[int, int, int]]:
    """(C, H, W) of the four stages."""
    images = torch.empty(2, 3, load.size, load.size, device="meta")
    return [tuple(stage.shape[1:]) for stage in build(load.backbone).to("meta")(images).stages]
