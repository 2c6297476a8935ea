"""What every figure shares: its look, and how it is written, without a display and with the same bytes each time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing

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


def hide_from(axes: Any, count: int) -> None:
    """Hide the panels of an array of axes after the first `count`, in which nothing is drawn."""
    for ax in list(axes.flat)[count:]:
        ax.set_visible(False)


def legend_below(drawing: Drawing, axes: Any, columns: int) -> None:
    """One legend for all panels, below them, with each label once, as it is first drawn; in fewer columns where that
    many are wider than the drawing, which would cut them off."""
    handles: dict[str, Any] = {}
    for ax in axes.flat:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    for count in range(columns, 0, -1):
        legend = drawing.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=count)
        if count == 1 or legend.get_window_extent().width <= drawing.bbox.width:
            return
        legend.remove()
