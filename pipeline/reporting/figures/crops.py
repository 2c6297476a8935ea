"""Pictures made of crops: contact sheets, and what compression removes from them by frequency (Fig. 1)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from pipeline.crops.shards import read_crops
from pipeline.params.cells import RAW, TEACHER
from pipeline.reporting.figures.figure import COLOURS, STYLE, Figure, hide_from, styled
from pipeline.reporting.figures.spectrum import SpectrumDifference, spectrum_difference

PAIRS = 3
FRAMES = 256  # of each class behind the spectrum: more changes nothing that can be seen
SIZE = 256  # px: about a crop's side on a sheet; at least twice its own


def sheet(index: pd.DataFrame, manipulation: str, qualities: Sequence[str]) -> Figure | None:
    """The same frames of targets and their fakes, of different people, in every quality; None without a pair."""
    pairs = list(_pairs(index, manipulation))
    if not pairs:
        return None
    crops = [[read_crops(row, qualities) for row in pair] for pair in pairs]
    size = len(crops[0][0][qualities[0]])
    side = max(2, -(-SIZE // size)) * size  # whole multiples: each pixel is a square block
    gap, head = 6, 26
    width, height = len(qualities) * (side + gap) + 30, len(pairs) * (2 * (side + gap) + 14) + head
    drawing, axes = styled(1, 1, width / 100, height / 100)
    drawing.set_dpi(100)
    drawing.set_layout_engine("none")
    ax = axes[0, 0]
    ax.set_position((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    with mpl.rc_context(STYLE):
        for column, quality in enumerate(qualities):
            ax.text(30 + column * (side + gap) + side / 2, head / 2, quality, ha="center", va="center", weight="bold")
        for number, pair in enumerate(pairs):
            for line, (label, row) in enumerate(zip(("real", "fake"), pair, strict=True)):
                top = head + number * (2 * (side + gap) + 14) + line * (side + gap)
                words = f"{label} · {row['person']}, frame {row['frame']}"
                ax.text(14, top + side / 2, words, rotation=90, ha="center", va="center", fontsize=9)
                for column, crop in enumerate(crops[number][line].values()):
                    left = 30 + column * (side + gap)
                    # Blocks of one colour: a smooth enlargement would hide what compression does.
                    ax.imshow(crop, extent=(left, left + side, top + side, top), interpolation="nearest")
        ax.set(xlim=(0, width), ylim=(height, 0))
        ax.set_aspect("auto")
    return Figure(
        f"crops-{manipulation}",
        f"What the detectors see: {manipulation}",
        "Each pair is the same frame of a target video (real) and of the fake made from it, at the same place; left "
        "uncompressed, then as compressed.",
        drawing,
        wide=True,
    )


def spectra(index: pd.DataFrame, sets: Sequence[str], compression: str) -> Figure:
    """Fig. 1: the normalised difference of the DFT spectra of raw and compressed crops, set by set."""
    found: dict[str, SpectrumDifference] = {}
    for name in sets:
        mine = index[index["set"] == name].sort_values("key", ignore_index=True)
        chosen = mine.iloc[np.unique(np.linspace(0, len(mine) - 1, min(len(mine), FRAMES)).astype(int))]
        crops = (read_crops(row, (RAW, compression)) for _, row in chosen.iterrows())
        found[name] = spectrum_difference((pair[RAW], pair[compression]) for pair in crops)
    columns = min(len(found) + 1, 4)
    rows = -(-(len(found) + 1) // columns)
    drawing, axes = styled(rows, columns, 3.0 * columns, 3.0 * rows)
    with mpl.rc_context(STYLE):
        for (name, spectrum), ax in zip(found.items(), axes.flat, strict=False):
            image = ax.imshow(spectrum.difference, vmin=-1, vmax=1, cmap="RdBu_r", extent=(-0.5, 0.5, -0.5, 0.5))
            ax.set_title(f"{name} (n = {spectrum.n})", loc="left", fontsize=10)
            ax.set_xlabel("cycles per pixel")
            ax.grid(False)
        drawing.colorbar(image, ax=list(axes.flat)[: len(found)], shrink=0.8, label="lost share of amplitude")
        last = axes.flat[len(found)]
        for number, (name, spectrum) in enumerate(found.items()):
            last.plot(*spectrum.radial(), color=COLOURS[number % len(COLOURS)], label=name)
        last.set(title="by frequency", xlabel="cycles per pixel", ylabel="lost share of amplitude")
        last.legend()
        hide_from(axes, len(found) + 1)
    means = ", ".join(f"{name} {spectrum.radial()[1][0]:+.3f}" for name, spectrum in found.items())
    return Figure(
        "spectrum",
        f"What {compression} removes, by frequency (Fig. 1 of the paper)",
        "(|raw| − |compressed|) / (|raw| + |compressed|) of mean DFT amplitudes of luma: red is lost, blue was added. "
        f"The zero frequency is in the middle of each map (the paper's figure has it at the corners); there: {means}.",
        drawing,
    )


def gallery(path: Path, manipulation: str, compression: str) -> Figure:
    """The Grad-CAM maps that explain left (pipeline.evaluation.gallery), over the crops that each detector saw."""
    with np.load(path) as saved:
        held = {name: saved[name] for name in saved.files}
    count, methods = len(held["keys"]), held["detectors"].tolist()
    people = {"val": "validation people", "train": "people it trained on, since the fold has no validation"}
    drawing, axes = styled(count, len(methods) + 1, 2.3 * (len(methods) + 1), 2.45 * count)
    with mpl.rc_context(STYLE):
        for ax in axes.flat:
            ax.axis("off")
        for row in range(count):
            axes[row, 0].imshow(held["compressed"][row])
            axes[row, 0].set_title(f"{compression} crop", fontsize=9)
            for column, method in enumerate(methods, start=1):
                seen = RAW if method == TEACHER else "compressed"
                axes[row, column].imshow(held[seen][row])
                axes[row, column].imshow(held["maps"][column - 1, row].astype(float), cmap="inferno", alpha=0.5)
                score = held["scores"][column - 1, row]
                axes[row, column].set_title(f"{method}: {100 * score:.0f} % fake", fontsize=9)
    return Figure(
        f"gradcam-{manipulation}-{compression}",
        f"Where the detectors look: {manipulation} {compression}",
        "Grad-CAM of the fourth stage for the class fake, on fakes of "
        f"{people[str(held['role'])]}: bright places speak for fake. The teacher sees the raw crop, "
        "the others the compressed one.",
        drawing,
    )


def _pairs(index: pd.DataFrame, manipulation: str) -> Iterator[tuple[pd.Series, pd.Series]]:
    """Up to PAIRS (target, fake) rows at the middle sampled frame, of people spread over the set."""
    reals = index[index["set"] == "original"].set_index(["video", "frame"], drop=False)
    fakes = index[index["set"] == manipulation].sort_values(["person", "video", "frame"])
    fakes = fakes[[pair in reals.index for pair in zip(fakes["target"], fakes["frame"], strict=True)]]
    one = [block.iloc[len(block) // 2] for _, block in fakes.groupby("person", sort=True)]
    for place in np.unique(np.linspace(0, len(one) - 1, min(PAIRS, len(one))).astype(int)):
        fake = one[place]
        yield reals.loc[(fake["target"], fake["frame"])], fake
