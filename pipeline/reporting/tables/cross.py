"""The matrix of models trained on one manipulation, or on several at once, and tested on another."""

from collections.abc import Sequence

import pandas as pd

from pipeline.reporting.crossing import Crossed
from pipeline.reporting.results import Results
from pipeline.reporting.tables.measures import between
from pipeline.reporting.tables.table import NOTHING, Entry, Table, decimal


def table(found: Sequence[Crossed], results: Results) -> Table:
    """A row a method and task that it was trained on, a column a manipulation that it was tested on."""
    columns = list(dict.fromkeys(one.tested_on for one in found))
    groups = list(dict.fromkeys((one.compression, one.model, one.trained_on) for one in found))
    by_place = {(one.compression, one.model, one.trained_on, one.tested_on): one for one in found}
    rows, values = [], []
    for compression, model, trained_on in sorted(groups, key=lambda one: one[0]):
        row = [Entry(compression), Entry(results.label(model)), Entry(trained_on)]
        for tested_on in columns:
            one = by_place.get((compression, model, trained_on, tested_on))
            if one is None:
                row.append(Entry(NOTHING))
                continue
            row.append(Entry(f"{decimal(one.auc)} {between(one.low, one.high)}", one.own))
            values.append(
                {"compression": compression, "method": model.method, "backbone": model.backbone}
                | {"trained_on": trained_on, "tested_on": tested_on, "frame_auc": one.auc}
                | {"low": one.low, "high": one.high, "interval_over": one.unit}
            )
        rows.append(row)
    return Table(
        "cross",
        "Trained on one manipulation, tested on another",
        "AUC per frame on the test people of each fold, fakes of the column against the same reals, trained and tested "
        f"at the same quality; 95 % intervals over {found[0].unit}. Bold: all of these fakes were trained on.",
        ["quality", "method", "trained on", *columns],
        rows,
        pd.DataFrame(values),
        groups=[("", 3), ("tested on", len(columns))],
        left=3,
    )
