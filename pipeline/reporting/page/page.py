"""The page: sections of tables and figures, as one HTML file with everything embedded, and as markdown."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from pipeline.reporting.figures.figure import Figure
from pipeline.reporting.page.conclusion import CLAIM, Conclusion
from pipeline.reporting.tables.table import Table

TITLE = "ADD: deepfake detection that survives compression"


@dataclass(frozen=True)
class Note:
    """A paragraph, or a list of (name, meaning)."""

    text: str = ""
    terms: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Section:
    """A chapter of the page, with an entry in the table of contents."""

    title: str
    blocks: list[Table | Figure | Note] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """All that a reader sees. pictures: the written PNG of each figure, by its name."""

    conclusion: Conclusion
    subtitle: str
    sections: Sequence[Section]
    provenance: Mapping[str, str]
    params: str
    pictures: Mapping[str, Path]

    def html(self) -> str:
        """One self-contained page: no script, no address outside it."""
        images = {name: base64.b64encode(path.read_bytes()).decode() for name, path in self.pictures.items()}
        return self._render("report.html.j2", images)

    def markdown(self) -> str:
        """The same in markdown, with the figures as relative links."""
        images = {name: f"figures/{path.name}" for name, path in self.pictures.items()}
        text = self._render("report.md.j2", images)
        return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"

    def _render(self, template: str, images: Mapping[str, str]) -> str:
        environment = Environment(
            loader=PackageLoader("pipeline.reporting.page"),
            autoescape=select_autoescape(["html.j2"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.tests |= {
            "table": lambda block: isinstance(block, Table),
            "figure": lambda block: isinstance(block, Figure),
        }
        return environment.get_template(template).render(title=TITLE, claim=CLAIM, page=self, images=images)
