"""The schema of params.yaml: every number of the pipeline, its meaning and its bounds.

Unknown keys are refused, so that a misspelt `-S` never passes in silence. `load()` is called once a stage.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.params.degradations import Cross, Report, Stress
from pipeline.params.recipes import Add, Baseline, Distillations, Name, Recipe, Teacher, Train, Weight
from pipeline.params.sources import CelebDF, FaceForensics, Folder, OtherData, Positive, SampleSource, Section
from pipeline.work.errors import UserError

# As DVC reads and rewrites the file: YAML 1.2, where `off` is a word and 1e-08 a number, unlike in PyYAML's 1.1.
READER = YAML(typ="safe", pure=True)


class Split(Section):
    buckets: Annotated[int, Field(ge=2)]
    validation: Annotated[int, Field(ge=0)]
    seed: int


class Forge(Section):
    reals: tuple[Name, ...]
    manipulations: tuple[Name, ...]
    per_target: Positive
    face_width: dict[Name, Annotated[int, Field(ge=16)]]  # px
    seed: int


class Sample(Section):
    frames: Positive
    seed: int


class Detect(Section):
    sets: tuple[Name, ...]


class Faces(Section):
    max_side: Annotated[int, Field(ge=100)]  # px
    enlarge: Annotated[float, Field(ge=1)]
    near: Annotated[int, Field(ge=0)]  # frames; 0: every sampled frame is searched whole


class Crop(Section):
    size: Annotated[int, Field(ge=32)]  # px
    shard_frames: Positive


class Loader(Section):
    workers: Annotated[int, Field(ge=0)]
    cache_mb: Annotated[int, Field(ge=0)]


class Cluster(Section):
    address: str | None  # of a Ray cluster's head, or auto for the one that this machine is part of


class Grid(Section):
    """Which cells are trained and reported: the product of these lists with `manipulations` and `folds`."""

    compressions: tuple[Name, ...]
    seeds: tuple[int, ...]
    backbones: tuple[Name, ...]
    baselines: tuple[Name, ...]
    distilled: tuple[Name, ...]
    distilled_backbones: tuple[Name, ...]
    students: tuple[Name, ...]


class Ablation(Section):
    methods: tuple[Name, ...]
    manipulations: tuple[Name, ...]
    compressions: tuple[Name, ...]
    backbones: tuple[Name, ...]


class Model(Section):
    image_size: Annotated[int, Field(ge=32)]
    pretrained: bool


class Evaluation(Section):
    batch_size: Positive
    bootstrap: Annotated[int, Field(ge=100)]  # resamples behind each interval
    seed: int


class Tracking(Section):
    enabled: bool
    experiment: str


class Params(Section):
    alpha: Weight
    beta: Weight
    source: Literal["sample", "folder", "sample_and_folder", "faceforensics", "deepfakedetection", "celebdf"]
    published: tuple[Name, ...]
    sets: tuple[Name, ...]
    manipulations: Annotated[tuple[Name, ...], Field(min_length=1)]
    compressions: tuple[Name, ...]
    folds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    split: Split
    sample_source: SampleSource
    folder: Folder
    faceforensics: FaceForensics
    celebdf: CelebDF
    forge: Forge
    crf: dict[Name, Annotated[int, Field(ge=0, le=51)]]
    sample: Sample
    detect: Detect
    faces: Faces
    crop: Crop
    loader: Loader
    workers: Positive | None
    cluster: Cluster
    grid: Grid
    ablation: Ablation
    model: Model
    train: Train
    teacher: Teacher
    baselines: dict[Name, Baseline]
    distill: Distillations
    add: Add
    evaluation: Evaluation
    elsewhere: OtherData
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
        if self.crop.size < self.model.image_size:
            raise ValueError("crop.size must be at least model.image_size")
        # Each of these lists holds only what the other one has.
        grid, trained = self.grid, {*self.grid.distilled, *self.grid.students, *self.ablation.methods}
        trained |= {"teacher"} if grid.backbones else set()
        trained |= {"baseline"} if grid.baselines else set()
        within: list[tuple[str, Collection[str], str, Collection[str]]] = [
            ("compressions", self.compressions, "crf", self.crf),
            ("grid.compressions", self.grid.compressions, "compressions", self.compressions),
            ("grid.distilled_backbones", self.grid.distilled_backbones, "grid.backbones", self.grid.backbones),
            ("grid.baselines", self.grid.baselines, "baselines", self.baselines),
            ("grid.distilled", self.grid.distilled, "distill", dict(self.distill)),
            ("ablation.manipulations", self.ablation.manipulations, "manipulations", self.manipulations),
            ("ablation.compressions", self.ablation.compressions, "compressions", self.compressions),
            ("ablation.backbones", self.ablation.backbones, "grid.backbones", self.grid.backbones),
            ("stress.methods", self.stress.methods, "this run (grid, ablation)", trained),
            ("cross.methods", self.cross.methods, "this run (grid, ablation)", trained),
        ]
        for key, names, other, allowed in within:
            if extra := sorted(set(names) - set(allowed)):
                raise ValueError(f"{key} holds {', '.join(extra)}, which {other} does not have")
        every: list[Recipe] = [self.teacher, self.add, *self.baselines.values(), *dict(self.distill).values()]
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

    def starts(self, baseline: str) -> Model:
        """`model` for a classifier without a teacher, which may start from scratch where the others do not."""
        own = self.baselines[baseline].pretrained
        return self.model if own is None else self.model.model_copy(update={"pretrained": own})

    def recipe(self, section: Recipe) -> Train:
        """`train` with what the method's own section changes."""
        return Train.model_validate(self.train.model_dump() | section.train)


def load(path: Path | str = "params.yaml") -> Params:
    """Read and check the params file.

    Raises UserError naming the file and the key that is missing, unknown or out of bounds.
    """
    path = Path(path)
    try:
        return check(READER.load(path.read_text()), path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run from the repository's root") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def check(values: object, path: Path) -> Params:
    """The params that a file holds. Raises: UserError as `load` does, naming the file."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {key + ': ' if key else ''}{first['msg'].removeprefix('Value error, ')}") from None
