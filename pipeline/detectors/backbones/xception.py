"""Xception (Chollet, CVPR 2017), timm's legacy_xception: the detector of Rössler et al. (ICCV 2019)."""

from timm.models.xception import Xception as TimmXception
from timm.models.xception import legacy_xception
from torch import Tensor, nn
from torch.nn.functional import relu

from pipeline.detectors.backbones.base import Backbone, load_published
from pipeline.detectors.backbones.features import Features

# The layers of each stage, in order. Rössler et al.'s detector is this network with a new classifier.
STAGES = (
    ("conv1", "bn1", "act1", "conv2", "bn2", "act2", "block1"),
    ("block2",),
    tuple(f"block{index}" for index in range(3, 12)),
    ("block12", "conv3", "bn3", "act3", "conv4", "bn4", "act4"),
)
CHANNELS = (128, 256, 728, 2048)


def stage_modules(net: TimmXception) -> list[list[nn.Module]]:
    return [[net.get_submodule(name) for name in names] for names in STAGES]


def stream(classes: int, pretrained: bool) -> TimmXception:
    """The network of timm, with ImageNet weights or from scratch."""
    net = legacy_xception(num_classes=classes)
    if pretrained:
        load_published(net, "xception", head="fc")
    return net


class Xception(Backbone):
    """At 128 px its stages are 128x31x31, 256x16x16, 728x8x8 and 2048x4x4 (the first two convolutions do not pad).

    Each block begins with the ReLU of what it is given: the features are the blocks' outputs after that ReLU, as
    timm's feature extractor has them.
    """

    def __init__(self, net: TimmXception) -> None:
        super().__init__()
        self.net = net
        self.channels = CHANNELS

    @property
    def head(self) -> nn.Module:
        return self.net.fc

    def stages(self) -> list[list[nn.Module]]:
        return stage_modules(self.net)

    def forward(self, images: Tensor) -> Features:
        x, outputs = images, []
        for layers in self.stages():
            for layer in layers:
                x = layer(x)
            outputs.append(relu(x))
        embedding = outputs[-1].mean((2, 3))  # (B, 2048, H, W) -> (B, 2048)
        return Features(tuple(outputs), embedding, self.head(embedding))


def build(name: str, pretrained: bool, classes: int) -> Xception:
    """`xception`."""
    return Xception(stream(classes, pretrained))
