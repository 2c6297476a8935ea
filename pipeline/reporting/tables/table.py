"""One table, four forms: HTML (by the page's template), markdown, CSV, LaTeX (booktabs)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

TAG = re.compile(r"<(?=[A-Za-z/!?])")
MISSING = "missing"
NOTHING = "–"

_LATEX = {"\\": r"\textbackslash{}", "–": "--", "−": "$-$", "±": r"$\pm$", "…": r"\dots{}", "×": r"$\times$"}
_LATEX |= {char: f"\\{char}" for char in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "Δ": r"$\Delta$", "α": r"$\alpha$", "β": r"$\beta$"}


@dataclass(frozen=True)
class Entry:
    """A printed cell. `best` is bold in every form that can be."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """`rows` is what a reader sees, `values` the numbers behind it, unrounded.

    groups: an optional row above the header, (label, number of columns) each. left: how many leading columns are words.
    """

    name: str
    title: str
    hint: str
    header: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    values: pd.DataFrame
    groups: Sequence[tuple[str, int]] = ()
    left: int = 1
    folded: bool = False

    def write(self, folder: Path) -> None:
        """Leave <name>.csv, <name>.md and <name>.tex in the folder."""
        self.values.to_csv(folder / f"{self.name}.csv", index=False, lineterminator="\n")
        (folder / f"{self.name}.md").write_text(f"{self.markdown()}\n", encoding="utf-8")
        (folder / f"{self.name}.tex").write_text(f"{self.latex()}\n", encoding="utf-8")

    def markdown(self) -> str:
        names = list(self.header)
        if self.groups:  # markdown has one header row: the group's label goes before each of its columns
            labels = [label for label, span in self.groups for _ in range(span)]
            names = [f"{label} {name}".strip() for label, name in zip(labels, names, strict=True)]
        lines = [names, [":--" if i < self.left else "--:" for i in range(len(names))]]
        lines += [[f"**{e.text}**" if e.best else e.text for e in row] for row in self.rows]
        return "\n".join("| " + " | ".join(_marked_down(cell) for cell in line) + " |" for line in lines)

    def latex(self) -> str:
        """A tabular for a document that loads booktabs."""
        columns = "".join("l" if i < self.left else "r" for i in range(len(self.header)))
        lines = [f"% {self.title}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
        if self.groups:
            lines.append(
                " & ".join(rf"\multicolumn{{{n}}}{{c}}{{{escape(label)}}}" for label, n in self.groups) + r" \\"
            )
            start = 1
            for label, span in self.groups:
                if label:
                    lines.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
                start += span
        lines += [_line(Entry(name) for name in self.header), r"\midrule", *map(_line, self.rows)]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _marked_down(text: str) -> str:
    """Text for a cell of a markdown table; what would be taken for an HTML tag, as in a file's name, is escaped."""
    return TAG.sub("&lt;", text.replace("|", r"\|").replace("\n", " "))


def escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(char, char) for char in text)


def percent(value: float | None, deviation: float = float("nan"), digits: int = 1) -> str:
    """A share as a percentage, with its deviation where there is one."""
    return _number(value, deviation, 100.0, digits)


def decimal(value: float | None, deviation: float = float("nan")) -> str:
    """A number with three decimals, with its deviation where there is one."""
    return _number(value, deviation, 1.0, 3)


def signed(value: float | None, digits: int = 3, scale: float = 1.0) -> str:
    """A difference, its sign always shown."""
    if value is None or value != value:
        return NOTHING
    return f"{scale * value:+.{digits}f}".replace("-", "−")


def best(values: Sequence[float | None], digits: int) -> list[bool]:
    """Which values are the highest as printed; ties share it. A single value is not marked."""
    rounded = [None if value is None or value != value else round(value, digits) for value in values]
    known = [value for value in rounded if value is not None]
    return [len(known) > 1 and value is not None and value == max(known) for value in rounded]


def _number(value: float | None, deviation: float, scale: float, digits: int) -> str:
    if value is None or value != value:
        return NOTHING
    spread = "" if deviation != deviation else f" ± {scale * deviation:.{digits}f}"
    return f"{scale * value:.{digits}f}{spread}"


def _line(entries: Iterable[Entry]) -> str:
    return " & ".join(rf"\textbf{{{escape(e.text)}}}" if e.best else escape(e.text) for e in entries) + r" \\"
