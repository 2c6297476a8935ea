"""What the training loop asks of every architecture, and the one way in which published weights are read."""

from abc import ABC, abstractmethod
from itertools import pairwise

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.detectors.backbones.features import Features
from pipeline.work.errors import UserError


class Backbone(nn.Module, ABC):
    """A classifier that shows its four stages: (B, 3, S, S) -> Features.

    channels: C of each of the four stage features.
    """

    channels: tuple[int, int, int, int]

    @property
    @abstractmethod
    def head(self) -> nn.Module:
        """The classifier: what the warm-up epochs train alone.

        A property, not an attribute: a module registered under two names would be saved twice.
        """

    @abstractmethod
    def stages(self) -> list[list[nn.Module]]:
        """The modules of each of the four stages, the stem in the first; with `head` they hold every parameter once."""

    @abstractmethod
    def forward(self, images: Tensor) -> Features:
        """Images (B, 3, S, S), normalised, to Features."""


class SequentialBackbone(Backbone):
    """A network of the form features -> average pool -> classifier, as most of torchvision's, cut into stages.

    cuts: the index of the block of `features` whose output is the feature of each stage. Blocks after the
    last cut (a 1x1 convolution that widens the embedding) belong to the fourth stage but not to its feature.
    """

    def __init__(
        self,
        features: nn.Sequential,
        classifier: nn.Module,
        cuts: tuple[int, int, int, int],
        channels: tuple[int, int, int, int],
    ) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier
        self.cuts = cuts
        self.channels = channels

    @property
    def head(self) -> nn.Module:
        return self.classifier

    def stages(self) -> list[list[nn.Module]]:
        blocks = list(self.features)
        bounds = (0, *(cut + 1 for cut in self.cuts[:3]), len(blocks))
        return [blocks[start:end] for start, end in pairwise(bounds)]

    def forward(self, images: Tensor) -> Features:
        x, outputs = images, []
        for index, block in enumerate(self.features):
            x = block(x)
            if index in self.cuts:
                outputs.append(x)
        embedding = x.mean((2, 3))  # (B, D, H, W) -> (B, D)
        return Features(tuple(outputs), embedding, self.head(embedding))


def load_published(net: nn.Module, weights: str, head: str) -> None:
    """Fill `net` from the published file `weights` (a name of fetching.weights), all but the classifier `head`.

    Raises UserError where the file cannot be had, or where its parameters are not those of `net`.
    """
    from pipeline.fetching.weights import fetch  # its libraries are needed only where something is fetched

    path = fetch(weights)
    state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    state = {key: tensor for key, tensor in state.items() if not key.startswith(f"{head}.")}
    # Files older than PyTorch 0.4.1 lack the batch counters, which nothing reads when momentum is set.
    wanted = {key for key in net.state_dict() if not key.startswith(f"{head}.")}
    needed = {key for key in wanted if not key.endswith(".num_batches_tracked")}
    if not needed <= state.keys() <= wanted:
        odd = sorted(needed - state.keys()) or sorted(state.keys() - wanted)
        raise UserError(
            f"{path}: not the weights of {weights}: {len(odd)} parameters differ, first {odd[0]}; delete the file"
        )
    net.load_state_dict(state, strict=False)
