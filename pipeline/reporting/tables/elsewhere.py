"""The tables of data that no model saw: what the elsewhere stage measured there."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.evaluation.statistics import FEW_PEOPLE
from pipeline.params.cells import ADD, RAW
from pipeline.params.schema import Params
from pipeline.reporting.results import Model, Results
from pipeline.reporting.tables.measures import between, edges, form, kinds, over
from pipeline.reporting.tables.table import Entry, Table, best
from pipeline.work.errors import UserError

KEYS = ("tested_on", "manipulation", "quality", "method", "backbone", "compression", "models")
MAIN = (("frame", "acc"), ("frame", "balanced_acc"), ("frame", "auc"), ("video", "auc"))  # on all fakes together
Record = Mapping[str, Any]


def tables(cells: Path, results: Results, params: Params) -> list[Table]:
    """One table for each data set of params.elsewhere. Raises UserError where its measures cannot be read."""
    return [_table(_read(cells / f"elsewhere-{other.name}.json"), results, params) for other in params.elsewhere]


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run `dvc repro`") from None


def _table(summary: Record, results: Results, params: Params) -> Table:
    every = list(dict.fromkeys(one["tested_on"] for one in summary["results"]))  # all fakes first
    few = summary["counts"]["people"] < FEW_PEOPLE
    columns = [(every[0], *column) for column in MAIN] + [(single, "frame", "auc") for single in every[1:]]
    rows = []
    for block in _blocks(summary, params):
        values = [[found[tested][level][name] for found in block] for tested, level, name in columns]
        marks = [best(column, 3) for column in values]
        for place, found in enumerate(block):
            one = found[every[0]]
            label = results.label(Model(one["method"], one["backbone"]))
            row = [Entry(text) for text in (one["manipulation"], one["quality"], label, str(one["models"]))]
            for (tested, level, name), value, mark in zip(columns, values, marks, strict=True):
                row.append(Entry(form(name)(value[place]), mark[place]))
                if name == "auc" and tested == every[0]:
                    row += [Entry(between(*one[kind][level][name])) for kind in kinds(few)]
            rows.append(row)
    counts = summary["counts"]
    single = [("AUC per frame, by manipulation", len(every) - 1)] if every[1:] else []
    return Table(
        f"elsewhere_{summary['name']}",
        f"On data that no model saw: {summary['name']}",
        f"{counts['people']} people, {counts['reals']} real and {counts['fakes']} fake videos "
        f"({', '.join(summary['manipulations'])}), {counts['frames']:,} frames, all of them for testing: no model was "
        "trained or chosen on any. Means over the models of all folds and seeds, with the 95 % intervals of that mean "
        f"{over(few)}. ACC depends on a threshold that was not fitted here, AUC does not.",
        ["trained on", "tested at", "method", "models", "ACC %", "balanced ACC %", *(["AUC", *edges(few)] * 2),
         *every[1:]],
        rows,
        pd.DataFrame([_flat(one) for one in summary["results"]]),
        groups=[("", 4), ("per frame", 3 + len(kinds(few))), ("per video", 1 + len(kinds(few))), *single],
        left=3,
        folded=len(rows) > 30,
    )  # fmt: skip


def _blocks(summary: Record, params: Params) -> Iterator[list[dict[str, Record]]]:
    """Models that were trained on one task and tested at one quality, ADD last: what each scored, by manipulation."""
    for task in (*params.manipulations, *params.pooled.tasks):
        for quality in (RAW, *params.compressions):
            models: dict[tuple[bool, str, str], dict[str, Record]] = {}
            for one in summary["results"]:
                if (one["manipulation"], one["quality"]) == (task, quality):
                    key = (one["method"] == ADD, one["method"], one["backbone"])
                    models.setdefault(key, {})[one["tested_on"]] = one
            if models:
                yield [models[key] for key in sorted(models, key=lambda key: key[0])]


def _flat(one: Record) -> dict[str, Any]:
    measured = {f"{level}_{name}": value for level in ("frame", "video") for name, value in one[level].items()}
    bounds = {
        f"{level}_{name}{stem}_{end}": value
        for kind, stem in (("interval", ""), ("interval_persons", "_people"))
        for level, intervals in one[kind].items()
        for name, interval in intervals.items()
        for end, value in zip(("low", "high"), interval, strict=True)
    }
    return {key: one[key] for key in KEYS} | measured | bounds
