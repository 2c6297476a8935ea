"""Reliability of the verdicts' probabilities, before and after calibration."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np

from pipeline.params.cells import TEACHER
from pipeline.reporting.figures.figure import COLOURS, STYLE, Figure, hide_from, styled
from pipeline.reporting.verdicts import Judged

BINS = 5  # of the reliability plot: a small test set has few videos
PANELS = 12


def figure(found: Sequence[Judged]) -> Figure:
    """Share of fakes against probability, before and after, a panel for each detector."""
    shown = sorted(found, key=lambda one: one.cell.method == TEACHER)[:PANELS]
    columns = min(len(shown), 4)
    rows = -(-len(shown) // columns)
    drawing, axes = styled(rows, columns, 2.6 * columns + 0.4, 2.5 * rows + 0.5, sharex=True, sharey=True)
    with mpl.rc_context(STYLE):
        for one, ax in zip(shown, axes.flat, strict=False):
            ax.plot([0, 1], [0, 1], color="#999999", linestyle=":", linewidth=1)
            for name, colour, label in (("score", COLOURS[1], "before"), ("probability", COLOURS[0], "after")):
                means, shares, counts = _bins(one.videos[name].to_numpy(float), one.videos["label"].to_numpy(float))
                ax.plot(means, shares, color=colour, marker="o", markersize=0, linewidth=1.5, label=label)
                ax.scatter(means, shares, s=8 + 90 * counts / counts.sum(), color=colour, zorder=3)
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


def _bins(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean probability, share of fakes and weight of each bin that is not empty; reals and fakes weigh alike."""
    weights = np.where(labels == 1, 1 / max(labels.sum(), 1), 1 / max((1 - labels).sum(), 1))
    place = np.minimum((scores * BINS).astype(int), BINS - 1)
    within = [place == bin_ for bin_ in np.unique(place)]
    means, shares = ([np.average(v[here], weights=weights[here]) for here in within] for v in (scores, labels))
    return np.array(means), np.array(shares), np.array([weights[here].sum() for here in within])
