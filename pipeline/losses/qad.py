"""Quality-agnostic detection (QAD; Le & Woo, ICCV 2023): one model for raw and every compression, without a teacher.

    L = mean_q CE(f(x^q), y) + weight sum_l w_l mean_{p<q} ( 1 - D(A_l^p, A_l^q) ),  its gradient taken at theta + v
    D(X, Y) = HSIC(X, Y) / sqrt( HSIC(X, X) HSIC(Y, Y) ),  HSIC(X, Y) = tr(K H L H) / (B - 1)^2
    v_l = perturbation ||theta_l|| g_l / ||g_l||,  g = dL/dtheta at theta

A_l^q: the features of stage l of the same B frames at quality q. K, L: Gaussian kernels of X and Y over the batch,
exp(-||x_i - x_j||^2 / (2 sigma^2 d)) for features of d values; H = I - 1/B. HSIC, the Hilbert-Schmidt independence
criterion (Gretton et al. 2005), is 0 for independent features: maximising it makes the qualities of a frame depend on
each other. v is adversarial weight perturbation (Wu, Xia & Wang 2020), one step up the loss layer by layer, on weights
and not on biases or norms; it starts after a warm-up.

Where this departs from the released code: HSIC is divided by its largest value, so that D lies in 0..1, as in kernel
alignment. Else features could raise it by growing, and its weight would depend on the network. sigma is relative to the
root mean square difference of one value, hence the d in the kernel; the released configuration says 6 without a unit.
The first three of its six layer weights are taken as those of stages 1 to 3.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from pipeline.detectors.backbones.base import Backbone
from pipeline.detectors.backbones.features import Features
from pipeline.training.terms import Terms


def centred_kernel(features: Tensor, sigma: float) -> Tensor:
    """H K H of (B, ...): (B, B), float32."""
    rows = features.float().flatten(1)  # (B, C, H, W) -> (B, d)
    rows = rows - rows.mean(0)  # no distance changes, and the products below stay small
    products = rows @ rows.t()
    lengths = products.diagonal()
    distances = (lengths[:, None] + lengths - 2 * products) / rows.shape[1]
    kernel = (-distances / (2 * sigma**2)).exp()
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()


def dependence(first: Tensor, second: Tensor) -> Tensor:
    """D of two centred kernels (B, B): tr(K H L H) over the geometric mean of the two with themselves, in 0..1."""
    own = (first.square().sum() * second.square().sum()).clamp_min(torch.finfo(first.dtype).tiny)
    return (first * second).sum() / own.sqrt()


class QualityAgnostic(nn.Module):
    """The training of one student on all qualities of each frame at once.

    weight, layer_weights, sigma: of the dependence. perturbation: of the weights, 0 for none; it starts in epoch
    `perturbation_warmup`, from 0. Losses: `cross_entropy`, `hsic`. Measures: `hsic_stage<i>`, the mean of D over pairs
    of qualities. In the warm-up of the classifier neither the dependence nor the perturbation is of use.
    """

    def __init__(
        self,
        student: Backbone,
        qualities: Sequence[str],
        weight: float,
        layer_weights: Sequence[float],
        sigma: float,
        perturbation: float,
        perturbation_warmup: int,
    ) -> None:
        super().__init__()
        self.student = student
        self.qualities = tuple(qualities)
        self.weight, self.layer_weights, self.sigma = weight, tuple(layer_weights), sigma
        self.perturbation, self.perturbation_warmup = perturbation, perturbation_warmup
        self.epoch = 0

    def forward(self, images: Mapping[str, Tensor], labels: Tensor, warmup: bool = False) -> Terms:
        """images: quality -> (B, 3, S, S), the same frames; labels: (B,). All qualities go through as one batch."""
        batch = torch.cat([images[quality] for quality in self.qualities])  # (QB, 3, S, S)
        weights: dict[str, Tensor] = {}
        if self.perturbation and not warmup and self.epoch >= self.perturbation_warmup:
            weights = self._perturbed(batch, labels)
        return self._terms(functional_call(self.student, weights, (batch,)), labels, warmup)

    def _terms(self, found: Features, labels: Tensor, warmup: bool) -> Terms:
        count = len(self.qualities)
        terms = Terms({"cross_entropy": cross_entropy(found.logits.float(), labels.repeat(count))})
        if warmup:
            return terms
        total = found.logits.new_zeros((), dtype=torch.float32)
        with torch.autocast(labels.device.type, enabled=False):
            for stage, (weight, features) in enumerate(zip(self.layer_weights, found.stages, strict=True), start=1):
                if weight == 0:
                    continue
                kernels = [centred_kernel(part, self.sigma) for part in features.chunk(count)]
                alike = torch.stack([dependence(*pair) for pair in combinations(kernels, 2)]).mean()
                total = total + weight * (1 - alike)
                terms.measures[f"hsic_stage{stage}"] = alike.detach()
        terms.losses["hsic"] = self.weight * total
        return terms

    def _perturbed(self, batch: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """theta + v by name, for the weights that train. This extra pass does not change the running statistics."""
        weights = {name: p for name, p in self.student.named_parameters() if p.requires_grad and p.ndim > 1}
        buffers = {name: buffer.clone() for name, buffer in self.student.named_buffers()}
        terms = self._terms(functional_call(self.student, buffers, (batch,)), labels, warmup=False)
        total = torch.stack([value.float() for value in terms.losses.values()]).sum()
        gradients = torch.autograd.grad(total, list(weights.values()))
        moved = {}
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            length = gradient.norm().clamp_min(torch.finfo(gradient.dtype).tiny)
            moved[name] = weight + self.perturbation * weight.detach().norm() * gradient / length
        return moved
