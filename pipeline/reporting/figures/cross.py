"""A heat map of models trained on one manipulation, or on several at once, and tested on another."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np

from pipeline.reporting.crossing import Crossed
from pipeline.reporting.figures.figure import STYLE, Figure, styled
from pipeline.reporting.results import Results


def heat_map(found: Sequence[Crossed], results: Results) -> Figure:
    """A panel a method, a row of panels a compression; rows are what was trained on, columns what was tested on."""
    compressions = sorted({one.compression for one in found})
    models = list(dict.fromkeys(one.model for one in found))
    trained = list(dict.fromkeys(one.trained_on for one in found))
    tested = list(dict.fromkeys(one.tested_on for one in found))
    values = {(one.compression, one.model, one.trained_on, one.tested_on): one for one in found}
    side = 0.95
    width, height = 1.1 + len(models) * (side * len(tested) + 0.35), 1.1 + len(compressions) * (side * len(trained) + 1)
    drawing, axes = styled(len(compressions), len(models), max(width, 6), height, sharex=True, sharey=True)
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        for row, compression in enumerate(compressions):
            for column, model in enumerate(models):
                ax = axes[row, column]
                cells = [[values.get((compression, model, one, other)) for other in tested] for one in trained]
                matrix = np.array([[np.nan if one is None else one.auc for one in line] for line in cells])
                # From chance to perfect: the same colours on every page.
                shown = ax.imshow(matrix, cmap="cividis", vmin=0.5, vmax=1.0, aspect="auto")
                for y, x in np.ndindex(*matrix.shape):
                    if one := cells[y][x]:
                        ax.text(x, y, f"{one.auc:.2f}".lstrip("0"), ha="center", va="center",
                                fontweight="bold" if one.own else "normal",
                                color="black" if one.auc > 0.72 else "white")  # fmt: skip
                ax.grid(False)
                ax.set_title(f"{results.label(model)}, {compression}", loc="left", fontsize=10)
                ax.set_xticks(range(len(tested)), tested, rotation=25, ha="right")
                ax.set_yticks(range(len(trained)), trained)
                if row == len(compressions) - 1:
                    ax.set_xlabel("tested on")
                if column == 0:
                    ax.set_ylabel("trained on")
        drawing.colorbar(shown, ax=axes, label="AUC per frame", shrink=0.9, aspect=25)
    return Figure(
        "cross",
        "Trained on one manipulation, tested on another",
        "AUC per frame on people that no model saw; bold: all of these fakes were trained on. Dark is chance (.5 and "
        "below). The table below has the intervals.",
        drawing,
        wide=len(models) * len(tested) > 12,
    )
