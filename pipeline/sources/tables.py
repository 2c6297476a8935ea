"""A user's tables, and the files that they name, on whatever system they were written."""

import codecs
import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.sources.names import composed, readable
from pipeline.work.errors import UserError

SIGNS = ",;\t"  # between cells; spreadsheets write semicolons where a comma stands in numbers
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # what spreadsheets call Unicode text


def read_table(path: Path, param: str, columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV of the user's with these columns, as text without blanks around; optional ones are empty where absent.

    Bytes that are no UTF-8 are kept, see `names.readable`.
    Raises: UserError where it cannot be read, a column is missing or a file is listed twice.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-16") if data.startswith(UTF16) else data.decode("utf-8-sig", "surrogateescape")
        sign = max(SIGNS, key=text.lstrip().partition("\n")[0].count)
        lines = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, delimiter=sign)
        head = [cell.strip() for cell in next((line for line in lines if line), [])]
        rows = [dict(zip(head, line, strict=False)) for line in lines if line]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{param}: {path} cannot be read as CSV: {' '.join(str(error).split())}") from None
    if missing := [column for column in columns if column not in head]:
        raise UserError(f"{param}: {path} lacks the column {missing[0]}; it needs {','.join(columns)}")
    cells = [[str(row.get(column, "")).strip() for column in (*columns, *optional)] for row in rows]
    table = pd.DataFrame(cells, columns=[*columns, *optional], dtype=object)  # as text it would have to be UTF-8
    if twice := sorted(set(table["file"][table["file"].duplicated()])):
        raise UserError(f"{param}: {path} lists {readable(twice[0])} twice")
    return table


class Files:
    """Finds the file that a table names. The name may have Windows' backslashes, another encoding, or accents as signs
    of their own (macOS writes é as two)."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = list(files)
        self._exact = set(self._files)
        self._alike: dict[str, list[str]] = {}
        for file in self._files:
            self._alike.setdefault(_key(file), []).append(file)

    def find(self, text: str) -> str | None:
        """The one file that is written so, or else the only one that could be meant; None where there is none."""
        if text in self._exact:
            return text
        alike = self._alike.get(_key(text), [])
        if len(alike) > 1:
            alike = [file for file in alike if readable(file) == readable(text)]
        return alike[0] if len(alike) == 1 else None


class Places:
    """Finds on the disk what a table names, as seen from the table's folder; each folder is listed once."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._listed = folder, dict[Path, Files]()

    def find(self, text: str) -> Path:
        """The path as it is on the disk; as it is written where there is none."""
        if (self._folder / text).exists():
            return self._folder / text
        place = self._folder
        for part in PurePosixPath(text.replace("\\", "/")).parts:
            place = place / (part if (place / part).exists() else self._inside(place).find(part) or part)
        return place

    def _inside(self, folder: Path) -> Files:
        if folder not in self._listed:
            self._listed[folder] = Files(path.name for path in folder.iterdir()) if folder.is_dir() else Files([])
        return self._listed[folder]


def _key(text: str) -> str:
    return composed(readable(PurePosixPath(text.replace("\\", "/")).as_posix())).strip()
