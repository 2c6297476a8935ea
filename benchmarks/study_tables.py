"""What benchmarks.study measured: tables on stdout, in Markdown, and the figure of docs/study.md.

python -m benchmarks.study_tables docs/figures/study.png

Every interval is 95 %, by bootstrap over people; all methods and both tasks meet the same 10,000 draws.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.study import COMPRESSION, PARAMS, PLAN, WORK
from pipeline.evaluation.draws import Draws
from pipeline.evaluation.statistics import Difference, Floats, Scored, holm, interval, paired, within
from pipeline.params.cells import RAW, TEACHER
from pipeline.reporting.figures.figure import COLOURS, styled

PLAIN, CONTROL = "baseline", "warm_start"
PRIMARY = (
    ("add", PLAIN),
    ("add", CONTROL),
    ("add_paired", PLAIN),
    ("add_paired", "warm_start_paired"),
    ("add_chosen", PLAIN),
    ("add_chosen", "warm_start_alike"),
)
RESAMPLES = 10 * PARAMS.evaluation.bootstrap
LABELS = {
    "baseline": "plain training on c40",
    "warm_start": "plain, from the teacher's weights",
    "add": "ADD, the paper's constants",
    "add_teacher": "ADD, from the teacher's weights",
    "add_paired": "ADD, from the teacher's weights, in pairs",
    "warm_start_paired": "plain, from the teacher's weights, in pairs",
    "add_chosen": "ADD, chosen on validation people",
    "warm_start_alike": "plain, as the chosen ADD is trained",
    "mixed": "plain, on mixed qualities",
    "feature": "feature matching",
    "kd": "knowledge distillation",
    "fitnet": "FitNet",
    "at": "attention transfer",
    "nl": "non-local",
    "add_fr": "ADD: frequency alone",
    "add_mv_plain": "ADD: multi-view without contrast",
    "add_mv": "ADD: multi-view alone",
}


@dataclass(frozen=True)
class Measured:
    """A method's measures under every draw, (R + 1,) each, the sample itself first. tasks: AUC per frame of each."""

    name: str
    seeds: int
    tasks: dict[str, Floats]
    above: Floats  # mean of the tasks

    @property
    def auc(self) -> Floats:
        return np.mean(list(self.tasks.values()), axis=0)


def scores(name: str, task: str, quality: str) -> list[pd.DataFrame]:
    """Of the test people, one table a seed; none where the method is not whole."""
    tables = [pd.read_parquet(file) for file in sorted((WORK / "scores").glob(f"{name}-{task}-s*.parquet"))]
    return [table[(table["quality"] == quality) & (table["role"] == "test")] for table in tables]


def people(tables: Sequence[pd.DataFrame]) -> Draws:
    """Draws of people, each with all of their videos of any task."""
    return Draws.of(pd.concat(tables), "person", RESAMPLES, PARAMS.evaluation.seed)


def measured(name: str, draws: Draws, quality: str = COMPRESSION) -> Measured | None:
    tasks, above, seeds = {}, [], set()
    for task in PARAMS.manipulations:
        runs = scores(name, task, quality)
        if not runs:
            return None
        scored = Scored.of(runs)
        weights = draws.at(scored.videos)
        tasks[task] = scored.auc(weights)
        above.append(scored.above_target(weights))
        seeds.add(len(runs))
    if len(seeds) > 1:
        raise SystemExit(f"{name}: its tasks have unequal numbers of seeds; run train and test again")
    return Measured(name, seeds.pop(), tasks, np.mean(above, axis=0))


def ends(low: float, high: float, sign: str = "") -> str:
    return f"[{low:{sign}.3f}, {high:{sign}.3f}]"


def estimate(values: Floats) -> str:
    return f"{values[0]:.3f} {ends(*interval(values[1:]))}"


def difference(found: Difference) -> str:
    return f"{found.value:+.3f} {ends(found.low, found.high, '+')}"


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("-0.", "−0.").replace("0.", ".")


