"""F3-Net (Qian et al., "Thinking in Frequency", ECCV 2020): two Xception streams over two frequency representations.

    FAD  y_i = D^-1( D(x) * (base_i + sigma(w_i)) ), i = low, middle, high     (B, 3, S, S) -> (B, 9, S, S)
    LFS  q_i = log10 || D(p) * (base_i + sigma(w_i)) ||_1, i = 1..6, over windows p of 10x10 px at stride 2
                                                                  (B, 3, S, S) -> (B, 6, S', S'), S' = (S - 3) // 2 + 1

D is the orthonormal DCT-II, sigma(w) = (1 - e^-w) / (1 + e^-w), base_i a binary band. The streams exchange what they
attend to after the 7th and the 12th block (MixBlock); their pooled features are joined for the classifier.

At 128 px both streams have the sizes 63 (after the first convolution), 31, 16, 8 and 4. What the text leaves open:
- "the first 1/16 of the spectrum" is read as a share of its area: u + v < S sqrt(2/16). Other public code takes S/16.
- Public code adds a fourth, all-pass band to FAD; here are the paper's three.
- LFS gives as many windows as Xception's first convolution gives pixels (149 for 299 px, as in the paper), so its
  stream's first convolution has stride 1; windows over the edge see the mirrored image. Luma stands for the colours.
- MixBlock's matrix is taken over positions, as attention is elsewhere; other public code takes it over rows.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, relu, unfold

from pipeline.detectors.backbones.base import Backbone
from pipeline.detectors.backbones.features import Features
from pipeline.detectors.backbones.xception import CHANNELS, STAGES, stage_modules, stream

WINDOW, STRIDE, BANDS = 10, 2, 6  # LFS (paper, section 4.1)
FLOOR = 1e-4  # under the DCT of one grey level: keeps the logarithm of a flat window finite
GRID = 128  # px: side of FAD's learnable filters
MIXED = {"block7": 728, "block12": 1024}  # the MixBlocks: after which block, with how many channels


def dct_matrix(size: int, device: torch.device | None = None) -> Tensor:
    """The orthonormal DCT-II as a matrix: rows are frequencies, (size, size)."""
    steps = torch.arange(size, dtype=torch.float64, device=device)
    matrix = math.sqrt(2 / size) * torch.cos(math.pi * steps[:, None] * (steps + 0.5) / size)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


class Bands(nn.Module):
    """Filters over DCT coefficients: fixed bands plus a learnable part in -1..1.

    edges: band i is edges[i] <= (u + v) / size < edges[i + 1]. grid: side of the learnable part, which is resampled for
    another size. It starts near 0, not at 0, where the gradient of LFS's norm outside the band vanishes.
    """

    def __init__(self, grid: int, edges: Sequence[float]) -> None:
        super().__init__()
        self.edges = tuple(edges)
        self.learnable = nn.Parameter(0.1 * torch.randn(len(edges) - 1, grid, grid))

    def forward(self, size: int) -> Tensor:
        """(bands, size, size)."""
        steps = torch.arange(size, device=self.learnable.device)
        diagonal = (steps[:, None] + steps) / size
        base = torch.stack([(low <= diagonal) & (diagonal < high) for low, high in pairwise(self.edges)])
        learnable: Tensor = self.learnable
        if size != learnable.shape[-1]:
            learnable = interpolate(learnable[None], (size, size), mode="bilinear", align_corners=False)[0]
        return base + torch.tanh(learnable / 2)  # tanh(w / 2) = (1 - e^-w) / (1 + e^-w)


class Decomposition(nn.Module):
    """FAD: the image in three bands of its own spectrum, (B, 3, S, S) -> (B, 9, S, S)."""

    def __init__(self) -> None:
        super().__init__()
        self.bands = Bands(GRID, (0, math.sqrt(2 / 16), math.sqrt(2 / 8), 2))

    def forward(self, images: Tensor) -> Tensor:
        dct = dct_matrix(images.shape[-1], images.device)
        spectrum = dct @ images.float() @ dct.t()
        filters = self.bands(images.shape[-1])
        filtered = spectrum[:, None] * filters[:, None]  # (B, 1, 3, S, S) * (3, 1, S, S) -> (B, 3, 3, S, S)
        return (dct.t() @ filtered @ dct).flatten(1, 2)  # -> (B, 9, S, S)


class LocalStatistics(nn.Module):
    """LFS: band energies of sliding windows, (B, 3, S, S) -> (B, 6, S', S')."""

    def __init__(self) -> None:
        super().__init__()
        self.bands = Bands(WINDOW, [2 * edge / BANDS for edge in range(BANDS + 1)])

    def forward(self, images: Tensor) -> Tensor:
        dct = dct_matrix(WINDOW, images.device)
        red, green, blue = images.float().unbind(1)
        grey = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]  # (B, 3, S, S) -> (B, 1, S, S)
        before = (WINDOW - 3) // 2  # the windows lie about the 3x3 kernels of the convolution that they stand for
        after = WINDOW - 3 - before
        padded = pad(grey, (before, after, before, after), mode="reflect")
        count = (images.shape[-1] - 3) // STRIDE + 1
        windows = unfold(padded, WINDOW, stride=STRIDE).transpose(1, 2).unflatten(2, (WINDOW, WINDOW))
        power = (dct @ windows @ dct.t()).abs()  # (B, S'S', 10, 10)
        filters = self.bands(WINDOW).abs()
        energy = power.flatten(2) @ filters.flatten(1).t()  # ||D * filter||_1: (B, S'S', 100) @ (100, 6)
        return (energy + FLOOR).log10().transpose(1, 2).unflatten(2, (count, count))  # -> (B, 6, S', S')


class MixBlock(nn.Module):
    """Cross-attention of the two streams: one matrix from the queries and keys of both, each stream given what the
    other has at the positions attended to. The gates start at 0: two streams of their own (B, C, H, W) each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.queries = nn.ModuleList(nn.Conv2d(channels, channels // 8, 1) for _ in range(2))
        self.keys = nn.ModuleList(nn.Conv2d(channels, channels // 8, 1) for _ in range(2))
        self.fuse = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 1, groups=channels), nn.BatchNorm2d(channels)) for _ in range(2)
        )
        self.gates = nn.Parameter(torch.zeros(2))

    def forward(self, fad: Tensor, lfs: Tensor) -> tuple[Tensor, Tensor]:
        streams = (fad, lfs)
        query = torch.cat([layer(x).flatten(2) for layer, x in zip(self.queries, streams, strict=True)], 1)
        key = torch.cat([layer(x).flatten(2) for layer, x in zip(self.keys, streams, strict=True)], 1)
        attention = (query.transpose(1, 2) @ key / math.sqrt(query.shape[1])).softmax(-1)  # (B, HW, HW)
        given = [
            self.fuse[index]((x.flatten(2) @ attention.transpose(1, 2)).view_as(x))
            for index, x in enumerate((lfs, fad))  # what each is given comes from the other
        ]
        gates = torch.tanh(self.gates / 2)
        return fad + gates[0] * given[0], lfs + gates[1] * given[1]


def _widen(convolution: nn.Conv2d, channels: int, share: float, stride: int, padding: int) -> nn.Conv2d:
    """A first convolution for `channels` inputs: the kernels of the three colours repeated, times `share`."""
    widened = nn.Conv2d(channels, 32, 3, stride, padding, bias=False)
    with torch.no_grad():
        widened.weight.copy_(convolution.weight.repeat(1, channels // 3, 1, 1) * share)
    return widened


class F3Net(Backbone):
    """Stages are the two streams' stages side by side: 256x31x31, 512x16x16, 1456x8x8 and 4096x4x4 at 128 px, after
    the MixBlocks and a ReLU."""

    channels = tuple(2 * channels for channels in CHANNELS)  # type: ignore[assignment]

    def __init__(self, classes: int, pretrained: bool) -> None:
        super().__init__()
        self.decomposition = Decomposition()
        self.statistics = LocalStatistics()
        self.fad, self.lfs = stream(0, pretrained), stream(0, pretrained)
        # The bands add up to the image: unscaled, the pretrained kernels see it as they did. Not so in LFS.
        self.fad.conv1 = _widen(self.fad.conv1, 9, 1.0, stride=2, padding=0)
        self.lfs.conv1 = _widen(self.lfs.conv1, BANDS, 3 / BANDS, stride=1, padding=1)
        self.mix = nn.ModuleDict({block: MixBlock(channels) for block, channels in MIXED.items()})
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * CHANNELS[-1], classes))

    @property
    def head(self) -> nn.Module:
        return self.classifier

    def stages(self) -> list[list[nn.Module]]:
        own: list[list[nn.Module]] = [
            [self.decomposition, self.statistics], [], [self.mix["block7"]], [self.mix["block12"]]
        ]  # fmt: skip
        return [[*a, *b, *c] for a, b, c in zip(own, stage_modules(self.fad), stage_modules(self.lfs), strict=True)]

    def forward(self, images: Tensor) -> Features:
        with torch.autocast(images.device.type, enabled=False):  # the DCT of half-precision pixels would lose the tails
            fad, lfs = self.decomposition(images), self.statistics(images)
        outputs = []
        for names in STAGES:
            for name in names:
                fad, lfs = self.fad.get_submodule(name)(fad), self.lfs.get_submodule(name)(lfs)
                if name in self.mix:
                    fad, lfs = self.mix[name](fad, lfs)
            outputs.append(relu(torch.cat((fad, lfs), 1)))
        embedding = outputs[-1].mean((2, 3))  # (B, 4096, H, W) -> (B, 4096)
        return Features(tuple(outputs), embedding, self.head(embedding))


def build(name: str, pretrained: bool, classes: int) -> F3Net:
    """`f3net`; pretrained: both streams start from ImageNet."""
    return F3Net(classes, pretrained)
