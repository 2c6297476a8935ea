"""Curves of trained models on degraded crops: over H.264's rate factor, over bits a pixel, over everything else."""

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib import ticker

from pipeline.params.cells import RAW
from pipeline.params.degradations import PIXELS
from pipeline.reporting.figures.figure import COLOURS, STYLE, Figure, legend_below, styled
from pipeline.reporting.figures.stress_lines import by_backbone, curve, failing_level, looks, one_scale, strongest
from pipeline.reporting.robustness import Line, Stressed, is_codec, kind

MARKS = ("o", "s", "^", "D")
NAMES = {"auc": "AUC per frame", "tpr_at_5": "TPR at 5 % false alarms"}
AXES = {
    "jpeg": "JPEG quality", "blur": "blur, standard deviation (px)", "noise": "noise, standard deviation (grey levels)",
    "scale": "scaled down to, share",
}  # fmt: skip
CODECS = {"h264": "H.264", "h265": "H.265", "vp9": "VP9", "av1": "AV1"}


def figures(stressed: Stressed) -> list[Figure]:
    """The rate factor's curve for each backbone, and the other figures where their points were measured."""
    found = [_rate_factor(stressed, name, lines) for name, lines in by_backbone(stressed).items()]
    return [figure for figure in [*found, _codecs(stressed), _others(stressed)] if figure is not None]


def _rate_factor(stressed: Stressed, backbone: str, lines: Sequence[Line]) -> Figure | None:
    points = stressed.rate_factors
    if len(points) < 3:
        return None
    tasks = stressed.tasks
    drawing, axes = styled(2, len(tasks), max(4.4 * len(tasks), 7.5), 7.2, sharex=True, sharey="row")
    encoded = [crf for crf in points.values() if crf]
    left = min(encoded) - 6  # where raw stands: 0 would leave the first half of the axis empty
    places = {point: crf or left for point, crf in points.items()}
    look = looks(stressed, lines)
    with mpl.rc_context(STYLE):
        for row, measure in enumerate(NAMES):
            for column, task in enumerate(tasks):
                ax = axes[row, column]
                for number, line in enumerate(lines):
                    shift = 0.35 * (number - (len(lines) - 1) / 2)
                    curve(ax, stressed, line, task, measure, {p: x + shift for p, x in places.items()}, look[line])
                if measure == "auc":
                    failing_level(ax, stressed)
                    ax.set_title(task, loc="left", fontsize=11)
                else:
                    ax.set_xlabel("H.264 constant rate factor")
                ax.set_xticks([left, *encoded], [RAW, *map(str, encoded)])
            axes[row, 0].set_ylabel(NAMES[measure])
        one_scale(axes[0])
        legend_below(drawing, axes, 2)
    return Figure(
        f"stress-{backbone}",
        f"How detection dies as compression grows ({backbone})",
        f"The same frames of people that no model saw, encoded at each rate factor; models as trained at the "
        f"compression that the legend names. Bars are 95 % intervals over {stressed.over}, moved apart sideways to be "
        f"told from each other. Below the dashed line at {stressed.fails_below:g} detection counts as failed.",
        drawing,
        wide=len(tasks) > 2,
    )


def _codecs(stressed: Stressed) -> Figure | None:
    """AUC against bits a pixel, a line a codec, a column a model trained on the strongest compression."""
    points = [p for p in dict.fromkeys(stressed.points["point"]) if is_codec(p)]
    by_codec = {codec: [p for p in points if kind(p) == codec] for codec in CODECS}
    by_codec = {codec: names for codec, names in by_codec.items() if len(names) > 1}
    if len(by_codec) < 2:
        return None
    lines, tasks = strongest(stressed), stressed.tasks
    drawing, axes = styled(
        len(tasks), len(lines), 3.3 * len(lines) + 0.6, 2.9 * len(tasks) + 0.8, sharex=True, sharey="row"
    )
    with mpl.rc_context(STYLE):
        for row, task in enumerate(tasks):
            for column, line in enumerate(lines):
                ax = axes[row, column]
                for number, (codec, names) in enumerate(by_codec.items()):
                    places = {p: bits for p in names if (bits := stressed.bits(task, p)) is not None}
                    look = {"color": COLOURS[number], "linestyle": "-", "marker": MARKS[number]}
                    curve(ax, stressed, line, task, "auc", places, look, CODECS[codec])
                ax.set_xscale("log")
                failing_level(ax, stressed)
                if row == 0:
                    ax.set_title(stressed.label(line), loc="left", fontsize=10)
                if row == len(tasks) - 1:
                    ax.set_xlabel("bits a pixel")
            axes[row, 0].set_ylabel(f"{task}\nAUC per frame")
        one_scale(axes.flat)
        for ax in axes.flat:
            ax.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.xaxis.set_minor_formatter(ticker.NullFormatter())
        legend_below(drawing, axes, 2)
    return Figure(
        "stress-codecs",
        "The same at equal cost: codecs against bits a pixel",
        "Bits of the encoded video, without its container, by pixels of the raw one, mean over reals and fakes; fewer "
        "bits to the left. Where the lines lie on one another, what counts is the bitrate and not the codec.",
        drawing,
        wide=len(lines) > 3,
    )


def _others(stressed: Stressed) -> Figure | None:
    """JPEG, blur, noise, scale over their levels, and chains one beside the other."""
    known = list(dict.fromkeys(stressed.points["point"]))
    levels = {name: [p for p in known if kind(p) == name] for name in PIXELS}
    several = {name: points for name, points in levels.items() if len(points) > 1}
    chains = [p for p in known if not kind(p) and p != RAW and p not in stressed.crf]
    chains += [p for name, points in levels.items() if len(points) == 1 for p in points]
    columns = [*several, *(["chains"] if chains else [])]
    if not columns:
        return None
    lines, tasks = strongest(stressed), stressed.tasks
    look = looks(stressed, lines)
    drawing, axes = styled(len(tasks), len(columns), 3.2 * len(columns) + 0.8, 3.0 * len(tasks) + 0.7,
                           sharex="col", sharey=True)  # fmt: skip
    with mpl.rc_context(STYLE):
        for row, task in enumerate(tasks):
            for column, name in enumerate(columns):
                ax = axes[row, column]
                points = several.get(name, chains)
                for number, line in enumerate(lines):
                    if name == "chains":
                        shift = 0.12 * (number - (len(lines) - 1) / 2)
                        places = {p: place + shift for place, p in enumerate(points)}
                        style = look[line] | {"linestyle": "none"}
                    else:
                        places, style = {p: float(p.partition("-")[2]) for p in points}, look[line]
                    curve(ax, stressed, line, task, "auc", places, style)
                failing_level(ax, stressed)
                if row == 0:
                    ax.set_title("chains, single steps" if name == "chains" else name, loc="left", fontsize=10)
                if name == "chains":
                    ax.set_xlim(-0.5, len(points) - 0.5)
                    ax.set_xticks(range(len(points)), points, rotation=20, ha="right")
                elif row == len(tasks) - 1:
                    ax.set_xlabel(AXES[name])
            axes[row, 0].set_ylabel(f"{task}\nAUC per frame")
        one_scale(axes.flat)
        for column, name in enumerate(columns):
            if name in ("jpeg", "scale"):  # worse to the right, as everywhere
                axes[0, column].invert_xaxis()
        legend_below(drawing, axes, 2)
    return Figure(
        "stress-others",
        "Beyond video compression",
        "JPEG, blur, noise and scaling (down and back) of the raw crop, worse to the right, and chains of several "
        "steps (params.yaml, stress.chains). Bars as above.",
        drawing,
        wide=len(columns) > 3,
    )
