"""How one detector of several manipulations does on each, beside those that were trained on one."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.params.cells import TEACHER, Cell
from pipeline.reporting.results import Model, Results
from pipeline.reporting.tables.measures import between, edges, kinds, over
from pipeline.reporting.tables.table import NOTHING, Entry, Table, decimal, percent

ALL = "all of them"
LEVELS = ("frame", "video")
NONE = (None, None)


def table(pooled: Results, single: Results) -> Table:
    """A row for each pooled detector, quality and manipulation. single: the cells of one manipulation each."""
    rows, values = [], []
    intervals = kinds(pooled.few_people)
    for cell, summary in pooled.summaries.items():
        for quality, found in summary["results"].items():
            parts: dict[str, Mapping[str, Any]] = {ALL: {level: _whole(found, level) for level in LEVELS}}
            for name, part in (parts | found["manipulations"]).items():
                alone = _alone(single, cell, name, quality)
                label = pooled.label(Model(cell.method, cell.backbone))
                words = [cell.manipulation, quality, label, str(cell.seed), name]
                ends = {(level, kind): part[level][kind].get("auc", NONE) for level in LEVELS for kind in intervals}
                numbers = [percent(part["frame"]["acc"])]
                for level in LEVELS:
                    numbers += [decimal(part[level]["auc"]), *(between(*ends[level, kind]) for kind in intervals)]
                numbers.append(NOTHING if alone is None else decimal(alone))
                rows.append([Entry(text) for text in (*words, *numbers)])
                values.append(
                    {"task": cell.manipulation, "quality": quality, "method": cell.method, "backbone": cell.backbone}
                    | {"seed": cell.seed, "tested_on": name}
                    | {f"{level}_{key}": part[level][key] for level in LEVELS for key in ("acc", "auc")}
                    | {
                        f"{level}_{intervals[kind]}_{end}": value
                        for (level, kind), both in ends.items()
                        for end, value in zip(("low", "high"), both, strict=True)
                    }
                    | {"frame_auc_alone": alone}
                )
    return Table(
        "pooled",
        "One detector for several manipulations",
        "Trained on the originals against the fakes of every manipulation, classes and manipulations alike in each "
        "batch; tested on people it never saw, on all fakes and on those of each manipulation. Brackets are the 95 % "
        f"intervals {over(pooled.few_people)}. Last column: the AUC per frame of the same method trained on that "
        "manipulation alone.",
        ["task", "quality", "method", "seed", "fakes", "ACC %", *(["AUC", *edges(pooled.few_people)] * 2),
         "trained alone"],
        rows,
        pd.DataFrame(values),
        groups=[("", 5), ("per frame", 2 + len(intervals)), ("per video", 1 + len(intervals)), ("", 1)],
        left=5,
    )  # fmt: skip


def _whole(found: Mapping[str, Any], level: str) -> dict[str, Any]:
    return dict(found[level]) | {kind: found[kind].get(level, {}) for kind in ("interval", "interval_persons")}


def _alone(single: Results, cell: Cell, manipulation: str, quality: str) -> float | None:
    if cell.method == TEACHER:
        return single.teacher(cell.backbone, manipulation, quality, "frame", "auc")
    twin = Cell(cell.method, cell.backbone, manipulation, cell.compression, cell.seed)
    found = single.summaries.get(twin, {}).get("results", {}).get(quality)
    return None if found is None else float(found["frame"]["auc"])
