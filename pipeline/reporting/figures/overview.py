"""The figure at the top: every method's AUC, between the raw teacher on compressed and on raw crops."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from pipeline.params.cells import ADD, RAW
from pipeline.reporting.comparison import Comparisons
from pipeline.reporting.figures.figure import COLOURS, STYLE, Figure, hide_from, legend_below, styled
from pipeline.reporting.results import Model, Results, Task


def overview(results: Results, comparisons: Comparisons) -> Figure:
    """AUC per frame of each method with its interval, between the raw teacher on compressed and on raw crops."""
    tasks = results.tasks()
    models = results.models()
    columns = min(len(tasks), 2)
    rows = -(-len(tasks) // columns)
    drawing, axes = styled(rows, columns, 4.9 * columns, rows * (1.3 + 0.34 * len(models)), sharex=True)
    with mpl.rc_context(STYLE):
        for task, ax in zip(tasks, axes.flat, strict=False):
            _methods(ax, results, comparisons, models, task)
        hide_from(axes, len(tasks))
        legend_below(drawing, axes, columns)
    bars = (
        "thin bars 95 % intervals over people, who are few, thick ones" if results.few_people else "bars 95 % intervals"
    )
    return Figure(
        "overview",
        "Does ADD close the gap?",
        f"Points are means over seeds, {bars} over videos; further right is better. Dashed: the raw "
        "teacher on the same compressed crops; dotted: the raw teacher on raw crops. Bars that overlap may "
        "still differ in the paired tests, where both methods meet the same videos.",
        drawing,
    )


def _methods(ax: Axes, results: Results, comparisons: Comparisons, models: Sequence[Model], task: Task) -> None:
    shown = [model for model in models if results.named(model, task)]
    for place, model in enumerate(reversed(shown)):
        spread = results.spread(model, task, "frame", "auc")
        if spread is None:
            ax.text(0.02, place, "missing", transform=ax.get_yaxis_transform(), va="center", color="#666666")
            continue
        colour = COLOURS[1] if model.method == ADD else COLOURS[0]
        for unit, thick in (("person", 0.9), ("video", 2.2)) if results.few_people else (("video", 2.2),):
            ends = comparisons.interval(model, task, "frame", "auc", unit) or (np.nan, np.nan)
            ax.plot(ends, [place, place], color=colour, linewidth=thick, solid_capstyle="butt")
        ax.plot(spread.mean, place, "o", color=colour, markersize=7)
    backbone = next((model.backbone for model in models if model.method == ADD), models[-1].backbone)
    for quality, style in ((task.compression, "--"), (RAW, ":")):
        value = results.teacher(backbone, task.manipulation, quality, "frame", "auc")
        if value is not None:
            name = "raw crops" if quality == RAW else "compressed crops"
            ax.axvline(value, linestyle=style, color="#333333", linewidth=1.4, label=f"raw teacher on {name}")
    ax.set_yticks(range(len(shown)), [results.label(model) for model in reversed(shown)])
    ax.set_ylim(-0.6, len(shown) - 0.4)
    ax.set_title(task.label, loc="left", fontsize=11)
    ax.set_xlabel("AUC per frame")
