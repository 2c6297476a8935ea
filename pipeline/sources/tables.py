"""What a user's tables say, made safe: names, columns."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from pipeline.work.errors import UserError


def read_table(path: Path, param: str, columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV of the user's with these columns, as text without blanks around; optional ones are empty where absent.

    Raises: UserError where it cannot be read, a column is missing or a file is listed twice.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{param}: {path} cannot be read as CSV: {' '.join(str(error).split())}") from None
    if missing := [column for column in columns if column not in table]:
        raise UserError(f"{param}: {path} lacks the column {missing[0]}; it needs {','.join(columns)}")
    table = table.reindex(columns=[*columns, *optional], fill_value="").apply(lambda column: column.str.strip())
    if twice := sorted(set(table["file"][table["file"].duplicated()])):
        raise UserError(f"{param}: {path} lists {twice[0]} twice")
    return table


def unique_names(texts: Iterable[str]) -> list[str]:
    """A name of [A-Za-z0-9_-] for each text, in order; those that would be the same get a number."""
    names: list[str] = []
    taken: set[str] = set()
    for text in texts:
        base = name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:100] or "unnamed"
        number = 1
        while name.lower() in taken:  # some file systems do not tell cases apart
            number += 1
            name = f"{base}-{number}"
        taken.add(name.lower())
        names.append(name)
    return names
