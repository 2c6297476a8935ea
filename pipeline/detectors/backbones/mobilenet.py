"""MobileNetV2 (Sandler et al., CVPR 2018), torchvision's: the light backbone of the embedded sample."""

from torchvision.models import mobilenet_v2

from pipeline.detectors.backbones.base import SequentialBackbone, load_published


def build(name: str, pretrained: bool, classes: int) -> SequentialBackbone:
    """`mobilenet_v2`; at 128 px its stages are 24x32x32, 32x16x16, 96x8x8 and 320x4x4.

    Each is the output of the last block at that stride (4, 8, 16, 32), as in timm's feature extractors. These blocks
    are linear bottlenecks: the features carry no ReLU, unlike those of the residual stages that the paper compares.
    """
    net = mobilenet_v2(num_classes=classes)
    if pretrained:
        load_published(net, name, head="classifier")
    return SequentialBackbone(net.features, net.classifier, cuts=(3, 6, 13, 17), channels=(24, 32, 96, 320))
