"""The chapters of the page: which tables, figures and notes stand in each, in their order."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.params.cells import ABLATIONS, ADD, RAW
from pipeline.params.schema import Params
from pipeline.reporting import crossing, robustness, shortcuts, verdicts
from pipeline.reporting.comparison import Comparisons
from pipeline.reporting.figures import crops, curves, overview, reliability
from pipeline.reporting.figures import cross as cross_figures
from pipeline.reporting.figures import stress as stress_figures
from pipeline.reporting.page.failing import moved
from pipeline.reporting.page.page import Note, Section
from pipeline.reporting.results import Results
from pipeline.reporting.tables import agnostic, encodings, operating
from pipeline.reporting.tables import cross as cross_tables
from pipeline.reporting.tables import data as data_tables
from pipeline.reporting.tables import paired as paired_tables
from pipeline.reporting.tables import paper as paper_tables
from pipeline.reporting.tables import results as result_tables
from pipeline.reporting.tables import shortcuts as shortcut_tables
from pipeline.reporting.tables import stress as stress_tables
from pipeline.reporting.tables import verdicts as verdict_tables
from pipeline.reporting.tables.table import Table

# What the page says of each method.
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


def of_results(results: Results, comparisons: Comparisons, params: Params, unseen: Sequence[Table]) -> Section:
    """The figure at the top, the tables of this run, and those of data that no model saw (`unseen`)."""
    used = {cell.method: "plain" if cell.is_baseline else cell.method for cell in results.cells}
    terms = [(method, MEANINGS.get(method, MEANINGS.get(kind, ""))) for method, kind in used.items()]
    scratch = {name for name in params.grid.baselines if not params.starts(name).pretrained}
    terms = [(name, f"{text}; from random weights" if name in scratch else text) for name, text in terms]
    return Section(
        "Results",
        [
            overview.overview(results, comparisons),
            result_tables.main(results, comparisons),
            Note("The methods:", [(name, meaning) for name, meaning in terms if meaning]),
            result_tables.gap(results, params.compressions),
            *agnostic.tables(results, comparisons, params),
            paired_tables.table(results, comparisons, params.report.margin),
            *unseen,
            data_tables.people(results),
            result_tables.more(results),
        ],
    )


def of_stress(stressed: robustness.Stressed | None, params: Params) -> list[Section]:
    """The curves of the stress stage; nothing where it was not run."""
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


def of_cross(found: Sequence[crossing.Crossed], results: Results) -> list[Section]:
    """Models of one manipulation on the others; nothing where there is one alone, or the stage was not run."""
    if not found:
        return []
    matrix, table = cross_figures.heat_map(found, results), cross_tables.table(found, results)
    return [Section("Across manipulations", [matrix, table])]


def of_probabilities(results: Results, stressed: robustness.Stressed | None, params: Params) -> Section:
    """Scores as probabilities, and at thresholds that were chosen elsewhere."""
    diagram = reliability.of_scores(results)
    return Section(
        "Scores and thresholds", [*([diagram] if diagram else []), operating.table(results, stressed, params)]
    )


def of_verdicts(judged: Sequence[verdicts.Judged], params: Params) -> list[Section]:
    """What verdicts are worth, or why none can be judged."""
    if not judged:
        text = "Verdicts cannot be judged here: there are neither validation people nor several folds to fit them on."
        return [Section("Verdicts", [Note(text)])]
    return [Section("Verdicts", [verdict_tables.table(judged, params.verdict), reliability.of_verdicts(judged)])]


def of_paper(results: Results, params: Params) -> Section:
    """The paper's tables beside ours, as far as this run shares their tasks."""
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


def of_data(index: pd.DataFrame, shards: Path, raw: Path, compressed: Path, params: Params) -> Section:
    """index: of the shards of all sets. Raises: UserError where what crop, download or compress left is not whole."""
    qualities = (RAW, *params.compressions)
    rejected = data_tables.read_rejected([shards / name for name in params.sets])
    encoded = encodings.read(raw, compressed, params.sets, params.compressions)
    told = shortcuts.measure(raw, compressed, index, qualities)
    sheets = [crops.sheet(index, name, qualities) for name in params.manipulations]
    strongest = max(params.compressions, key=lambda name: params.crf[name], default=None)
    spectra = [crops.spectra(index, params.sets, strongest)] if strongest else []
    tables = [data_tables.counts(index, rejected, params.sets), data_tables.rejects(rejected)]
    files = [encodings.block(encoded), *shortcut_tables.blocks(told, qualities)]
    return Section("Data", [*tables, *files, *(sheet for sheet in sheets if sheet), *spectra])


def of_gallery(folder: Path | None, results: Results) -> list[Section]:
    """Grad-CAM maps, where the explain stage left any; nothing without its folder."""
    if folder is None:
        return []
    paths = {task: folder / f"{task.manipulation}-{task.compression}.npz" for task in results.tasks()}
    maps = [crops.gallery(path, task.manipulation, task.compression) for task, path in paths.items() if path.exists()]
    return [Section("Where they look", [*maps] or [Note("No maps were made.")])]


def of_training(histories: pd.DataFrame) -> Section:
    """Losses and measures over steps, from the histories that curves.histories gives."""
    if not len(histories):
        return Section("Training", [Note("The cells hold no training history.")])
    inside = curves.diagnostics(histories)
    measures = curves.final_measures(histories) if inside else []
    return Section("Training", [*inside, *measures, *curves.training(histories)])


def subtitle(index: pd.DataFrame, params: Params) -> str:
    """How much data the run has, in a line."""
    videos = index.groupby(["set", "video"])["label"].first()
    return SUBTITLE.format(
        people=index["person"].nunique(),
        reals=int((videos == 0).sum()),
        fakes=int((videos == 1).sum()),
        frames=f"{len(index):,}",
        source=params.source,
        folds=f"{len(params.folds)} fold{'s' * (len(params.folds) > 1)}",
    )
