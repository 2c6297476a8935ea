"""Where a detector looks: Grad-CAM (Selvaraju et al. 2017), as the paper shows it in its supplement."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.detectors.backbones.base import Backbone

FAKE = 1  # the class


def grad_cam(model: Backbone, images: Tensor) -> Tensor:
    """How much each place of the images (B, 3, S, S), normalised, speaks for the class fake: (B, S, S).

    The features A of the fourth stage (B, C, h, w), each channel weighed by the mean gradient of the class's logit,
    summed, the negative part cut off; enlarged bilinearly. Each map is scaled to a maximum of 1, or all 0 where
    nothing speaks for the class. The model is left as it was: in its mode, without gradients.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            # Through the images the features require a gradient even where all weights are frozen.
            features = model(images.detach().requires_grad_())
            stage = features.stages[-1]
            (gradient,) = torch.autograd.grad(features.logits[:, FAKE].sum(), stage)
    finally:
        model.train(was_training)
    weights = gradient.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
    maps = (weights * stage.detach()).sum(1, keepdim=True).relu()  # (B, 1, h, w)
    maps = interpolate(maps, size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]  # (B, S, S)
    highest = maps.amax((1, 2), keepdim=True)
    return maps / highest.where(highest > 0, torch.ones_like(highest))
