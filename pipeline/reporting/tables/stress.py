"""The tables behind the stress stage's curves: where each model fails, every degradation, what is missing."""

from typing import Any

import pandas as pd

from pipeline.evaluation.statistics import MOST_LACKING
from pipeline.params.cells import RAW
from pipeline.params.degradations import Stress, chain
from pipeline.reporting.robustness import Stressed
from pipeline.reporting.tables.measures import between
from pipeline.reporting.tables.table import NOTHING, Entry, Table, decimal, percent


def failing(stressed: Stressed) -> Table:
    """AUC per frame of each trained model along H.264's rate factors, and where it falls below the level."""
    points = stressed.rate_factors
    rows, values = [], []
    for task in stressed.tasks:
        for line in stressed.lines:
            found = {point: stressed.value(line, task, point, "auc") for point in points}
            failing = stressed.fails(line, [task])
            text = NOTHING if failing is None else failing.text
            shown = [decimal(None if value is None else value[0]) for value in found.values()]
            rows.append([Entry(word) for word in (task, stressed.label(line), *shown, text)])
            record: dict[str, Any] = {"manipulation": task, "method": line.method, "backbone": line.backbone}
            record |= {"trained_on": line.compression}
            record |= {
                f"auc_{crf or RAW}": None if value is None else value[0]
                for crf, value in zip(points.values(), found.values(), strict=True)
            }
            values.append(record | {"fails_at": None if failing is None else float(failing.factors[0]),
                                    "fails_at_interval": text})  # fmt: skip
    level = f"{stressed.fails_below:g}"
    return Table(
        "stress",
        f"Where detection fails: AUC per frame at each rate factor, and from which on it stays below {level}",
        f"Linear between the points that were measured; brackets are 95 % intervals over {stressed.over}, < and > mean "
        "that the place lies outside of what was tested.",
        ["manipulation", "method", *(str(crf or RAW) for crf in points.values()), f"below {level} from"],
        rows,
        pd.DataFrame(values),
        groups=[("", 2), ("H.264 constant rate factor", len(points)), ("", 1)],
        left=2,
    )


def every(stressed: Stressed, settings: Stress) -> Table:
    """Every point: what it is, its bits a pixel, and each trained model's AUC and TPR with intervals."""
    names = dict.fromkeys(stressed.points["point"])
    rows, values = [], []
    for task in stressed.tasks:
        for point in names:
            bits = stressed.bits(task, point)
            row = [Entry(task), Entry(_said(point, settings)), Entry(NOTHING if bits is None else f"{bits:.4f}")]
            for line in stressed.lines:
                found = {name: stressed.value(line, task, point, name) for name in ("auc", "tpr_at_5")}
                auc = found["auc"]
                row += [Entry(NOTHING if auc is None else f"{decimal(auc[0])} {between(auc[1], auc[2])}")]
                record: dict[str, Any] = {"manipulation": task, "degradation": point, "bits_per_pixel": bits}
                record |= {"method": line.method, "backbone": line.backbone, "trained_on": line.compression}
                for measure, value in found.items():
                    ends = zip((measure, f"{measure}_low", f"{measure}_high"), value or (None,) * 3, strict=True)
                    record |= dict(ends)
                values.append(record)
            rows.append(row)
    return Table(
        "stress_all",
        "Every degradation",
        f"AUC per frame with 95 % intervals over {stressed.over}; the TPR at 5 % false alarms is in the CSV. Bits a "
        "pixel are those of the last encoding, mean over the task's reals and fakes.",
        ["manipulation", "degradation", "bits a pixel", *map(stressed.label, stressed.lines)],
        rows,
        pd.DataFrame(values),
        left=2,
        folded=len(rows) > 12,
    )


def left_out(stressed: Stressed) -> list[Table]:
    """Videos that could not be degraded, by cause; frames that not every point has; no table of what is complete."""
    found = [
        ("stress_left_out", "What could not be degraded, and why", "Counted, and missing from the curves.",
         stressed.left_out, 3),
        ("stress_lacking", "Frames that not every point has",
         "All points of a manipulation are measured on the frames that each of them has, which are the compared ones. "
         f"A point that lacks more than {percent(MOST_LACKING, digits=0)} % of the frames is left out itself: 0.",
         stressed.lacking, 2),
    ]  # fmt: skip
    return [
        Table(name, title, hint, [*table.columns], _printed(table), table, left=words, folded=len(table) > 12)
        for name, title, hint, table, words in found
        if len(table)
    ]


def _printed(table: pd.DataFrame) -> list[list[Entry]]:
    return [[Entry(str(value)) for value in line] for line in table.itertuples(index=False)]


def _said(point: str, settings: Stress) -> str:
    steps = [str(step) for step in chain(point, settings.chains)] if point in settings.chains else []
    return f"{point} ({', '.join(steps)})" if steps else "raw (not degraded)" if point == RAW else point
