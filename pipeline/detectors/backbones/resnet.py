"""ResNet-18, -34 and -50 (He et al., CVPR 2016), torchvision's: the paper's backbones."""

from torch import Tensor, nn
from torchvision import models

from pipeline.detectors.backbones.base import Backbone, load_published
from pipeline.detectors.backbones.features import Features

CHANNELS = {
    "resnet18": (64, 128, 256, 512),
    "resnet34": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
}


class ResNet(Backbone):
    """Stages are the four groups of residual blocks, after their last ReLU.

    ResNet-50 at 128 px: 256x32x32, 512x16x16, 1024x8x8, 2048x4x4, which are the features that the paper compares.
    """

    def __init__(self, net: models.ResNet, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.net = net
        self.channels = channels

    @property
    def head(self) -> nn.Module:
        return self.net.fc

    def stages(self) -> list[list[nn.Module]]:
        net = self.net
        return [[net.conv1, net.bn1, net.layer1], [net.layer2], [net.layer3], [net.layer4]]

    def forward(self, images: Tensor) -> Features:
        net = self.net
        x = net.maxpool(net.relu(net.bn1(net.conv1(images))))
        outputs = []
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = layer(x)
            outputs.append(x)
        embedding = net.avgpool(x).flatten(1)  # (B, D, H, W) -> (B, D)
        return Features(tuple(outputs), embedding, self.head(embedding))


def build(name: str, pretrained: bool, classes: int) -> ResNet:
    """`resnet18`, `resnet34` or `resnet50`."""
    net = models.get_model(name, weights=None, num_classes=classes)
    if pretrained:
        load_published(net, name, head="fc")
    return ResNet(net, CHANNELS[name])
