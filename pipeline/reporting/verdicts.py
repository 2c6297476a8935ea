"""What verdicts of the trained detectors are worth: calibration and thresholds, judged on people they never met."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd

from pipeline.evaluation.calibration import error, held_out, judged
from pipeline.params.cells import TEACHER, Cell
from pipeline.params.sections import Verdict
from pipeline.reporting.figures.overview import COLOURS, STYLE, Figure, styled
from pipeline.reporting.results import Model, Results
from pipeline.reporting.tables.table import Entry, Table, decimal, percent

BINS = 5  # of the reliability plot: a small test set has few videos
PANELS = 12


@dataclass(frozen=True)
class Judged:
    """A detector's verdicts on the test videos of every fold; videos: as evaluation.calibration.judged gives them."""

    cell: Cell
    quality: str
    label: str
    videos: pd.DataFrame
    own: bool  # judged by validation people; else by the other folds' test people


def collect(results: Sequence[Results], settings: Verdict) -> list[Judged]:
    """The verdicts of every found cell at the quality that it was trained on, one seed each; none that cannot be."""
    return list(_collect(results, settings))


def _collect(results: Sequence[Results], settings: Verdict) -> Iterator[Judged]:
    for group in results:
        seeds: set[tuple[str, str, str, str]] = set()
        for cell in group.summaries:
            key = (cell.method, cell.backbone, cell.manipulation, cell.compression)
            if key in seeds:
                continue
            seeds.add(key)
            frames = group.scored(cell, cell.compression)
            videos = judged(frames, settings.false_alarms, settings.misses)
            if len(videos):
                label = group.label(Model(cell.method, cell.backbone))
                yield Judged(cell, cell.compression, label, videos, bool((held_out(frames)["role"] == "val").any()))


def table(found: Sequence[Judged], settings: Verdict) -> Table:
    """What the thresholds let through, and the calibration error before and after."""
    rows, values = [], []
    for one in found:
        reals, fakes = (one.videos[one.videos["label"] == label] for label in (0, 1))
        alarms, misses = (int((part["verdict"] == name).sum()) for part, name in ((reals, "fake"), (fakes, "real")))
        open_ = float((one.videos["verdict"] == "undecided").mean())
        before, after = (round(error(one.videos, name), 6) for name in ("score", "probability"))
        words = [one.cell.manipulation, one.quality, one.label]
        rows.append([Entry(text) for text in (*words, f"{alarms} of {len(reals)}", f"{misses} of {len(fakes)}",
                     percent(alarms / max(len(reals), 1)), percent(misses / max(len(fakes), 1)), percent(open_),
                     decimal(before), decimal(after))])  # fmt: skip
        values.append(
            {"manipulation": one.cell.manipulation, "quality": one.quality, "method": one.cell.method}
            | {"backbone": one.cell.backbone, "seed": one.cell.seed, "reals": len(reals), "fakes": len(fakes)}
            | {
                "false_alarms": alarms,
                "misses": misses,
                "undecided": open_,
                "ece_before": before,
                "ece_after": after,
            }
            | {"own_validation": one.own}
        )
    own = any(one.own for one in found)
    fitted = "validation people" if own else "the other folds' test people, each scored by a model that never saw them"
    return Table(
        "verdicts",
        "What a verdict is worth",
        f"Per video: calibration and thresholds for at most {percent(settings.false_alarms)} % false alarms (real "
        f"videos called fake) and {percent(settings.misses)} % misses (fake videos called real), fitted on {fitted}, "
        "and here judged on test people, from whom nothing was fitted; what lies between the thresholds is "
        "undecided. ECE: the expected calibration error of the video's score as a probability, before and after, reals "
        "and fakes weighing alike; it is coarse on few videos.",
        ["manipulation", "quality", "method", "false alarms", "misses", "false alarms %", "misses %", "undecided %",
         "ECE before", "ECE after"],
        rows,
        pd.DataFrame(values),
        left=3,
        folded=len(rows) > 30,
    )  # fmt: skip


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
            ax.set_title(f"{one.label}\n{one.cell.manipulation}, {one.quality}", fontsize=9)
            ax.set_xlim(-0.03, 1.03)
            ax.set_ylim(-0.05, 1.05)
        for ax in list(axes.flat)[len(shown) :]:
            ax.set_visible(False)
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
    """Of each bin that holds any: mean probability, share of fakes and weight, reals and fakes weighing alike."""
    weights = np.where(labels == 1, 1 / max(labels.sum(), 1), 1 / max((1 - labels).sum(), 1))
    place = np.minimum((scores * BINS).astype(int), BINS - 1)
    within = [place == bin_ for bin_ in np.unique(place)]
    means, shares = ([np.average(v[here], weights=weights[here]) for here in within] for v in (scores, labels))
    return np.array(means), np.array(shares), np.array([weights[here].sum() for here in within])
