"""Precision, optimizer and learning rate schedule of a training, on its device."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from pipeline.params.recipes import Train


def resolve(recipe: Train, device: torch.device) -> Train:
    """The recipe with what it leaves to the device: bf16 and fused Adam on a GPU, float32 and plain Adam on a CPU.

    GPUs before Ampere only emulate bf16, which is slower than float32: they compute in that.
    """
    gpu = device.type == "cuda"
    native = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    amp = ("bf16" if native else "off") if recipe.amp == "auto" else recipe.amp
    return recipe.model_copy(update={"amp": amp, "fused": gpu if recipe.fused is None else recipe.fused})


def autocast(recipe: Train, device: torch.device) -> torch.autocast:
    """The precision of the networks' forward pass; the losses raise to float32 by themselves."""
    half = torch.float16 if recipe.amp == "fp16" else torch.bfloat16
    return torch.autocast(device.type, half, enabled=recipe.amp != "off")


def adam(parameters: Iterable[nn.Parameter], recipe: Train) -> torch.optim.Adam:
    return torch.optim.Adam(
        parameters,
        lr=recipe.lr,
        betas=recipe.betas,
        eps=recipe.eps,
        weight_decay=recipe.weight_decay,
        fused=recipe.fused or None,  # with False torch would not use its `foreach` form either
    )


def schedule(optimizer: torch.optim.Optimizer, recipe: Train, steps: int) -> Any:
    """The learning rate's schedule over so many steps."""
    if recipe.schedule == "one_cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=recipe.lr,
            total_steps=steps,
            pct_start=recipe.pct_start,
            cycle_momentum=recipe.cycle_momentum,
        )
    if recipe.schedule == "plateau":
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
