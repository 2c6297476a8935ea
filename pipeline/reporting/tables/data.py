"""The tables of the data: counts, rejects by cause, people, credits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.params.cells import ADD
from pipeline.reporting.results import Results, spread
from pipeline.reporting.tables.table import NOTHING, Entry, Table, decimal, signed
from pipeline.work.errors import UserError
from pipeline.work.files import read_parquet

PEOPLE = 40  # more would make a table that nobody reads; the CSV holds all
CAUSES = 25


def read_rejected(folders: Sequence[Path]) -> pd.DataFrame:
    """The rejected.parquet of every folder of shards, one under the other.

    Raises: UserError naming the one that is missing or damaged.
    """
    tables = [read_parquet(folder / "rejected.parquet", ("set", "frame", "stage", "cause")) for folder in folders]
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def counts(index: pd.DataFrame, rejected: pd.DataFrame, sets: Sequence[str]) -> Table:
    """People, videos, frames that were cropped, and what was rejected, by set and bucket of people."""
    rows, values = [], []
    for name in sets:
        mine = index[index["set"] == name]
        buckets = [(str(bucket), block) for bucket, block in mine.groupby("bucket", sort=True)]
        for bucket, block in [*buckets, ("all", mine)]:
            numbers = [block["person"].nunique(), block["video"].nunique(), len(block)]
            rows.append([Entry(name), Entry(bucket), *(Entry(f"{number:,}") for number in numbers)])
            record = dict(zip(("people", "videos", "frames"), numbers, strict=True))
            if bucket == "all":
                whole = rejected[rejected["set"] == name]["frame"].isna()
                lost = {"rejected_videos": int(whole.sum()), "rejected_frames": int((~whole).sum())}
                rows[-1] += [Entry(f"{number:,}") for number in lost.values()]
                record |= lost
            else:
                rows[-1] += [Entry(""), Entry("")]
            values.append({"set": name, "bucket": bucket} | record)
    return Table(
        "counts",
        "People, videos and frames",
        "A bucket is a group of people that is never divided: each fold tests on one bucket, so no tested person was "
        "ever trained on.",
        ["set", "bucket", "people", "videos", "frames", "rejected videos", "rejected frames"],
        rows,
        pd.DataFrame(values),
        left=2,
    )


def rejects(rejected: pd.DataFrame) -> Table:
    """What was left out, by set, stage and cause."""
    found = rejected.assign(videos=rejected["frame"].isna(), frames=rejected["frame"].notna())
    table = found.groupby(["set", "stage", "cause"], as_index=False)[["videos", "frames"]].sum()
    table = table.sort_values(["videos", "frames", "set", "stage", "cause"], ascending=[False, False, True, True, True])
    rows = [[Entry(str(value)) for value in line] for line in table.head(CAUSES).itertuples(index=False)]
    rest = len(table) - len(rows)
    return Table(
        "rejects",
        "What was left out, and why",
        "Bad data are counted, never skipped in silence"
        + (f"; {rest} rarer causes are in the CSV." if rest > 0 else ".")
        + ("" if len(table) else " Here nothing was left out."),
        ["set", "stage", "cause", "videos", "frames"],
        rows,
        table,
        left=3,
    )


def people(results: Results) -> Table:
    """AUC per frame of each tested person, over seeds: gains often come from few people."""
    models = results.models()
    add = next((model for model in models if model.method == ADD), None)
    baseline = next((m for m in models if add and m.is_baseline and m.backbone == add.backbone), None)
    values: list[dict[str, Any]] = []
    for task in results.tasks():
        cells = {model: results.of(model, task) for model in models}
        tested = {model: [results.summaries[c]["results"].get(task.compression, {}).get("persons", {}) for c in found]
                  for model, found in cells.items()}  # fmt: skip
        for person in sorted({name for runs in tested.values() for run in runs for name in run}):
            size = next(run[person] for runs in tested.values() for run in runs if person in run)
            record = {"manipulation": task.manipulation, "compression": task.compression, "person": person}
            record |= {"videos": size["videos"], "frames": size["frames"]}
            found = {m: spread(run.get(person, {}).get("auc") for run in runs) for m, runs in tested.items()}
            record |= {results.label(model): None if s is None else s.mean for model, s in found.items()}
            if add and baseline:
                first, second = found[add], found[baseline]
                record["difference"] = None if first is None or second is None else first.mean - second.mean
            values.append(record)
    labels = [results.label(model) for model in models]
    table = pd.DataFrame(values, columns=None if values else ["manipulation", "compression", "person"])
    gain = ["difference"] if add and baseline else []
    hint = "AUC per frame of each tested person, mean over seeds"
    if gain and values:
        won = (table["difference"] > 0).sum(), table["difference"].notna().sum()
        hint += f"; ADD is above the baseline for {won[0]} of {won[1]} (person, task) pairs"
    rows = []
    for record in values if table["person"].nunique() <= PEOPLE else []:
        words = [Entry(str(record[key])) for key in ("manipulation", "compression", "person", "videos", "frames")]
        rows.append(
            [*words, *(Entry(decimal(record[label])) for label in labels), *(Entry(signed(record[g])) for g in gain)]
        )
    if not rows and values:
        hint += f"; {table['person'].nunique()} people are too many to print, tables/people.csv has them"
    header = ["manipulation", "quality", "person", "videos", "frames", *labels]
    header += [f"{ADD} − baseline"] if gain else []
    return Table("people", "Person by person", f"{hint}.", header, rows, table, left=3, folded=len(rows) > 30)


def credits(manifest: Path) -> Table:
    """Where the real videos come from and under which licences.

    Raises UserError where the manifest is missing or lacks its columns.
    """
    try:
        videos = pd.read_csv(manifest, dtype=str, keep_default_na=False)
        table = videos.groupby(["source", "licence"], as_index=False).agg(
            people=("person", lambda names: ", ".join(sorted(set(names)))), videos=("video", "nunique")
        )
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{manifest}: cannot be read ({error}); run the download stage again") from None
    names = [[*line] for line in table.itertuples(index=False)]
    for line in names:
        known = str(line[2]).split(", ")
        line[2] = str(line[2]) if len(known) <= PEOPLE else f"{len(known)} people"
    rows = [[Entry(str(value) or NOTHING) for value in line] for line in names]
    return Table(
        "credits",
        "Credits and licences of the real videos",
        "The videos are fetched at run time and are no part of this repository; their owners' terms hold for every "
        "crop shown on this page.",
        ["source", "licence", "people", "videos"],
        rows,
        table,
        left=3,
    )
