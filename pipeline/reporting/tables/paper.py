"""Tables 1, 2 and 3 in the paper's layout: each cell ours, the paper's, the difference.

The paper's numbers (paper/*.csv) are percentages on FaceForensics++; they are shown for that data set's manipulations.
"""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

import pandas as pd

from pipeline.params.cells import ABLATIONS, ADD
from pipeline.reporting.results import Model, Results, Spread, Task, mean_of
from pipeline.reporting.tables.table import MISSING, NOTHING, Entry, Table, best, percent, signed

COMPRESSIONS = ("c23", "c40")
BACKBONE = "resnet50"  # of Table 1's distilled students and of Table 2
WITH_TEACHER = ("fitnet", "at", "nl", ADD)
OURS = ("ours", "paper", "diff.")
DIGITS = 2  # of a percentage, as the paper prints them: ours less the paper's is the difference as printed


def paper(number: int) -> pd.DataFrame:
    """The paper's table as published, one of 1, 2, 3."""
    with (files("pipeline.reporting.tables") / "paper_numbers" / f"table{number}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def manipulations() -> list[str]:
    """The paper's tasks, in its order."""
    return list(dict.fromkeys(paper(1)["manipulation"]))


def build(results: Results) -> list[Table]:
    """Those of the three tables that this run has cells for."""
    shared = [name for name in manipulations() if any(task.manipulation == name for task in results.tasks())]
    tables = [_table1(results, shared)] if shared else []
    tables += [_table2(results)] if any(cell.method in ABLATIONS for cell in results.cells) else []
    columns = [name for name in paper(3).columns if name in {model.backbone for model in results.models()}]
    return tables + ([_table3(results, shared, columns)] if shared and columns else [])


def _table1(results: Results, shared: Sequence[str]) -> Table:
    published = paper(1)
    published = published[published["manipulation"].isin(shared)]
    measures = [(c, name, column) for c in COMPRESSIONS for name, column in (("acc", "acc"), ("knn_r1", "r1"))]
    rows, values = [], []
    for manipulation, block in published.groupby("manipulation", sort=False):
        models = [Model(m, BACKBONE if m in WITH_TEACHER else m) for m in block["method"]]
        found = {
            (m, c, name): results.spread(m, Task(str(manipulation), c), "frame", name)
            for m in models
            for c, name, _ in measures
        }
        marks = {(c, n): best([mean_of(found[m, c, n]) for m in models], DIGITS + 2) for c, n, _ in measures}
        for i, (model, line) in enumerate(zip(models, block.to_dict("records"), strict=True)):
            row = [Entry(str(manipulation)), Entry(model.label), Entry(str(line["paper_row"]))]
            record: dict[str, Any] = {"manipulation": manipulation, "method": model.method}
            for c, name, column in measures:
                theirs = float(line[f"{c}_{column}"])
                top = theirs == block[f"{c}_{column}"].max()
                row += _triple(found[model, c, name], marks[c, name][i], theirs, top)
                record |= _record(f"{c}_{column}", found[model, c, name], theirs)
            rows.append(row)
            values.append(record)
    names = [f"{c} {'ACC' if n == 'acc' else 'R@1'} %" for c, n, _ in measures]
    return Table(
        "table1",
        "Table 1 of the paper: ACC and R@1 of every method",
        "Ours is the mean ± standard deviation over seeds, per frame; R@1 is the nearest neighbour's label match, "
        "which is how the authors' code computes it; the best of each task is bold on each side.",
        ["manipulation", "method", "in the paper", *(OURS * len(names))],
        rows,
        pd.DataFrame(values),
        groups=[("", 3), *((name, len(OURS)) for name in names)],
        left=3,
    )  # fmt: skip


def _table2(results: Results) -> Table:
    switches = {flags: method for method, flags in ABLATIONS.items()} | {(True, True, True): ADD}
    variants = sorted({(c.backbone, c.manipulation, c.compression) for c in results.cells if c.method in ABLATIONS})
    rows, values = [], []
    for backbone, manipulation, compression in variants:
        known = (backbone, manipulation, compression) == (BACKBONE, "NeuralTextures", "c40")
        lines = paper(2).to_dict("records")
        flags = [tuple(line[name] == "yes" for name in ("frequency", "multiview", "contrastive")) for line in lines]
        models = [Model(switches.get(flag, backbone), backbone) for flag in flags]
        task = Task(manipulation, compression)
        found = [results.spread(model, task, "frame", "acc") for model in models]
        marks = best([mean_of(spread) for spread in found], DIGITS + 2)
        for line, flag, model, spread, mark in zip(lines, flags, models, found, marks, strict=True):
            theirs = float(line["acc"]) if known else None
            words = [task.label, model.label, str(line["paper_row"]), *("yes" if on else "no" for on in flag)]
            rows.append(
                [*map(Entry, words), *_triple(spread, mark, theirs, theirs == max(line["acc"] for line in lines))]
            )
            keys = {
                "manipulation": manipulation,
                "compression": compression,
                "backbone": backbone,
                "method": model.method,
            }
            values.append(keys | _record("acc", spread, theirs))
    return Table(
        "table2",
        "Table 2 of the paper: ADD with parts switched off",
        "ACC per frame in percent; the paper has this table for NeuralTextures at c40 on a ResNet-50 alone.",
        ["task", "method", "in the paper", "frequency", "multi-view", "contrastive", *OURS],
        rows,
        pd.DataFrame(values),
        groups=[("", 6), ("ACC %", len(OURS))],
        left=6,
    )


def _table3(results: Results, shared: Sequence[str], columns: Sequence[str]) -> Table:
    rows, values = [], []
    published: dict[Any, Any] = paper(3).set_index(["manipulation", "compression"]).to_dict("index")
    for task in (Task(m, c) for m in shared for c in COMPRESSIONS):
        row = [Entry(task.manipulation), Entry(task.compression)]
        record: dict[str, Any] = {"manipulation": task.manipulation, "compression": task.compression}
        for backbone in columns:
            plain, add = (
                results.spread(m, task, "frame", "acc") for m in (Model(backbone, backbone), Model(ADD, backbone))
            )
            theirs = [float(published[task.manipulation, task.compression][f"{backbone}{end}"]) for end in ("", "_add")]
            marks = best([mean_of(plain), mean_of(add)], DIGITS + 2)
            for end, spread, mark, value in zip(("", "_add"), (plain, add), marks, theirs, strict=True):
                row += _triple(spread, mark, value, value == max(theirs))
                record |= _record(f"{backbone}{end}", spread, value)
        rows.append(row)
        values.append(record)
    return Table(
        "table3",
        "Table 3 of the paper: other backbones, plain and with ADD",
        "ACC per frame in percent, mean ± standard deviation over seeds; the better of each pair is bold on each side.",
        ["manipulation", "quality", *(OURS * (2 * len(columns)))],
        rows,
        pd.DataFrame(values),
        groups=[("", 2), *((label, len(OURS)) for name in columns for label in (name, f"{name} + ADD"))],
        left=2,
    )


def _triple(ours: Spread | None, mark: bool, theirs: float | None, top: bool) -> Iterator[Entry]:
    yield Entry(MISSING) if ours is None else Entry(percent(ours.mean, ours.deviation, DIGITS), mark)
    yield Entry(NOTHING if theirs is None else f"{theirs:.{DIGITS}f}", top and theirs is not None)
    yield Entry(NOTHING if ours is None or theirs is None else signed(100 * ours.mean - theirs, DIGITS))


def _record(name: str, ours: Spread | None, theirs: float | None) -> dict[str, float | None]:
    mine = None if ours is None else 100 * ours.mean
    difference = None if mine is None or theirs is None else mine - theirs
    deviation = None if ours is None else 100 * ours.deviation
    return {
        f"{name}_ours": mine,
        f"{name}_ours_sd": deviation,
        f"{name}_paper": theirs,
        f"{name}_difference": difference,
    }
