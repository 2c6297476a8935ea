"""The architectures, by the names used in params.yaml, in files and in tables."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from pipeline.work.errors import UserError

if TYPE_CHECKING:
    from pipeline.detectors.backbones.base import Backbone

# The module that holds `build(name, pretrained, classes)`. By name, since each brings a library of its own:
# MobileNetV2 must not wait for timm.
FAMILIES = {
    "mobilenet_v2": "mobilenet",
    "resnet18": "resnet",
    "resnet34": "resnet",
    "resnet50": "resnet",
    "efficientnet_b0": "efficientnet",
    "xception": "xception",
    "inception_resnet_v1": "inception_resnet_v1",
    "f3net": "f3net",
}


def build(name: str, pretrained: bool = False, classes: int = 2) -> "Backbone":
    """The backbone called `name`, with its published weights or from scratch.

    The classifier is always new: draw it under a seed. Raises UserError for an unknown name, and where weights
    cannot be had.
    """
    if name not in FAMILIES:
        raise UserError(f"{name}: no such backbone; there are {', '.join(sorted(FAMILIES))}")
    builder: Callable[[str, bool, int], Backbone] = import_module(
        f"pipeline.detectors.backbones.{FAMILIES[name]}"
    ).build
    return builder(name, pretrained, classes)
