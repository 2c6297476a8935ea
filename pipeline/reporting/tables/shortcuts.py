"""The table of what tells the classes apart without a look at the face."""

from collections.abc import Sequence

import pandas as pd

from pipeline.reporting.page.page import Note
from pipeline.reporting.shortcuts import ALL, CONTAINER, SWAPS
from pipeline.reporting.tables.table import Entry, Table, decimal

TOLD = 0.01  # p from which on it is said
BITS = ("file size", "bits of the pictures")
SMOOTHER = (
    "A forged region that is smoother than what it covers takes fewer bits: a trace of the forgery, not of how files "
    "were made."
)
LEAK = "A detector could learn that in place of the face: it is a fault of the data."


def blocks(found: pd.DataFrame, qualities: Sequence[str]) -> list[Table | Note]:
    """What `shortcuts.measure` found, as a table and in words; nothing where there was nothing to learn from."""
    return [table(found, qualities), Note(said(found))] if len(found) else []


def table(found: pd.DataFrame, qualities: Sequence[str]) -> Table:
    rows: dict[tuple[str, str], list[Entry]] = {}
    for row in found.to_dict("records"):  # by quality, in their order
        start = [Entry(row["manipulation"]), Entry(row["features"])]
        cells = [Entry(decimal(row["auc"])), Entry(decimal(row["pairs_right"]), row["p"] <= TOLD)]
        rows.setdefault((row["manipulation"], row["features"]), start).extend(cells)
    return Table(
        "shortcuts",
        "Told apart without a look at the face",
        "AUC of a linear classifier that learns one kind of feature from all people but one and is tested on that one; "
        "in pairs: the share of fakes that it scores above their own targets, which no detector has beside them. Both "
        f"are 0.5 by chance; bold: more pairs than in 99 % of {SWAPS} random swaps of real and fake.",
        ["manipulation", "features", *["AUC", "in pairs"] * len(qualities)],
        [*rows.values()],
        found,
        groups=[("", 2), *((quality, 2) for quality in qualities)],
        left=2,
    )


def said(found: pd.DataFrame) -> str:
    others = found[found["features"] != CONTAINER]
    differs = others[(others["auc"] != 0.5) | (others["pairs_right"] != 0.5)]
    same = [name for name in others["features"].unique() if name not in set(differs["features"])]
    words = [f"The same in every pair: {'; '.join(same)}."] if same else []
    words.append(f"Over people the highest AUC of what is not the container is {others['auc'].max():.3f}.")
    beyond = others[(others["p"] <= TOLD) & (others["features"] != ALL)]
    for which, meaning in ((beyond["features"].isin(BITS), SMOOTHER), (~beyond["features"].isin(BITS), LEAK)):
        rows = beyond.loc[which, ["manipulation", "quality", "features"]].itertuples(index=False)
        if listed := "; ".join(" ".join(row) for row in rows):
            words.append(f"Beyond chance in pairs: {listed}. {meaning}")
    words.append("A file that is forged here says in its container that it is synthetic; crops carry nothing of it.")
    return " ".join(words)
