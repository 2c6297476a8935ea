"""Reliability diagrams: whether a score of .8 is a fake eight times in ten (Murphy & Winkler 1977)."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from pipeline.reporting.figures.figure import COLOURS, STYLE, Figure, legend_below, styled
from pipeline.reporting.results import Results

BINS = np.linspace(0, 1, 11)


def reliability(results: Results) -> Figure | None:
    """A panel a method and compression, a line a manipulation: the share of fakes among frames of about one score."""
    models = results.models()
    compressions = list(dict.fromkeys(task.compression for task in results.tasks()))
    manipulations = list(dict.fromkeys(task.manipulation for task in results.tasks()))
    if not models or not compressions:
        return None
    columns = min(len(models), 4)
    rows = len(compressions) * -(-len(models) // columns)
    drawing, axes = styled(rows, columns, 3.1 * columns + 0.4, 3.2 * rows + 0.7, sharex=True, sharey=True)
    places = iter(axes.flat)
    with mpl.rc_context(STYLE):
        for compression in compressions:
            for model in models:
                ax = next(places)
                ax.plot([0, 1], [0, 1], color="#888888", linestyle=(0, (4, 3)), linewidth=1)
                for task in (task for task in results.tasks() if task.compression == compression):
                    runs = [results.at(cell, compression) for cell in results.of(model, task)]
                    if runs:
                        number = manipulations.index(task.manipulation)
                        _line(ax, pd.concat(runs), COLOURS[number % len(COLOURS)], task.manipulation)
                ax.set_title(f"{results.label(model)}, {compression}", loc="left", fontsize=10)
            for _ in range(-len(models) % columns):
                next(places).set_visible(False)
        for ax in axes[-1]:
            ax.set_xlabel("score")
        for ax in axes[:, 0]:
            ax.set_ylabel("share of fakes")
        legend_below(drawing, axes, 4)
    return Figure(
        "reliability",
        "Are the scores probabilities?",
        "Test frames in ten equal bins of their score, all folds and seeds: how many are fakes; a larger dot holds "
        "more frames. On the dashed line a score of .8 is a fake eight times in ten. Below it on the right the model "
        "is too sure of fakes, above it on the left too sure of reals.",
        drawing,
    )


def _line(ax: Axes, frames: pd.DataFrame, colour: str, label: str) -> None:
    bins = np.clip(np.digitize(frames["score"], BINS[1:-1]), 0, len(BINS) - 2)
    table = frames.assign(bin=bins).groupby("bin").agg(score=("score", "mean"), fakes=("label", "mean"),
                                                       count=("label", "size"))  # fmt: skip
    sizes: Sequence[float] = (12 + 300 * table["count"] / len(frames)).tolist()
    ax.plot(table["score"], table["fakes"], color=colour, linewidth=1.3, alpha=0.8, label=label)
    ax.scatter(table["score"], table["fakes"], s=sizes, color=colour, alpha=0.6, linewidths=0)
