"""Which models a run consists of: one cell is one model, trained once in each fold."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from pipeline.params import Params

TEACHER = "teacher"
ADD = "add"
RAW = "raw"
# Table 2: ADD with parts switched off, by the columns (frequency, multiview, contrastive) of the paper's table.
ABLATIONS = {
    "add_fr": (True, False, False),
    "add_mv_plain": (False, True, False),
    "add_mv": (False, True, True),
}


@dataclass(frozen=True, order=True)
class Cell:
    """One model of the grid. A classifier without a teacher has the name of its backbone as its method.

    compression: what the model is trained on; "raw" for a teacher.
    """

    method: str
    backbone: str
    manipulation: str
    compression: str
    seed: int

    @property
    def folder(self) -> str:
        """The cell's part of the path in models/<method>/<folder>/fold<k>."""
        if self.method == TEACHER:
            return f"{self.backbone}-{self.manipulation}"
        task = f"{self.manipulation}-{self.compression}-s{self.seed}"
        return task if self.is_baseline else f"{self.backbone}-{task}"

    @property
    def name(self) -> str:
        """The stem of the cell's files in reports/cells."""
        return f"{self.method}-{self.folder}"

    @property
    def is_baseline(self) -> bool:
        return self.method == self.backbone


def expected(params: Params) -> list[Cell]:
    """Every cell that the params name, each once: teachers, baselines, distilled, students, ablations."""
    return list(dict.fromkeys(_named(params)))


def _named(params: Params) -> Iterator[Cell]:
    grid, ablation, tasks = params.grid, params.ablation, params.manipulations
    for backbone, task in product(grid.backbones, tasks):
        yield Cell(TEACHER, backbone, task, RAW, params.teacher.seed)
    for method, task, quality, seed in product(grid.baselines, tasks, grid.compressions, grid.seeds):
        yield Cell(method, method, task, quality, seed)
    families = (
        (grid.distilled, grid.distilled_backbones, tasks, grid.compressions),
        (grid.students, grid.backbones, tasks, grid.compressions),
        (ablation.methods, ablation.backbones, ablation.manipulations, ablation.compressions),
    )
    for family in families:
        for method, backbone, task, quality, seed in product(*family, grid.seeds):
            yield Cell(method, backbone, task, quality, seed)
