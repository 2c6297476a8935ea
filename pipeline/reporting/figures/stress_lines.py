"""What the stress figures share: which lines they draw, how each looks, with its intervals, and on which scale."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes

from pipeline.params.cells import ADD, RAW, TEACHER
from pipeline.reporting.figures.figure import COLOURS
from pipeline.reporting.robustness import Line, Stressed

FIXED = {ADD: COLOURS[1], TEACHER: "#333333"}
REST = (COLOURS[0], *COLOURS[2:6])
DASHES = ("-", "--", ":")  # by what a line was trained on


def by_backbone(stressed: Stressed) -> dict[str, list[Line]]:
    """Lines by backbone; detectors with a network of their own stand beside the first ADD's."""
    own = list(dict.fromkeys(line.backbone for line in stressed.lines if line.method != line.backbone))
    first = own[0] if own else stressed.lines[0].backbone
    groups: dict[str, list[Line]] = {}
    for line in stressed.lines:
        groups.setdefault(line.backbone if line.backbone in own else first, []).append(line)
    return groups


def strongest(stressed: Stressed) -> list[Line]:
    """The first backbone's teacher and lines that were trained on the strongest compression."""
    lines = next(iter(by_backbone(stressed).values()))
    trained = {line.compression for line in lines if line.method != TEACHER}
    last = max(trained, key=lambda name: stressed.crf.get(name, -1), default=RAW)
    return [line for line in lines if line.compression in (last, RAW)]


def looks(stressed: Stressed, lines: Sequence[Line]) -> dict[Line, dict[str, str]]:
    """Colour by method, dashes by what it was trained on, the strongest compression drawn through."""
    methods = [name for name in dict.fromkeys(line.method for line in lines) if name not in FIXED]
    colours = FIXED | {name: REST[place % len(REST)] for place, name in enumerate(methods)}
    trained = {line.compression for line in lines if line.method != TEACHER}
    order = sorted(trained, key=lambda name: (stressed.crf.get(name, -1), name), reverse=True)
    return {
        line: {"color": colours[line.method],
               "linestyle": "-." if line.method == TEACHER else DASHES[order.index(line.compression) % len(DASHES)]}
        for line in lines
    }  # fmt: skip


def curve(
    ax: Axes, stressed: Stressed, line: Line, task: str, measure: str, places: dict[str, float], look: dict[str, str],
    label: str = "",
) -> None:  # fmt: skip
    """Draw a measure of a task over the points that it was measured at, with its 95 % intervals as bars.

    places: where each point stands on the x axis. look: keywords of Axes.plot.
    """
    found = [(x, value) for p, x in places.items() if (value := stressed.value(line, task, p, measure)) is not None]
    found.sort(key=lambda one: one[0])
    if not found:
        return
    x, (y, low, high) = [place for place, _ in found], zip(*(value for _, value in found), strict=True)
    ax.vlines(x, low, high, color=look["color"], linewidth=1.1, alpha=0.45)
    ax.plot(x, y, label=label or stressed.label(line), markersize=4.5, linewidth=1.6, **({"marker": "o"} | look))  # type: ignore[arg-type]


def failing_level(ax: Axes, stressed: Stressed) -> None:
    """A dashed line where detection counts as failed."""
    ax.axhline(stressed.fails_below, color="#888888", linestyle=(0, (4, 3)), linewidth=1)


def one_scale(axes: Iterable[Axes]) -> None:
    """AUCs on one scale from chance to perfect, lower only where something is."""
    axes = list(axes)
    low = min([0.46, *(ax.dataLim.y0 for ax in axes if ax.dataLim.height > 0)]) - 0.01
    for ax in axes:
        ax.set_ylim(low, 1.02)
