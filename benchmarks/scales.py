"""At which scale the two mechanisms of ADD bite: w of the frequency loss, the hinge of the multi-view loss.

    python -m benchmarks.scales docs/figures/scales.png      # a minute: a table, and the figure of docs/method.md

Made-up features of ResNet-50's shapes at 128 px, ReLU of a Gaussian. `plain`: independent values. `grained`: each
channel has its own gain (lognormal, sigma 1) that an image shares with its class in half and with all images in
another quarter of the variance, and a smooth pattern over the map: closer to a network's sparse channels. The student
is the teacher plus noise of 30% of its spread. Distances are means over 8 images and 48 directions.
"""

import argparse
from pathlib import Path

import matplotlib
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.losses.frequency import frequency_attention_losses
from pipeline.losses.multiview import draw_directions
from pipeline.losses.partners import Pairings
from pipeline.losses.slices import DISTANCES

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SHAPES = {2: (512, 16, 16), 3: (1024, 8, 8), 4: (2048, 4, 4)}
IMAGES = 8  # the first half real, the second fake
MARGIN = 0.012


def plain(shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    return torch.randn(IMAGES, *shape, generator=generator).relu()


def grained(shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    channels, height, width = shape

    def gains(rows: int) -> Tensor:
        return torch.randn(rows, channels, 1, 1, generator=generator)

    log_gain = 0.5 * gains(IMAGES) + 0.5**0.5 * gains(2).repeat_interleave(IMAGES // 2, 0) + 0.5 * gains(1)
    pattern = torch.randn(IMAGES, channels, 2, 2, generator=generator)
    smooth = interpolate(pattern, (height, width), mode="bilinear", align_corners=True)
    return log_gain.exp() * (smooth + 0.5 * torch.randn(IMAGES, *shape, generator=generator)).relu()


FEATURES = {"plain": plain, "grained": grained}


def distances(kind: str, teacher: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """SWD to the own teacher, to a positive, to a negative: (B,) each."""
    noise = torch.randn(teacher.shape, generator=generator)
    student = (teacher + 0.3 * teacher.std() * noise).relu()
    half = IMAGES // 2
    positive = torch.cat([torch.arange(half).roll(1), half + torch.arange(half).roll(1)])
    negative = torch.arange(IMAGES).roll(half)
    pairings = Pairings(torch.stack([torch.arange(IMAGES), positive, negative]))
    found = DISTANCES[kind](student, teacher, draw_directions(48, generator), pairings, teacher.shape[1] // 2)
    own, to_positive, to_negative = found.mean(1)
    return own, to_positive, to_negative


def tabulate(generator: torch.Generator) -> dict[tuple[str, str], list[Tensor]]:
    print(
        f"{'features':<8} {'distance':<12} stage  {'own':>9} {'positive':>9} {'negative':>9}  hinge active at {MARGIN}"
    )
    negatives: dict[tuple[str, str], list[Tensor]] = {}
    for features, draw in FEATURES.items():
        for kind in DISTANCES:
            for stage, shape in SHAPES.items():
                own, positive, negative = distances(kind, draw(shape, generator), generator)
                active = (negative < MARGIN).float().mean()
                means = " ".join(f"{values.mean():9.2e}" for values in (own, positive, negative))
                print(f"{features:<8} {kind:<12} {stage:>5}  {means}  {active:.0%}")
                negatives.setdefault((features, kind), []).append(negative)
    return negatives


def draw_weights(axes: "plt.Axes", generator: torch.Generator) -> None:
    """max w against gamma, for a root mean square difference of features of 1."""
    gammas = torch.logspace(-3, 3, 25)
    for stage, shape in SHAPES.items():
        difference = torch.randn(IMAGES, *shape, generator=generator)
        still = torch.zeros_like(difference)
        weights = [frequency_attention_losses([difference], [still], float(g))[1][0] for g in gammas]
        axes.loglog(gammas, weights, label=f"stage {stage}: {shape[1]}x{shape[2]}")
    axes.axvline(1, color="grey", ls=":")
    axes.set(xlabel="γ_FR (dotted: the paper's)", ylabel="max w", title="weight of a frequency", ylim=(0.9, 1e4))
    axes.legend()


def draw_hinges(axes: "plt.Axes", negatives: dict[tuple[str, str], list[Tensor]]) -> None:
    for row, stages in enumerate(negatives.values()):
        for stage, values in zip(SHAPES, stages, strict=True):
            axes.scatter(values, torch.full_like(values, row + 0.2 * (stage - 3)), s=12, color=f"C{stage - 2}")
    axes.axvline(MARGIN, color="grey", ls=":")
    names = [f"{kind}, {features}" for features, kind in negatives]
    axes.set_yticks(range(len(names)), names)
    axes.set(xscale="log", xlabel="SWD to a negative (dotted: Δ = 0.012)", title="left of the line the hinge is active")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figure", type=Path)
    figure_path: Path = parser.parse_args().figure
    generator = torch.Generator().manual_seed(0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    draw_hinges(right, tabulate(generator))
    draw_weights(left, generator)
    figure_path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(figure_path, dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    main()
