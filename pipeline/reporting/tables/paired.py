"""The table of the paired tests: ADD against each other method over the same videos."""

import pandas as pd

from pipeline.reporting.comparison import Comparisons
from pipeline.reporting.results import Results
from pipeline.reporting.tables.measures import NAMES, between, probability
from pipeline.reporting.tables.table import NOTHING, Entry, Table, decimal, percent, signed


def table(results: Results, comparisons: Comparisons, margin: float) -> Table:
    """ADD against each other method, paired over the same videos. margin: of AUC, within which they are equal."""
    rows, values = [], []
    few = results.few_people
    columns = ["95 % over videos", "95 % over people"]
    for c in comparisons.against_add:
        digits, scale = (3, 1.0) if c.measure == "auc" else (1, 100.0)
        first, second = (decimal(v) if c.measure == "auc" else percent(v) for v in c.values)
        words = [c.task.manipulation, c.task.compression, results.label(c.other), NAMES[c.measure], first, second]
        ends = [between(found.low, found.high, digits, scale) for found in (c.videos, c.people)]
        statement = c.statement(few, margin)
        numbers = [
            signed(c.videos.value, digits, scale),
            *(ends[::-1] if few else ends),
            probability(c.videos.p),
            probability(c.corrected),
            NOTHING if c.videos.detectable != c.videos.detectable else f"{scale * c.videos.detectable:.{digits}f}",
            statement or NOTHING,
        ]
        rows.append([Entry(text) for text in (*words, *numbers)])
        values.append(
            {"manipulation": c.task.manipulation, "compression": c.task.compression, "add_backbone": c.add.backbone}
            | {"other": c.other.method, "other_backbone": c.other.backbone, "measure": c.measure}
            | {"add_value": c.values[0], "other_value": c.values[1], "difference": c.videos.value}
            | {"low": c.videos.low, "high": c.videos.high, "people_low": c.people.low, "people_high": c.people.high}
            | {"p": c.videos.p, "p_holm": c.corrected, "detectable": c.videos.detectable, "statement": statement}
        )
    return Table(
        "tests",
        "ADD against each other method, paired over the same videos",
        "Differences are ADD minus the other method; an interval that holds zero, or a corrected p above 0.05, means "
        "that the two cannot be told apart here. Detectable is the difference that this test set would have shown "
        "four times in five (2.8 standard errors). Two methods differ by less than a margin, here an AUC of "
        f"{margin:g}, where the whole interval over {'people' if few else 'videos'} lies within it: that is shown, as "
        "a difference is, and not the same as a difference that was not found. Above own target: how often a fake's "
        "frame scores above the same frame of its own target, ties one half.",
        ["manipulation", "quality", "ADD against", "measure", "ADD", "other", "difference",
         *(columns[::-1] if few else columns), "p", "p (Holm)", "detectable", "what that shows"],
        rows,
        pd.DataFrame(values),
        left=4,
        folded=len(rows) > 60,
    )  # fmt: skip
