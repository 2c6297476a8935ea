"""How training went: loss terms over steps, and the measures that explain ADD."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd

from pipeline.params.cells import ABLATIONS, ADD, TEACHER
from pipeline.reporting.figures.figure import COLOURS, STYLE, Figure, hide_from, legend_below, styled
from pipeline.reporting.results import Model, Results
from pipeline.reporting.tables.table import NOTHING, Entry, Table

CLOCK = ("step", "epoch", "lr")
STAGE = "_stage"  # the end of a measure's name where it is of one stage alone
CURVES = ("train_", "val_")  # of every method; every other column is a measure of a distillation


def histories(results: Results) -> pd.DataFrame:
    """All histories in one table: method, backbone, manipulation, compression, seed, fold, step, epoch, lr, ..."""
    tables = []
    for cell, summary in results.summaries.items():
        for run in summary["training"]:
            keys: dict[str, Any] = {"method": cell.method, "backbone": cell.backbone}
            keys |= {
                "manipulation": cell.manipulation,
                "compression": cell.compression,
                "seed": cell.seed,
                "fold": run["fold"],
            }
            tables.append(pd.DataFrame(run["history"]).assign(**keys))
    if not tables:
        return pd.DataFrame()
    table = pd.concat(tables, ignore_index=True).dropna(axis="columns", how="all")
    first = ["method", "backbone", "manipulation", "compression", "seed", "fold"]
    return table[[*first, *(column for column in table.columns if column not in first)]]


def training(table: pd.DataFrame) -> list[Figure]:
    """One figure a method: each loss term and validation measure over steps, a line a run."""
    figures = []
    for method, backbone in sorted(set(zip(table["method"], table["backbone"], strict=True)), key=_teacher_first):
        mine = _of(table, method, backbone)
        columns = [c for c in mine.columns if c.startswith(CURVES)]
        label = Model(method, backbone).label
        hint = (
            "One line a run (fold and seed), one colour a task; the terms carry their weights and sum up to train_loss."
        )
        figures.append(_panels(mine, columns, f"training-{method}-{backbone}", f"Training of {label}", hint))
    return figures


def diagnostics(table: pd.DataFrame) -> list[Figure]:
    """What ADD's two distillations did: every measure that they log, over steps."""
    figures = []
    for method, backbone in sorted(set(zip(table["method"], table["backbone"], strict=True))):
        mine = _of(table, method, backbone)
        columns = measures(mine)
        if method == ADD and columns:
            hint = (
                "Where the largest frequency weight w stays near 1, L_FR is nearly the mean squared error of the "
                "features; where all hinges stay active, the negatives lie within the margin and most of the "
                "contrastive term is a constant."
            )
            name = f"diagnostics-{backbone}"
            figures.append(_panels(mine, columns, name, f"Inside ADD on {backbone}", hint))
    return figures


def final_measures(table: pd.DataFrame) -> list[Table]:
    """The last value of every measure of ADD and its ablations, mean over folds and seeds; also stage by stage."""
    own = table[table["method"].isin([ADD, *ABLATIONS])].dropna(axis="columns", how="all")
    keys = ["method", "backbone", "manipulation", "compression"]
    last = own.sort_values("step").groupby([*keys, "seed", "fold"], sort=False).last().groupby(keys, sort=False)
    ends = last.mean(numeric_only=True).reset_index()
    hint = "Means over folds and seeds of the last logged steps"
    title = "ADD's measures at the end of training"
    tables = [_plain("measures", title, f"{hint}.", ends[[*keys, *measures(ends)]], 4)]
    by_stage = ends.melt(keys, [c for c in ends.columns if STAGE in c], "name").dropna()
    if len(by_stage):
        by_stage[["measure", "stage"]] = by_stage["name"].str.split(STAGE, expand=True)
        by_stage["stage"] = "stage " + by_stage["stage"]
        stages = by_stage.pivot(index=[*keys, "measure"], columns="stage", values="value").reset_index()
        title = "The same, stage by stage"
        tables.append(_plain("measures_by_stage", title, f"{hint}, before the stages' weights.", stages, 5))
    return tables


def _plain(name: str, title: str, hint: str, values: pd.DataFrame, words: int) -> Table:
    rows = [
        [Entry(str(v) if i < words else NOTHING if v != v else f"{v:.3g}") for i, v in enumerate(line)]
        for line in values.itertuples(index=False)
    ]
    return Table(
        name,
        title,
        hint,
        [c.replace("_", " ") for c in values.columns],
        rows,
        values,
        left=words,
        folded=len(rows) > 12,
    )


def measures(table: pd.DataFrame) -> list[str]:
    """The columns that are neither the clock, nor a loss or validation curve, nor a key, nor of a single stage."""
    keys = ("method", "backbone", "manipulation", "compression", "seed", "fold", *CLOCK)
    return [c for c in table.columns if c not in keys and not c.startswith(CURVES) and STAGE not in c]


def _of(table: pd.DataFrame, method: str, backbone: str) -> pd.DataFrame:
    mine = table[(table["method"] == method) & (table["backbone"] == backbone)]
    return mine.dropna(axis="columns", how="all")


def _teacher_first(key: tuple[str, str]) -> tuple[bool, str, str]:
    return key[0] != TEACHER, *key


def _panels(table: pd.DataFrame, columns: Sequence[str], name: str, title: str, hint: str) -> Figure:
    wide = min(len(columns), 3)
    rows = -(-len(columns) // wide)
    drawing, axes = styled(rows, wide, 3.3 * wide, 2.5 * rows + 0.4)
    tasks = sorted(set(zip(table["manipulation"], table["compression"], strict=True)))
    with mpl.rc_context(STYLE):
        for column, ax in zip(columns, axes.flat, strict=False):
            for number, (manipulation, compression) in enumerate(tasks):
                task = table[(table["manipulation"] == manipulation) & (table["compression"] == compression)]
                for _, run in task.groupby(["seed", "fold"]):
                    known = run.dropna(subset=[column])
                    dots = "o" if len(known) < 2 else None
                    colour = COLOURS[number % len(COLOURS)]
                    ax.plot(known["step"], known[column], marker=dots, color=colour, linewidth=1.1, alpha=0.75)
                ax.plot([], [], color=COLOURS[number % len(COLOURS)], label=f"{manipulation} {compression}")
            values = table[column].dropna()
            if len(values) and values.min() > 0 and values.max() > 30 * values.min():
                ax.set_yscale("log")
            ax.set_title(column, loc="left", fontsize=10)
            ax.set_xlabel("step")
        hide_from(axes, len(columns))
        legend_below(drawing, axes, 3)
    return Figure(name, title, hint, drawing)
