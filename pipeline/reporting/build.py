"""From the cells of a run to everything that the report stage leaves."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.crops.shards import read_index
from pipeline.params.cells import pooled as pooled_cells
from pipeline.params.schema import Params
from pipeline.reporting import crossing, robustness, sections, verdicts
from pipeline.reporting.comparison import Comparisons
from pipeline.reporting.figures import curves, plots
from pipeline.reporting.figures.figure import Figure
from pipeline.reporting.page.conclusion import conclude
from pipeline.reporting.page.failing import moved
from pipeline.reporting.page.page import Page, Section
from pipeline.reporting.page.provenance import provenance, shown_params
from pipeline.reporting.results import Results, read
from pipeline.reporting.tables import data as data_tables
from pipeline.reporting.tables import elsewhere
from pipeline.reporting.tables import pooled as pooled_tables
from pipeline.reporting.tables.table import Table
from pipeline.work.files import whole


def build(
    cells: Path, shards: Path, raw: Path, compressed: Path, out: Path, params: Params, gallery: Path | None = None
) -> str:
    """Write report.html, report.md, metrics.json, tables/, figures/ and plots/ into `out`; return the outcome.

    cells, shards, raw, compressed: the folders that evaluate, crop, download with forge, and compress left.
    gallery: the folder with the <manipulation>-<compression>.npz of the explain stage, or None.
    Nothing is written before everything that can fail has been read. Raises UserError.
    """
    results = read(cells, params)
    pooled = read(cells, params, pooled_cells(params)) if params.pooled.tasks else None
    judged = verdicts.collect([found for found in (pooled, results) if found], params.verdict)
    comparisons = Comparisons(results, params.evaluation)
    stressed = robustness.read(cells, params)
    crossed = crossing.read(cells, [results, *([pooled] if pooled else [])], params)
    index = read_index([shards / name for name in params.sets])
    histories = curves.histories(results)
    chapters = [
        sections.of_results(results, comparisons, params, elsewhere.tables(cells, results, params)),
        *([Section("One detector for several", [pooled_tables.table(pooled, results)])] if pooled else []),
        *sections.of_stress(stressed, params),
        *sections.of_cross(crossed, results),
        sections.of_probabilities(results, stressed, params),
        *sections.of_verdicts(judged, params),
        sections.of_paper(results, params),
        sections.of_data(index, shards, raw, compressed, params),
        sections.of_training(histories),
        *sections.of_gallery(gallery, results),
        Section("Credits", [data_tables.credits(raw / "original/manifest.csv")]),
    ]
    said = conclude(results, comparisons, params, moved(stressed) if stressed else ())
    pictures = _write_blocks(chapters, out)
    _write_plots(results, histories, out)
    subtitle = sections.subtitle(index, params)
    page = Page(said, subtitle, chapters, provenance(params), shown_params(params), pictures)
    _write(out / "metrics.json", json.dumps(plots.metrics(results, comparisons, params), indent=2) + "\n")
    _write(out / "report.md", page.markdown())
    _write(out / "report.html", page.html())
    missing = f", {len(results.missing)} missing" if results.missing else ""
    return f"{len(results.summaries)} cells{missing}; {said.headline} -> {out / 'report.html'}"


def _write_blocks(chapters: Sequence[Section], out: Path) -> dict[str, Path]:
    """Every table and figure as files; the figures' by name."""
    tables, figures = (_fresh(out / name) for name in ("tables", "figures"))
    pictures = {}
    for block in (block for section in chapters for block in section.blocks):
        if isinstance(block, Table):
            block.write(tables)
        elif isinstance(block, Figure):
            pictures[block.name] = block.write(figures)
    return pictures


def _write_plots(results: Results, histories: pd.DataFrame, out: Path) -> None:
    folder = _fresh(out / "plots")
    curves_of = {"auc": plots.per_task(results), "roc": plots.roc(results), "training": plots.training(histories)}
    for name, curve in curves_of.items():
        curve.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")


def _fresh(folder: Path) -> Path:
    """An empty folder: files of an earlier run with other params would look like this run's."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _write(path: Path, text: str) -> None:
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
