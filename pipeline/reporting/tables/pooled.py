"""How one detector of several manipulations does on each, beside those that were trained on one."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.params.cells import TEACHER, Cell
from pipeline.reporting.results import Model, Results
from pipeline.reporting.tables.results import between
from pipeline.reporting.tables.table import NOTHING, Entry, Table, decimal, percent

ALL = "all of them"


def table(pooled: Results, single: Results) -> Table:
    """A row for each pooled detector, quality and manipulation. single: the cells of one manipulation each."""
    rows, values = [], []
    for cell, summary in pooled.summaries.items():
        for quality, found in summary["results"].items():
            parts: dict[str, Mapping[str, Any]] = {ALL: {level: _whole(found, level) for level in ("frame", "video")}}
            for name, part in (parts | found["manipulations"]).items():
                alone = _alone(single, cell, name, quality)
                label = pooled.label(Model(cell.method, cell.backbone))
                words = [cell.manipulation, quality, label, str(cell.seed), name]
                frame, video = part["frame"], part["video"]
                numbers = [percent(frame["acc"]), decimal(frame["auc"]), between(*_ends(frame))]
                numbers += [decimal(video["auc"]), between(*_ends(video))]
                numbers.append(NOTHING if alone is None else decimal(alone))
                rows.append([Entry(text) for text in (*words, *numbers)])
                values.append(
                    {"task": cell.manipulation, "quality": quality, "method": cell.method, "backbone": cell.backbone}
                    | {"seed": cell.seed, "tested_on": name}
                    | {f"{level}_{key}": part[level][key] for level in ("frame", "video") for key in ("acc", "auc")}
                    | {"frame_auc_alone": alone}
                )
    return Table(
        "pooled",
        "One detector for several manipulations",
        "Trained on the originals against the fakes of every manipulation, classes and manipulations alike in each "
        "batch; tested on people it never saw, on all fakes and on those of each manipulation. Last column: the AUC "
        "per frame of the same method trained on that manipulation alone.",
        ["task", "quality", "method", "seed", "fakes", "ACC %", "AUC", "95 %", "AUC", "95 %", "trained alone"],
        rows,
        pd.DataFrame(values),
        groups=[("", 5), ("per frame", 3), ("per video", 2), ("", 1)],
        left=5,
    )


def _whole(found: Mapping[str, Any], level: str) -> dict[str, Any]:
    return dict(found[level]) | {"interval": found["interval"][level]}


def _ends(measured: Mapping[str, Any]) -> tuple[float, float]:
    low, high = measured["interval"].get("auc") or (None, None)
    return (float("nan"), float("nan")) if low is None or high is None else (low, high)


def _alone(single: Results, cell: Cell, manipulation: str, quality: str) -> float | None:
    if cell.method == TEACHER:
        return single.teacher(cell.backbone, manipulation, quality, "frame", "auc")
    twin = Cell(cell.method, cell.backbone, manipulation, cell.compression, cell.seed)
    found = single.summaries.get(twin, {}).get("results", {}).get(quality)
    return None if found is None else float(found["frame"]["auc"])
