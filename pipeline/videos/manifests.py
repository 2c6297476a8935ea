"""The tables that go with a folder of videos: manifest.csv (what is in it) and rejected.csv (what is not, and why)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.work.errors import UserError
from pipeline.work.files import whole

if TYPE_CHECKING:
    import pandas as pd  # loaded where it is used: workers that only encode start half a second earlier

MANIFEST = [
    "video", "person", "bucket", "label", "target", "donor", "frames", "fps", "width", "height", "parameters", "source",
    "licence",
]  # fmt: skip
REJECTED = ["set", "video", "frame", "stage", "cause"]


def read_manifest(folder: Path) -> pd.DataFrame:
    """One row a video of the set, sorted by video; texts are never NaN. Raises: UserError where it is not there."""
    table = _read(folder / "manifest.csv", MANIFEST)
    types = {"label": int, "frames": int, "fps": float, "width": int, "height": int}
    try:
        for text in filter(None, table["parameters"]):
            json.loads(text)
        return table.astype(types).sort_values("video", ignore_index=True)
    except ValueError as error:
        raise _unreadable(folder / "manifest.csv", error) from None


def write_manifest(folder: Path, rows: Iterable[dict[str, object]]) -> None:
    """Write manifest.csv, sorted by video. Raises: ValueError for a column too many or too few."""
    _write(folder / "manifest.csv", rows, MANIFEST, ["video"])


def read_rejected(folder: Path) -> pd.DataFrame:
    """Rows of rejected.csv as text; `frame` is empty where the whole video is rejected."""
    return _read(folder / "rejected.csv", REJECTED)


def write_rejected(folder: Path, rows: Iterable[dict[str, object]]) -> None:
    """Write rejected.csv, header included when there is nothing to list."""
    _write(folder / "rejected.csv", rows, REJECTED, ["set", "video", "frame"])


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    try:
        # As it is written: else a lone \r in a text, as in what ffmpeg says, would end a row.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, lineterminator="\n")
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro` to make it") from None
    except ValueError as error:
        raise _unreadable(path, error) from None
    if missing := [column for column in columns if column not in table]:
        raise _unreadable(path, f"the columns {missing} are missing")
    return table[columns]


def _unreadable(path: Path, reason: object) -> UserError:
    words = " ".join(str(reason).split())
    return UserError(f"{path}: not a readable table ({words}); delete its folder and run `dvc repro` to make it again")


def _write(path: Path, rows: Iterable[dict[str, object]], columns: list[str], order: list[str]) -> None:
    import pandas as pd

    rows = list(rows)
    for row in rows:
        if set(row) != set(columns):
            raise ValueError(f"{path}: columns {sorted(row)}, expected {sorted(columns)}")
    table = pd.DataFrame(rows, columns=columns).sort_values(order, ignore_index=True)
    with whole(path) as part:
        table.to_csv(part, index=False, lineterminator="\n")
