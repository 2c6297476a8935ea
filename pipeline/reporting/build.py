"""From the cells of a run to everything that the report stage leaves."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.crops.shards import read_index
from pipeline.params.cells import ABLATIONS, ADD, RAW
from pipeline.params.cells import pooled as pooled_cells
from pipeline.params.schema import Params
from pipeline.reporting import crossing, robustness, shortcuts, verdicts
from pipeline.reporting.comparison import Comparisons
from pipeline.reporting.figures import crops, curves, plots, reliability
from pipeline.reporting.figures import cross as cross_figures
from pipeline.reporting.figures import overview as figures
from pipeline.reporting.figures import stress as stress_figures
from pipeline.reporting.page.failing import moved
from pipeline.reporting.page.page import Note, Page, Section
from pipeline.reporting.page.provenance import provenance, shown_params
from pipeline.reporting.page.verdict import verdict
from pipeline.reporting.results import Results, read
from pipeline.reporting.tables import agnostic, elsewhere, encodings, operating
from pipeline.reporting.tables import cross as cross_tables
from pipeline.reporting.tables import data as data_tables
from pipeline.reporting.tables import paper as paper_tables
from pipeline.reporting.tables import pooled as pooled_tables
from pipeline.reporting.tables import results as result_tables
from pipeline.reporting.tables import shortcuts as shortcut_tables
from pipeline.reporting.tables import stress as stress_tables
from pipeline.reporting.tables.table import Table
from pipeline.work.files import whole

MEANINGS = {
    "teacher": "a detector trained on raw crops; ADD and the other distilled methods learn from it",
    "plain": "the plain baseline: the same network, trained on compressed crops alone",
    "warm_start": "a control that the paper lacks: plain training on compressed crops from the teacher's weights",
    ADD: "this paper: frequency attention and multi-view attention distillation (Eq. 10)",
    "add_fr": "ADD with the frequency attention distillation alone",
    "add_mv_plain": "ADD with the multi-view attention distillation alone, without its contrastive term",
    "add_mv": "ADD with the multi-view attention distillation alone",
    "fitnet": "FitNet (Romero et al. 2014): the student's last features match the teacher's",
    "at": "attention transfer (Zagoruyko & Komodakis 2016)",
    "nl": "non-local attention of the features (Wang et al. 2018), matched to the teacher's",
    "kd": "knowledge distillation (Hinton et al. 2015): the student's softened logits match the teacher's",
    "feature": "matching of features by their mean squared error: the frequency attention distillation with gamma 0",
    "crd": "contrastive representation distillation (Tian et al. 2020), negatives from the batch",
    "mixed": "compression as augmentation: plain training, each frame at a random quality; one model for all",
    "qad": "quality-agnostic detection (Le & Woo 2023): one model for all qualities, whose features of a frame agree",
    "xception": "Xception (Rössler et al. 2019), no teacher",
    "inception_resnet_v1": "InceptionResnetV1 (Dogonadze et al. 2020, who start from VGGFace2), no teacher",
    "f3net": "F3Net (Qian et al. 2020): frequency-aware decomposition and local frequency statistics, no teacher",
}
SUBTITLE = (
    "{people} people, {reals} real and {fakes} fake videos, {frames} frames; source: {source}; {folds} over people."
)


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
    rejected = data_tables.read_rejected([shards / name for name in params.sets])
    encoded = encodings.read(raw, compressed, params.sets, params.compressions)
    told = shortcuts.measure(raw, compressed, index, (RAW, *params.compressions))
    histories = curves.histories(results)
    sections = [
        _results(results, comparisons, params, elsewhere.tables(cells, results, params)),
        *([Section("One detector for several", [pooled_tables.table(pooled, results)])] if pooled else []),
        *_stress(stressed, params),
        *_cross(crossed, results),
        _probabilities(results, stressed, params),
        *_verdicts(judged, params),
        _paper(results, params),
        _data(
            index,
            rejected,
            [encodings.block(encoded), *shortcut_tables.blocks(told, (RAW, *params.compressions))],
            params,
        ),
        _training(histories),
        *_gallery(gallery, results),
        Section("Credits", [data_tables.credits(raw / "original/manifest.csv")]),
    ]
    folders = {name: _fresh(out / name) for name in ("tables", "figures", "plots")}
    blocks = [block for section in sections for block in section.blocks]
    for table in (block for block in blocks if isinstance(block, Table)):
        table.write(folders["tables"])
    pictures = {b.name: b.write(folders["figures"]) for b in blocks if isinstance(b, figures.Figure)}
    for name, curve in {
        "auc": plots.per_task(results),
        "roc": plots.roc(results),
        "training": plots.training(histories),
    }.items():
        curve.to_csv(folders["plots"] / f"{name}.csv", index=False, lineterminator="\n")
    said = verdict(results, comparisons, params, moved(stressed) if stressed else ())
    page = Page(said, _subtitle(index, params), sections, provenance(params), shown_params(params), pictures)
    _write(out / "metrics.json", json.dumps(plots.metrics(results, comparisons, params), indent=2) + "\n")
    _write(out / "report.md", page.markdown())
    _write(out / "report.html", page.html())
    missing = f", {len(results.missing)} missing" if results.missing else ""
    return f"{len(results.summaries)} cells{missing}; {said.headline} -> {out / 'report.html'}"


def _results(results: Results, comparisons: Comparisons, params: Params, unseen: Sequence[Table]) -> Section:
    used = {cell.method: "plain" if cell.is_baseline else cell.method for cell in results.cells}
    terms = [(method, MEANINGS.get(method, MEANINGS.get(kind, ""))) for method, kind in used.items()]
    scratch = {name for name in params.grid.baselines if not params.starts(name).pretrained}
    terms = [(name, f"{text}; from random weights" if name in scratch else text) for name, text in terms]
    return Section(
        "Results",
        [
            figures.overview(results, comparisons),
            result_tables.main(results, comparisons),
            Note("The methods:", [(name, meaning) for name, meaning in terms if meaning]),
            result_tables.gap(results, params.compressions),
            *agnostic.tables(results, comparisons, params),
            result_tables.tests(results, comparisons, params.report.margin),
            *unseen,
            data_tables.people(results),
            result_tables.more(results),
        ],
    )


def _stress(stressed: robustness.Stressed | None, params: Params) -> list[Section]:
    if stressed is None:
        return []
    tables = [stress_tables.failing(stressed), stress_tables.every(stressed, params.stress)]
    said = [Note(text) for text in moved(stressed)]
    few, sampled = params.stress.frames, params.sample.frames
    if few is not None and few < sampled:
        text = f"This chapter tests {few} of the {sampled} frames a video (stress.frames)"
        said.append(Note(f"{text}, so that its numbers may differ a little from those of the same models above."))
    figures_of = stress_figures.figures(stressed)
    return [Section("As compression grows", [*said, *figures_of, *tables, *stress_tables.left_out(stressed)])]


def _cross(found: Sequence[crossing.Crossed], results: Results) -> list[Section]:
    if not found:
        return []
    matrix, table = cross_figures.heat_map(found, results), cross_tables.table(found, results)
    return [Section("Across manipulations", [matrix, table])]


def _probabilities(results: Results, stressed: robustness.Stressed | None, params: Params) -> Section:
    diagram = reliability.reliability(results)
    return Section(
        "Scores and thresholds", [*([diagram] if diagram else []), operating.table(results, stressed, params)]
    )


def _verdicts(judged: Sequence[verdicts.Judged], params: Params) -> list[Section]:
    if not judged:
        text = "Verdicts cannot be judged here: there are neither validation people nor several folds to fit them on."
        return [Section("Verdicts", [Note(text)])]
    return [Section("Verdicts", [verdicts.table(judged, params.verdict), verdicts.figure(judged)])]


def _paper(results: Results, params: Params) -> Section:
    tables = paper_tables.build(results)
    shared = [name for name in paper_tables.manipulations() if name in params.manipulations]
    text = "The paper's Tables 1 to 3 concern FaceForensics++ with its five manipulations"
    if not shared:
        text += ", none of which is in this run: there is nothing to set beside them."
    elif params.source != "faceforensics":
        text += (
            "; this run's data are not FaceForensics++ but only share the names, so the differences below say nothing "
            "about the paper."
        )
    else:
        text += "; each cell below has ours, the paper's and the difference in percentage points."
    if any(cell.method in ABLATIONS for cell in results.cells) and not shared:
        text += " The table of ADD's parts has the layout of Table 2, on this run's own tasks."
    return Section("Beside the paper", [Note(text), *tables])


def _data(index: pd.DataFrame, rejected: pd.DataFrame, told: Sequence[Table | Note], params: Params) -> Section:
    qualities = (RAW, *params.compressions)
    sheets = [crops.sheet(index, name, qualities) for name in params.manipulations]
    strongest = max(params.compressions, key=lambda name: params.crf[name], default=None)
    spectra = [crops.spectra(index, params.sets, strongest)] if strongest else []
    tables = [data_tables.counts(index, rejected, params.sets), data_tables.rejects(rejected)]
    return Section("Data", [*tables, *told, *(sheet for sheet in sheets if sheet), *spectra])


def _gallery(folder: Path | None, results: Results) -> list[Section]:
    if folder is None:
        return []
    paths = {task: folder / f"{task.manipulation}-{task.compression}.npz" for task in results.tasks()}
    maps = [crops.gallery(path, task.manipulation, task.compression) for task, path in paths.items() if path.exists()]
    return [Section("Where they look", [*maps] or [Note("No maps were made.")])]


def _training(histories: pd.DataFrame) -> Section:
    if not len(histories):
        return Section("Training", [Note("The cells hold no training history.")])
    inside = curves.diagnostics(histories)
    measures = curves.final_measures(histories) if inside else []
    return Section("Training", [*inside, *measures, *curves.training(histories)])


def _subtitle(index: pd.DataFrame, params: Params) -> str:
    videos = index.groupby(["set", "video"])["label"].first()
    return SUBTITLE.format(
        people=index["person"].nunique(),
        reals=int((videos == 0).sum()),
        fakes=int((videos == 1).sum()),
        frames=f"{len(index):,}",
        source=params.source,
        folds=f"{len(params.folds)} fold{'s' * (len(params.folds) > 1)}",
    )


def _fresh(folder: Path) -> Path:
    """An empty folder: files of an earlier run with other params would look like this run's."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _write(path: Path, text: str) -> None:
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
