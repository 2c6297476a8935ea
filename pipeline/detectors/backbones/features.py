"""What every backbone returns: the one interface between architectures and distillations."""

from typing import NamedTuple

from torch import Tensor


class Features(NamedTuple):
    """A backbone's answer to a batch of B images.

    stages: the outputs of the four stages, each (B, C, H, W); strides 4, 8, 16, 32 (the paper: residual stages).
    embedding: the pooled vector that the classifier reads, (B, D).
    logits: (B, 2), class 1 = fake.
    """

    stages: tuple[Tensor, ...]
    embedding: Tensor
    logits: Tensor
