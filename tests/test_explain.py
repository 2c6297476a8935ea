"""Grad-CAM against its closed form: under average pooling and a linear classifier it is a weighted sum of channels."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.backbones.base import Backbone
from pipeline.backbones.features import Features
from pipeline.explain import grad_cam


class Toy(Backbone):
    """One convolution as every stage, average pooling, a linear classifier."""

    channels = (4, 4, 4, 4)

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 4, stride=4)
        self.classifier = nn.Linear(4, 2)

    @property
    def head(self) -> nn.Module:
        return self.classifier

    def stages(self) -> list[list[nn.Module]]:
        return [[self.convolution], [], [], []]

    def forward(self, images: Tensor) -> Features:
        stage = self.convolution(images).relu()
        embedding = stage.mean((2, 3))
        return Features((stage,) * 4, embedding, self.classifier(embedding))


@pytest.mark.parametrize("frozen", [False, True])
def test_grad_cam_is_the_class_activation_map_of_a_linear_classifier(frozen: bool) -> None:
    torch.manual_seed(0)
    model = Toy().requires_grad_(not frozen).train()
    images = torch.randn(3, 3, 16, 16)
    found = grad_cam(model, images)
    with torch.no_grad():  # CAM (Zhou et al. 2016): the classifier's own weights, no gradient
        channels = model(images).stages[-1]
        plain = torch.einsum("c,bchw->bhw", model.classifier.weight[1], channels).relu()
        large = nn.functional.interpolate(plain[:, None], (16, 16), mode="bilinear")[:, 0]
    assert found.shape == (3, 16, 16) and not found.requires_grad
    torch.testing.assert_close(found, large / large.amax((1, 2), keepdim=True))
    assert model.training and all(parameter.grad is None for parameter in model.parameters())


def test_nothing_that_speaks_for_the_class_is_a_map_of_zeros() -> None:
    model = Toy()
    nn.init.constant_(model.classifier.weight, -1.0)
    assert grad_cam(model, torch.randn(2, 3, 16, 16)).eq(0).all()
