"""Inception-ResNet-v1 (Szegedy et al., AAAI 2017, Figs. 10-15) with the widths and the embedding of FaceNet.

The detector of Dogonadze et al. (2020) is this network pretrained for face recognition on VGGFace2. The parameters bear
the names of facenet-pytorch's published weights. 27,910,327 parameters with VGGFace2's 8,631 classes.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from pipeline.detectors.backbones.base import Backbone, load_published
from pipeline.detectors.backbones.features import Features
from pipeline.work.errors import UserError

SMALLEST = 75  # px: the unpadded reductions leave nothing of less
DROPOUT = 0.5  # Dogonadze et al.; FaceNet drops 0.6

STAGES = (
    ("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a"),
    ("conv2d_4b", "repeat_1"),
    ("mixed_6a", "repeat_2"),
    ("mixed_7a", "repeat_3", "block8"),
)


class Conv(nn.Module):
    """Convolution, batch norm (with TensorFlow's epsilon), ReLU. pad: keep the size at stride 1."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, pad: bool = True
    ) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if pad else 0
        self.conv = nn.Conv2d(inputs, outputs, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


def _down(inputs: int, outputs: int) -> Conv:
    return Conv(inputs, outputs, 3, stride=2, pad=False)


class Branches(nn.Module):
    """Parallel branches whose outputs are joined along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        for index, branch in enumerate(branches):
            self.add_module(f"branch{index}", branch)
        self.count = len(branches)

    def joined(self, x: Tensor) -> Tensor:
        return torch.cat([self.get_submodule(f"branch{index}")(x) for index in range(self.count)], 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.joined(x)


class Residual(Branches):
    """x + scale * (a 1x1 convolution of the joined branches), then a ReLU except in the last block.

    The scale is what keeps wide residual networks from dying early (Szegedy et al., section 3.3).
    """

    def __init__(self, channels: int, joined: int, scale: float, *branches: nn.Module, activate: bool = True) -> None:
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(joined, channels, 1)
        self.scale, self.activate = scale, activate

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale * self.conv2d(self.joined(x))
        return relu(x) if self.activate else x


def _block_a() -> Residual:
    """Inception-ResNet-A at 256 channels."""
    twice = nn.Sequential(Conv(256, 32, 1), Conv(32, 32, 3))
    thrice = nn.Sequential(Conv(256, 32, 1), Conv(32, 32, 3), Conv(32, 32, 3))
    return Residual(256, 96, 0.17, Conv(256, 32, 1), twice, thrice)


def _block_b() -> Residual:
    """Inception-ResNet-B at 896 channels."""
    factored = nn.Sequential(Conv(896, 128, 1), Conv(128, 128, (1, 7)), Conv(128, 128, (7, 1)))
    return Residual(896, 256, 0.10, Conv(896, 128, 1), factored)


def _block_c(scale: float = 0.20, activate: bool = True) -> Residual:
    """Inception-ResNet-C at 1792 channels."""
    factored = nn.Sequential(Conv(1792, 192, 1), Conv(192, 192, (1, 3)), Conv(192, 192, (3, 1)))
    return Residual(1792, 384, scale, Conv(1792, 192, 1), factored, activate=activate)


def _reduction_a() -> Branches:
    """256 -> 896 channels at half the size."""
    deep = nn.Sequential(Conv(256, 192, 1), Conv(192, 192, 3), _down(192, 256))
    return Branches(_down(256, 384), deep, nn.MaxPool2d(3, 2))


def _reduction_b() -> Branches:
    """896 -> 1792 channels at half the size."""
    first = nn.Sequential(Conv(896, 256, 1), _down(256, 384))
    second = nn.Sequential(Conv(896, 256, 1), _down(256, 256))
    third = nn.Sequential(Conv(896, 256, 1), Conv(256, 256, 3), _down(256, 256))
    return Branches(first, second, third, nn.MaxPool2d(3, 2))


class OneLogit(nn.Linear):
    """A classifier of one logit z, given as two: (B, D) -> (B, 2) = (0, z), since softmax(0, z)[1] = sigmoid(z)."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)  # (B, 1)
        return torch.cat((torch.zeros_like(z), z), 1)


class InceptionResnetV1(Backbone):
    """At 128 px its stages are 192x28x28, 256x13x13, 896x6x6 and 1792x2x2; the last block has no ReLU.

    The embedding is FaceNet's vector of 512 after its batch norm, not scaled to unit length. Two classes are one logit
    (Dogonadze et al.). Raises UserError for images under 75 px.
    """

    channels = (192, 256, 896, 1792)

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv2d_1a = _down(3, 32)
        self.conv2d_2a = Conv(32, 32, 3, pad=False)
        self.conv2d_2b = Conv(32, 64, 3)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = Conv(64, 80, 1)
        self.conv2d_4a = Conv(80, 192, 3, pad=False)
        self.conv2d_4b = _down(192, 256)
        self.repeat_1 = nn.Sequential(*(_block_a() for _ in range(5)))
        self.mixed_6a = _reduction_a()
        self.repeat_2 = nn.Sequential(*(_block_b() for _ in range(10)))
        self.mixed_7a = _reduction_b()
        self.repeat_3 = nn.Sequential(*(_block_c() for _ in range(5)))
        self.block8 = _block_c(scale=1.0, activate=False)
        self.dropout = nn.Dropout(DROPOUT)
        self.last_linear = nn.Linear(1792, 512, bias=False)
        self.last_bn = nn.BatchNorm1d(512, eps=1e-3)
        self.logits = OneLogit(512) if classes == 2 else nn.Linear(512, classes)

    @property
    def head(self) -> nn.Module:
        return self.logits

    def stages(self) -> list[list[nn.Module]]:
        stages = [[self.get_submodule(name) for name in names] for names in STAGES]
        return [*stages[:3], [*stages[3], self.last_linear, self.last_bn]]

    def forward(self, images: Tensor) -> Features:
        if min(images.shape[2:]) < SMALLEST:
            raise UserError(f"model.image_size: inception_resnet_v1 needs at least {SMALLEST} px")
        x, outputs = images, []
        for names in STAGES:
            for name in names:
                x = self.get_submodule(name)(x)
            outputs.append(x)
        pooled = self.dropout(x.mean((2, 3)))  # (B, 1792, H, W) -> (B, 1792)
        embedding = self.last_bn(self.last_linear(pooled))  # -> (B, 512)
        return Features(tuple(outputs), embedding, self.head(embedding))


def build(name: str, pretrained: bool, classes: int) -> InceptionResnetV1:
    """`inception_resnet_v1`."""
    net = InceptionResnetV1(classes)
    if pretrained:
        load_published(net, name, head="logits")
    return net