def methods_table(found: dict[str, Measured]) -> list[str]:
    tasks = list(PARAMS.manipulations)
    heads = ["method", "seeds", *tasks, "mean", f"mean less `{PLAIN}`", f"mean less `{CONTROL}`", "above own target"]
    lines = [row(heads), row(["---"] * len(heads))]
    for name, one in found.items():
        cells = [f"`{name}`", str(one.seeds), *(estimate(one.tasks[task]) for task in tasks), estimate(one.auc)]
        for other in (PLAIN, CONTROL):
            cells.append("" if name == other else difference(paired(one.auc, found[other].auc)))
        lines.append(row([*cells, estimate(one.above)]))
    return lines


def primary_table(found: dict[str, Measured]) -> list[str]:
    """The comparisons that the plan names, whole or not."""
    pairs = [(found[a], found[b]) for a, b in PRIMARY if a in found and b in found]
    auc, above = ([paired(getattr(a, what), getattr(b, what)) for a, b in pairs] for what in ("auc", "above"))
    heads = ["", "AUC per frame", "p", "p (Holm)", "could have shown", "says", "above own target"]
    lines = [row(heads), row(["---"] * len(heads))]
    corrected = holm([one.p for one in auc])
    for (a, b), one, p, other in zip(pairs, auc, corrected, above, strict=True):
        cells = [f"`{a.name}` less `{b.name}`", difference(one), f"{one.p:.3f}", f"{p:.3f}", f"{one.detectable:.3f}"]
        lines.append(row([*cells, said(one), difference(other)]))
    return lines


def said(found: Difference) -> str:
    if found.low > 0:
        return "helps"
    if found.high < 0:
        return "harms"
    return "equal" if within(found.low, found.high, PARAMS.report.margin) else "open"


def gap_table(draws: Draws) -> list[str]:
    lines = [row(["raw teacher, tested on", *PARAMS.manipulations, "mean"]), row(["---"] * 4)]
    for quality in (RAW, *PARAMS.compressions):
        one = measured(TEACHER, draws, quality)
        assert one is not None
        lines.append(row([quality, *(estimate(one.tasks[task]) for task in PARAMS.manipulations), estimate(one.auc)]))
    return lines


def figure(found: dict[str, Measured]) -> Figure:
    """Each method's AUC less the plain baseline's, best first, over the band in which two methods count as equal."""
    differences = [(one, paired(one.auc, found[PLAIN].auc)) for name, one in found.items() if name != PLAIN]
    differences.sort(key=lambda pair: pair[1].value)
    drawing, axes = styled(1, 1, 7.6, 0.36 * len(differences) + 1.5)
    ax = axes.flat[0]
    margin = PARAMS.report.margin
    ax.axvspan(-margin, margin, color="#e9e9e9", zorder=0, label=f"counts as equal (±{margin:g})")
    ax.axvline(0, color="#555555", linewidth=1.5)
    labels = {COLOURS[0]: "with ADD's losses", COLOURS[1]: "without"}
    for place, (one, less) in enumerate(differences):
        colour = COLOURS[0] if one.name.startswith("add") else COLOURS[1]
        ax.plot([less.low, less.high], [place, place], color=colour, linewidth=2.5)
        ax.plot(less.value, place, "o", color=colour, markersize=7, label=labels.pop(colour, None))
    ax.set_yticks(range(len(differences)), [LABELS[one.name] for one, _ in differences])
    ax.set_ylim(-0.6, len(differences) - 0.4)
    ax.set_xlabel("AUC per frame at c40, against plain training (0); bars 95 % over people", fontsize=9, loc="right")
    drawing.legend(loc="outside upper right", ncols=3, fontsize=9)
    return drawing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figure", type=Path, help="file to write, .png")
    arguments = parser.parse_args()
    draws = people([table for task in PARAMS.manipulations for table in scores(TEACHER, task, COMPRESSION)])
    every = {name: measured(name, draws) for name in PLAN["tested"]}
    found = {name: one for name, one in every.items() if one is not None}
    for lines in (gap_table(draws), methods_table(found), primary_table(found)):
        print("\n".join(lines), end="\n\n")
    figure(found).savefig(arguments.figure, dpi=150)


if __name__ == "__main__":
    main()
