"""The table of origins: which videos are as published, which were encoded here, and their codec and chroma format."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from pipeline.params.cells import RAW
from pipeline.reporting.page.page import Note
from pipeline.reporting.tables.table import Entry, Table
from pipeline.work.errors import UserError

KEYS = ["set", "quality", "origin", "codec", "pix_fmt"]
HERE = ("encoded", "h264", "yuv420p")  # every lossless clip leaves through videos.writing, as this


def read(raw: Path, compressed: Path, sets: Sequence[str], compressions: Sequence[str]) -> pd.DataFrame:
    """The videos of each set, quality, origin (published | encoded), codec and chroma format, counted.

    raw: <set>/manifest.csv, whose `parameters` tell codec and format of what was published; compressed:
    <set>/<quality>/encoding.csv. Raises UserError where one cannot be read.
    """
    rows = [(name, RAW, *found) for name in sets for found in _raw(raw / name / "manifest.csv")]
    for name in sets:
        for quality in compressions:
            table = _csv(compressed / name / quality / "encoding.csv", KEYS[2:])
            rows += [(name, quality, *found) for found in table.itertuples(index=False)]
    order = {RAW: 0} | {quality: place for place, quality in enumerate(compressions, 1)}
    counted = pd.DataFrame(rows, columns=KEYS).groupby(KEYS, sort=True, as_index=False).size()
    counted = counted.rename(columns={"size": "videos"})
    places = pd.DataFrame({"set": counted["set"].map(list(sets).index), "quality": counted["quality"].map(order)})
    return counted.loc[places.sort_values(["set", "quality"], kind="stable").index].reset_index(drop=True)


def every(raw: Path, compressed: Path | None) -> pd.DataFrame:
    """A row (video, frames, fps, width, height, encoder) a video of a set, as text; encoder: its origin, codec, format.

    raw: the set's folder; compressed: that of the quality in question, None for raw itself. Raises UserError.
    """
    columns = ["video", "frames", "fps", "width", "height"]
    if compressed is None:
        table = _csv(raw / "manifest.csv", columns)
        return table.assign(encoder=[" ".join(found) for found in _raw(raw / "manifest.csv")])
    table = _csv(compressed / "encoding.csv", [*columns, *KEYS[2:]])
    return table[columns].assign(encoder=table[KEYS[2:]].agg(" ".join, axis=1))


def block(counted: pd.DataFrame) -> Table | Note:
    """A table, or a line where all was encoded here alike."""
    kinds = set(counted[KEYS[2:]].itertuples(index=False, name=None))
    if len(kinds) == 1 and HERE[0] in next(iter(kinds)):
        qualities = ", ".join(quality for quality in dict.fromkeys(counted["quality"]) if quality != RAW)
        _, codec, pix_fmt = kinds.pop()
        return Note(f"Every video was encoded here, as {codec}, {pix_fmt}: raw without loss, {qualities} from that.")
    return Table(
        "encodings",
        "Published, or encoded here",
        "Published videos are taken as they are, after a look into each. Their chroma format may differ from that of "
        "videos encoded here; crops are RGB whatever it is.",
        ["set", "quality", "origin", "codec", "chroma format", "videos"],
        [[Entry(str(value)) for value in row] for row in counted.itertuples(index=False)],
        counted,
        left=5,
    )


def _raw(manifest: Path) -> Iterator[tuple[str, ...]]:
    for text in _csv(manifest, ["parameters"])["parameters"]:
        about = json.loads(text)
        yield ("published", about["codec"], about["pix_fmt"]) if "codec" in about else HERE


def _csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)[[*columns]]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run `dvc repro`") from None
