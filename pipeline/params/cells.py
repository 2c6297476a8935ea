"""Which models a run consists of: one cell is one model, trained once in each fold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from pipeline.params.fields import Fields

TEACHER = "teacher"
BASELINE = "baseline"  # a classifier without a teacher, whatever its backbone
ADD = "add"
RAW = "raw"
ALL_QUALITIES = "all"  # in place of a compression: trained on raw and every one
# Table 2: ADD with parts switched off, by the columns (frequency, multiview, contrastive) of the paper's table.
ABLATIONS = {
    "add_fr": (True, False, False),
    "add_mv_plain": (False, True, False),
    "add_mv": (False, True, True),
}


@dataclass(frozen=True, order=True)
class Cell:
    """One model of the grid. Tables call a classifier without a teacher by its backbone: that is its method.

    manipulation: of its task; a pooled task has its own name. compression: what the model is trained on; "raw" for a
    teacher, "all" for a quality-agnostic model.
    """

    method: str
    backbone: str
    manipulation: str
    compression: str
    seed: int

    def __str__(self) -> str:
        return f"{self.family} {self.backbone} {self.manipulation} {self.compression} seed {self.seed}"

    @property
    def is_baseline(self) -> bool:
        return self.method == self.backbone

    @property
    def seedless(self) -> "Cell":
        """The same for all seeds of a cell: a key to put them together by."""
        return replace(self, seed=0)

    @property
    def family(self) -> str:
        """Where its models lie: all plain classifiers together, every other method for itself."""
        return BASELINE if self.is_baseline else self.method

    @property
    def folder(self) -> str:
        """Its place below models/, with a folder fold<k> each."""
        return f"{self.family}/{self.backbone}-{self.manipulation}-{self.compression}-s{self.seed}"

    @property
    def name(self) -> str:
        """The stem of its files in reports/cells."""
        return self.folder.replace("/", "-")


def tested_on(trained_on: str, compressions: Sequence[str]) -> tuple[str, ...]:
    """The qualities that a model is tested on: its own; every one for a teacher and for a quality-agnostic model."""
    return (RAW, *compressions) if trained_on in (RAW, ALL_QUALITIES) else (trained_on,)


def expected(params: Fields) -> list[Cell]:
    """Every cell that the params name, each once: teachers, baselines, agnostic, distilled, students, ablations."""
    return list(dict.fromkeys(_named(params)))


def pooled(params: Fields) -> list[Cell]:
    """Every cell of the pooled tasks, each once: teachers, baselines, students."""
    grid, tasks = params.grid, params.pooled.tasks
    cells = [
        Cell(TEACHER, backbone, task, RAW, params.teacher.seed) for backbone, task in product(grid.backbones, tasks)
    ]
    for task, quality, seed in product(tasks, grid.compressions, grid.seeds):
        cells += [Cell(name, name, task, quality, seed) for name in grid.baselines]
        cells += [Cell(*pair, task, quality, seed) for pair in product(grid.students, grid.backbones)]
    return list(dict.fromkeys(cells))


def _named(params: Fields) -> Iterator[Cell]:
    grid, ablation, tasks = params.grid, params.ablation, params.manipulations
    for backbone, task in product(grid.backbones, tasks):
        yield Cell(TEACHER, backbone, task, RAW, params.teacher.seed)
    for method, task, quality, seed in product(grid.baselines, tasks, grid.compressions, grid.seeds):
        yield Cell(method, method, task, quality, seed)
    families = (
        (grid.agnostic, grid.distilled_backbones, tasks, (ALL_QUALITIES,)),
        (grid.distilled, grid.distilled_backbones, tasks, grid.compressions),
        (grid.students, grid.backbones, tasks, grid.compressions),
        (ablation.methods, ablation.backbones, ablation.manipulations, ablation.compressions),
    )
    for family in families:
        for method, backbone, task, quality, seed in product(*family, grid.seeds):
            yield Cell(method, backbone, task, quality, seed)
