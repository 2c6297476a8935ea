"""The figures of the results, drawn without a display and with the same bytes from run to run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from pipeline.params.cells import ADD
from pipeline.reporting.comparison import Comparisons
from pipeline.reporting.results import Model, Results, Task

# Okabe & Ito's palette: told apart with colour-blind eyes and in grey print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same glyphs everywhere
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "axes.axisbelow": True,
    "figure.dpi": 130,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Figure:
    """A picture of the page: file stem, title, one sentence on how to read it."""

    name: str
    title: str
    hint: str
    drawing: Drawing
    wide: bool = False  # scrolls on a narrow page where shrinking would hide what it shows

    def write(self, folder: Path) -> Path:
        """Save as <name>.png without date or software, so that the same run gives the same bytes."""
        path = folder / f"{self.name}.png"
        self.drawing.savefig(path, dpi=self.drawing.dpi, metadata={"Software": None})
        return path


def styled(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Drawing, Any]:
    """A drawing of width x height inches and its axes, an array (rows, columns), in the report's style."""
    with mpl.rc_context(STYLE):
        drawing = Drawing(figsize=(width, height), layout="constrained")
        return drawing, drawing.subplots(rows, columns, squeeze=False, **options)


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
        for ax in list(axes.flat)[len(tasks) :]:
            ax.set_visible(False)
        handles = {h.get_label(): h for ax in axes.flat for h in ax.get_legend_handles_labels()[0]}
        drawing.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns)
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
    for quality, style in ((task.compression, "--"), ("raw", ":")):
        value = results.teacher(backbone, task.manipulation, quality, "frame", "auc")
        if value is not None:
            name = "raw crops" if quality == "raw" else "compressed crops"
            ax.axvline(value, linestyle=style, color="#333333", linewidth=1.4, label=f"raw teacher on {name}")
    ax.set_yticks(range(len(shown)), [results.label(model) for model in reversed(shown)])
    ax.set_ylim(-0.6, len(shown) - 0.4)
    ax.set_title(task.label, loc="left", fontsize=11)
    ax.set_xlabel("AUC per frame")
