"""Reliability diagrams: whether a score of .8 is a fake eight times in ten (Murphy & Winkler 1977)."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.evaluation.calibration import balanced
from pipeline.params.cells import TEACHER
from pipeline.reporting.figures.figure import COLOURS, STYLE, Figure, hide_from, legend_below, styled
from pipeline.reporting.results import Results
from pipeline.reporting.verdicts import Judged

Floats = NDArray[np.float64]
BINS = 10  # of frames' scores
FEW_BINS = 5  # of videos' probabilities: a small test set has few videos
PANELS = 12  # of detectors


def of_scores(results: Results) -> Figure | None:
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
                        colour = COLOURS[manipulations.index(task.manipulation) % len(COLOURS)]
                        frames = pd.concat(runs)
                        means, shares, held = _binned(frames, "score", BINS, np.ones(len(frames)))
                        ax.plot(means, shares, color=colour, linewidth=1.3, alpha=0.8, label=task.manipulation)
                        ax.scatter(means, shares, s=12 + 300 * held, color=colour, alpha=0.6, linewidths=0)
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


def of_verdicts(found: Sequence[Judged]) -> Figure:
    """A panel a detector: the share of fakes among test videos of about one probability, calibrated and before."""
    shown = sorted(found, key=lambda one: one.cell.method == TEACHER)[:PANELS]
    columns = min(len(shown), 4)
    rows = -(-len(shown) // columns)
    drawing, axes = styled(rows, columns, 2.6 * columns + 0.4, 2.5 * rows + 0.5, sharex=True, sharey=True)
    with mpl.rc_context(STYLE):
        for one, ax in zip(shown, axes.flat, strict=False):
            ax.plot([0, 1], [0, 1], color="#999999", linestyle=":", linewidth=1)
            for name, colour, label in (("score", COLOURS[1], "before"), ("probability", COLOURS[0], "after")):
                means, shares, held = _binned(one.videos, name, FEW_BINS, balanced(one.videos["label"].to_numpy(float)))
                ax.plot(means, shares, color=colour, linewidth=1.5, label=label)
                ax.scatter(means, shares, s=8 + 90 * held, color=colour, zorder=3)
            ax.set_title(f"{one.label}\n{one.cell.manipulation}, {one.cell.compression}", fontsize=9)
            ax.set_xlim(-0.03, 1.03)
            ax.set_ylim(-0.05, 1.05)
        hide_from(axes, len(shown))
        drawing.supxlabel("probability of fake", fontsize=9)
        drawing.supylabel("share that is fake", fontsize=9)
        handles, labels = axes.flat[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside upper right", ncols=2)
    return Figure(
        "verdicts",
        "Is 0.8 eight in ten?",
        "Test videos in five equal bins of their probability: on the dotted line it is the share of fakes. Larger "
        "points hold more videos. Before: the mean score; after: calibrated on people who are not in the picture.",
        drawing,
    )


def _binned(rows: pd.DataFrame, column: str, bins: int, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Of each equal bin of a column that is not empty: its mean, the share of fakes and the share of all weights."""
    place = np.minimum((rows[column].to_numpy(float) * bins).astype(int), bins - 1)
    within = [place == bin_ for bin_ in np.unique(place)]
    means, shares = (
        np.array([np.average(rows[name].to_numpy(float)[here], weights=weights[here]) for here in within])
        for name in (column, "label")
    )
    return means, shares, np.array([weights[here].sum() for here in within]) / weights.sum()
