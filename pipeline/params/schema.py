"""The schema of params.yaml: every number of the pipeline, its meaning and its bounds.

Unknown keys are refused, so that a misspelt `-S` never passes in silence. `load()` is called once a stage.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.params import consistency
from pipeline.params.degradations import Cross, Report, Stress
from pipeline.params.recipes import (
    Add,
    Agnostic,
    Baseline,
    Distillations,
    Name,
    Quality,
    Recipe,
    Teacher,
    Train,
    Weight,
)
from pipeline.params.sections import (
    Ablation,
    Cluster,
    Crop,
    Detect,
    Evaluation,
    Export,
    Faces,
    Forge,
    Grid,
    Jobs,
    Loader,
    Model,
    Pooled,
    Sample,
    Split,
    Tracking,
    Verdict,
)
from pipeline.params.sources import CelebDF, FaceForensics, Folder, OtherData, Positive, SampleSource, Section
from pipeline.work.errors import UserError

BASELINE = "baseline"  # the method of a classifier without a teacher, whatever its backbone
OFFICIALLY_SPLIT = ("faceforensics", "deepfakedetection", "celebdf")
TESTS_ONLY = ("deepfakedetection", "celebdf")  # everyone is in bucket test
# Manipulations of the forge that need another person to lend the face; the others need another clip.
SWAPS = ("faceswap",)

# As DVC reads and rewrites the file: YAML 1.2, where `off` is a word and 1e-08 a number, unlike in PyYAML's 1.1.
READER = YAML(typ="safe", pure=True)
MENDING = "mend it, or `git checkout` the one that worked"


class Params(Section):
    alpha: Weight
    beta: Weight
    source: Literal["sample", "folder", "sample_and_folder", "faceforensics", "deepfakedetection", "celebdf"]
    published: tuple[Name, ...]
    sets: tuple[Name, ...]
    manipulations: Annotated[tuple[Name, ...], Field(min_length=1)]
    compressions: tuple[Quality, ...]
    folds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    split: Split
    sample_source: SampleSource
    folder: Folder
    faceforensics: FaceForensics
    celebdf: CelebDF
    forge: Forge
    crf: dict[Quality, Annotated[int, Field(ge=0, le=51)]]
    sample: Sample
    detect: Detect
    faces: Faces
    crop: Crop
    loader: Loader
    workers: Positive | None
    cluster: Cluster
    jobs: Jobs
    grid: Grid
    ablation: Ablation
    pooled: Pooled
    model: Model
    train: Train
    teacher: Teacher
    baselines: dict[Name, Baseline]
    distill: Distillations
    agnostic: Agnostic
    add: Add
    evaluation: Evaluation
    elsewhere: OtherData
    verdict: Verdict
    export: Export
    tracking: Tracking
    stress: Stress
    cross: Cross
    report: Report

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if set(self.sets) != (wanted := {"original", *self.manipulations}):
            raise ValueError(f"sets must hold original and every manipulation: {sorted(wanted)}")
        if set(self.published) | set(self.forge.manipulations) != wanted:
            raise ValueError("published and forge.manipulations together must make up sets: each is one or the other")
        consistency.check_sets(self)
        consistency.check_folds(self)
        if self.crop.size < self.model.image_size:
            raise ValueError("crop.size must be at least model.image_size")
        # Each of these lists holds only what the other one has.
        grid, trained = self.grid, {*self.grid.distilled, *self.grid.students, *self.grid.agnostic}
        trained |= {*self.ablation.methods}
        trained |= {"teacher"} if grid.backbones else set()
        trained |= {"baseline"} if grid.baselines else set()
        within: list[tuple[str, Collection[str], str, Collection[str]]] = [
            ("compressions", self.compressions, "crf", self.crf),
            ("grid.compressions", self.grid.compressions, "compressions", self.compressions),
            ("grid.distilled_backbones", self.grid.distilled_backbones, "grid.backbones", self.grid.backbones),
            ("grid.baselines", self.grid.baselines, "baselines", self.baselines),
            ("grid.distilled", self.grid.distilled, "distill", dict(self.distill)),
            ("grid.agnostic", self.grid.agnostic, "agnostic", dict(self.agnostic)),
            ("ablation.manipulations", self.ablation.manipulations, "manipulations", self.manipulations),
            ("ablation.compressions", self.ablation.compressions, "compressions", self.compressions),
            ("ablation.backbones", self.ablation.backbones, "grid.backbones", self.grid.backbones),
            ("stress.methods", self.stress.methods, "this run (grid, ablation)", trained),
            ("cross.methods", self.cross.methods, "this run (grid, ablation)", trained),
        ]
        for key, names, other, allowed in within:
            if extra := sorted(set(names) - set(allowed)):
                mend = f"; take it out of {key} too" if key.endswith(".methods") else ""
                raise ValueError(f"{key} holds {', '.join(extra)}, which {other} does not have{mend}")
        consistency.check_pooled(self)
        if self.export.methods:
            self._check_export()
        every: list[Recipe] = [self.teacher, self.add, *self.baselines.values(), *dict(self.distill).values()]
        every += dict(self.agnostic).values()
        for recipe in every:
            self.recipe(recipe)
        if self.grid.backbones and self.train.freeze_stages and not self.model.pretrained:
            raise ValueError("model.pretrained is false: train.freeze_stages would keep random weights: set it to 0")
        for name in self.grid.baselines:
            if self.recipe(self.baselines[name]).freeze_stages and not self.starts(name).pretrained:
                raise ValueError(
                    f"baselines.{name}: pretrained is false, and freeze_stages would keep random weights: "
                    f"set baselines.{name}.train.freeze_stages to 0"
                )
        return self

    def _check_export(self) -> None:
        """That every detector to be shipped is one that is trained and tested."""
        export, grid = self.export, self.grid
        pooled = export.task in self.pooled.tasks
        if not pooled and export.task not in self.manipulations:
            raise ValueError(f"export.task {export.task} is neither in pooled.tasks nor in manipulations")
        trained = {BASELINE: grid.baselines, **dict.fromkeys(grid.students, grid.backbones)}
        trained |= {} if pooled else dict.fromkeys(grid.distilled, grid.distilled_backbones)
        for method in export.methods:
            if export.backbone not in {*trained.get(method, ())} & {*grid.backbones}:
                raise ValueError(f"export.methods: no {method} on {export.backbone} is trained on {export.task}")
        if export.seed not in grid.seeds:
            raise ValueError(f"export.seed {export.seed} is not in grid.seeds")

    @property
    def official(self) -> bool:
        """Whether the source divides its people itself, into buckets train, val and test."""
        return self.source in OFFICIALLY_SPLIT

    @property
    def tests_only(self) -> bool:
        """Whether the source has nobody to train on."""
        return self.source in TESTS_ONLY

    def starts(self, baseline: str) -> Model:
        """`model` for a classifier without a teacher, which may start from scratch where the others do not."""
        own = self.baselines[baseline].pretrained
        return self.model if own is None else self.model.model_copy(update={"pretrained": own})

    def pool(self, task: str) -> tuple[str, ...]:
        """The manipulations of a pooled task; empty for a task that is one manipulation."""
        return self.pooled.sets[task] if task in self.pooled.tasks else ()

    def recipe(self, section: Recipe) -> Train:
        """`train` with what the method's own section changes."""
        return Train.model_validate(self.train.model_dump() | section.train)


def load(path: Path | str = "params.yaml") -> Params:
    """Read and check the params file.

    Raises UserError naming the file and the key that is missing, unknown or out of bounds.
    """
    path = Path(path)
    try:
        return check(READER.load(path.read_text("utf-8")), path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run from the repository's root") from None
    except MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        what = " ".join(str(error.problem or error.context).split())
        raise UserError(f"{path}: not valid YAML{where}: {what}; {MENDING}") from None
    except (OSError, ValueError, YAMLError, RecursionError) as error:  # bytes, endless digits, brackets in brackets
        reason = " ".join(str(error).split()).replace(' in "<unicode string>",', " at")
        raise UserError(f"{path}: cannot be read as YAML: {reason}; {MENDING}") from None


def check(values: object, path: Path) -> Params:
    """The params that a file holds. Raises: UserError as `load` does, naming the file."""
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds {'nothing' if values is None else 'no params, name: value'}; {MENDING}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {key + ': ' if key else ''}{first['msg'].removeprefix('Value error, ')}") from None
