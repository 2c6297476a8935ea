"""The table of what verdicts are worth: false alarms, misses, what stays undecided, and the calibration error."""

from collections.abc import Sequence

import pandas as pd

from pipeline.evaluation.calibration import error
from pipeline.params.sections import Verdict
from pipeline.reporting.tables.table import Entry, Table, decimal, percent
from pipeline.reporting.verdicts import Judged


def table(found: Sequence[Judged], settings: Verdict) -> Table:
    """What the thresholds let through, and the calibration error before and after."""
    rows, values = [], []
    for one in found:
        reals, fakes = (one.videos[one.videos["label"] == label] for label in (0, 1))
        alarms, misses = (int((part["verdict"] == name).sum()) for part, name in ((reals, "fake"), (fakes, "real")))
        open_ = float((one.videos["verdict"] == "undecided").mean())
        before, after = (round(error(one.videos, name), 6) for name in ("score", "probability"))
        words = [one.cell.manipulation, one.cell.compression, one.label]
        rows.append([Entry(text) for text in (*words, f"{alarms} of {len(reals)}", f"{misses} of {len(fakes)}",
                     percent(alarms / max(len(reals), 1)), percent(misses / max(len(fakes), 1)), percent(open_),
                     decimal(before), decimal(after))])  # fmt: skip
        values.append(
            {"manipulation": one.cell.manipulation, "quality": one.cell.compression, "method": one.cell.method}
            | {"backbone": one.cell.backbone, "seed": one.cell.seed, "reals": len(reals), "fakes": len(fakes)}
            | {
                "false_alarms": alarms,
                "misses": misses,
                "undecided": open_,
                "ece_before": before,
                "ece_after": after,
            }
            | {"own_validation": one.own}
        )
    own = any(one.own for one in found)
    fitted = "validation people" if own else "the other folds' test people, each scored by a model that never saw them"
    return Table(
        "verdicts",
        "What a verdict is worth",
        f"Per video: calibration and thresholds for at most {percent(settings.false_alarms)} % false alarms (real "
        f"videos called fake) and {percent(settings.misses)} % misses (fake videos called real), fitted on {fitted}, "
        "and here judged on test people, from whom nothing was fitted; what lies between the thresholds is "
        "undecided. ECE: the expected calibration error of the video's score as a probability, before and after, reals "
        "and fakes weighing alike; it is coarse on few videos.",
        ["manipulation", "quality", "method", "false alarms", "misses", "false alarms %", "misses %", "undecided %",
         "ECE before", "ECE after"],
        rows,
        pd.DataFrame(values),
        left=3,
        folded=len(rows) > 30,
    )  # fmt: skip
