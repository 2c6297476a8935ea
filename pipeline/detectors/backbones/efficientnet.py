"""EfficientNet-B0 (Tan & Le, ICML 2019), torchvision's: the lightest backbone of Table 3."""

from torchvision.models import efficientnet_b0

from pipeline.detectors.backbones.base import SequentialBackbone, load_published


def build(name: str, pretrained: bool, classes: int) -> SequentialBackbone:
    """`efficientnet_b0`; at 128 px its stages are 24x32x32, 40x16x16, 112x8x8 and 320x4x4.

    Each is the output of the last block at that stride (4, 8, 16, 32): linear bottlenecks, so no activation follows.
    """
    net = efficientnet_b0(num_classes=classes)
    if pretrained:
        load_published(net, name, head="classifier")
    return SequentialBackbone(net.features, net.classifier, cuts=(2, 3, 5, 7), channels=(24, 40, 112, 320))
