"""The table of what tells the classes apart without a look at the face."""

from collections.abc import Sequence

import pandas as pd

from pipeline.reporting.page.page import Note
from pipeline.reporting.shortcuts import CONTAINER, SWAPS
from pipeline.reporting.tables.table import Entry, Table, decimal

TOLD = 0.01  # p from which on it is said


def blocks(found: pd.DataFrame, qualities: Sequence[str]) -> list[Table | Note]:
    """What `shortcuts.measure` found, as a table and in words; nothing where there was nothing to learn from."""
    return [table(found, qualities), Note(said(found))] if len(found) else []


def table(found: pd.DataFrame, qualities: Sequence[str]) -> Table:
    rows = []
    for (name, features), block in found.groupby(["manipulation", "features"], sort=False):
        at = block.set_index("quality")
        rows.append([Entry(str(name)), Entry(str(features))])
        for quality in qualities:
            told = at.loc[quality, "p"] <= TOLD
            rows[-1] += [Entry(decimal(at.loc[quality, "auc"])), Entry(decimal(at.loc[quality, "pairs_right"]), told)]
    return Table(
        "shortcuts",
        "Told apart without a look at the face",
        "AUC of a linear classifier that learns one kind of feature from all people but one and is tested on that one; "
        "in pairs: the share of fakes that it scores above their own targets, which no detector has beside them. Both "
        f"are 0.5 by chance; bold: more pairs than in 99 % of {SWAPS} random swaps of real and fake.",
        ["manipulation", "features", *["AUC", "in pairs"] * len(qualities)],
        rows,
        found,
        groups=[("", 2), *((quality, 2) for quality in qualities)],
        left=2,
    )


def said(found: pd.DataFrame) -> str:
    others = found[found["features"] != CONTAINER]
    alike = others.groupby("features", sort=False)[["auc", "pairs_right"]].agg(lambda values: (values == 0.5).all())
    same = list(alike.index[alike.all(axis=1)])
    words = [f"The same in every pair: {'; '.join(same)}."] if same else []
    words.append(f"Over people the highest AUC of what is not the container is {others['auc'].max():.3f}.")
    beyond = others[others["p"] <= TOLD]
    if len(beyond):
        rows = beyond[["manipulation", "quality", "features"]].itertuples(index=False)
        words.append(
            f"Beyond chance in pairs: {'; '.join(' '.join(row) for row in rows)}. A forged region is smoother than the "
            "face that it covers and takes fewer bits: that is a trace of the forgery."
        )
    words.append(
        "The container of a forged file says in words that it is synthetic, on purpose; crops carry nothing of it."
    )
    return " ".join(words)
