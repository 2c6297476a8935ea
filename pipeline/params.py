"""The schema of params.yaml: every number of the pipeline, its meaning and its bounds.

Unknown keys are refused, so that a misspelt `-S` never passes in silence. `load()` is called once a stage.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import UserError
from pipeline.source_params import CelebDF, FaceForensics, Folder, OtherData, Positive, SampleSource, Section

# As DVC reads and rewrites the file: YAML 1.2, where `off` is a word and 1e-08 a number, unlike in PyYAML's 1.1.
READER = YAML(typ="safe", pure=True)

Fraction = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
LayerWeights = tuple[Weight, Weight, Weight, Weight]  # one for each of the four stages (spec section 5)
STAGED = ("at", "nl")  # the distillations over all four stages, besides ADD
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


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


class Train(Section):
    """The recipe (spec section 6). A method's own `train` holds what differs from this one."""

    epochs: Positive
    batch_size: Annotated[int, Field(ge=2)]
    lr: Annotated[float, Field(gt=0)]  # the highest rate of the one-cycle schedule
    betas: tuple[Fraction, Fraction]
    eps: Annotated[float, Field(gt=0)]
    weight_decay: Weight
    schedule: Literal["one_cycle", "plateau", "constant"]
    pct_start: Fraction  # share of the steps in which the one-cycle rate rises
    cycle_momentum: bool  # True: the released code's beta1 between 0.85 and 0.95; False: the paper's 0.9
    warmup_epochs: Annotated[int, Field(ge=0)]  # epochs that train the classifier alone, with L_FR off
    validations_per_epoch: Positive
    patience: Positive  # validations without improvement until training stops
    select: Literal["best", "last"]  # the weights kept: best by validation accuracy, or the last
    horizontal_flip: Fraction
    freeze_stages: Annotated[int, Field(ge=0, le=4)]  # leading stages kept at their initial weights
    amp: Literal["off", "bf16", "fp16"]
    channels_last: bool


class Teacher(Section):
    seed: int
    train: dict[str, Any]


class Baseline(Section):
    pretrained: bool | None = None  # None: as in model
    train: dict[str, Any]


class Distill(Section):
    weight: Weight
    layer_weights: LayerWeights | None = None  # of the methods over the four stages, and of these alone
    train: dict[str, Any]


class Frequency(Section):
    gamma: Weight
    # where a backbone needs another (the paper: 1e-3 for EfficientNet-B0)
    gamma_by_backbone: dict[Name, Weight] = Field(default_factory=dict)
    layer_weights: LayerWeights


class MultiView(Section):
    distance: Literal["histogram", "wasserstein", "released"]
    directions: Positive
    groups: Annotated[int, Field(ge=2)] | None  # None: half the layer's channels (the paper)
    gamma: Weight
    eta: Weight
    margin: Weight
    contrastive: bool
    layer_weights: LayerWeights


class Add(Section):
    train: dict[str, Any]
    frequency: Frequency
    multiview: MultiView


class Evaluation(Section):
    batch_size: Positive
    bootstrap: Annotated[int, Field(ge=100)]  # resamples behind each interval
    seed: int


class Tracking(Section):
    enabled: bool
    experiment: str


Recipe = Teacher | Baseline | Distill | Add  # each with a `train`


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
    distill: dict[Name, Distill]
    add: Add
    evaluation: Evaluation
    elsewhere: OtherData
    tracking: Tracking

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if set(self.sets) != (wanted := {"original", *self.manipulations}):
            raise ValueError(f"sets must hold original and every manipulation: {sorted(wanted)}")
        if set(self.published) | set(self.forge.manipulations) != wanted:
            raise ValueError("published and forge.manipulations together must make up sets: each is one or the other")
        if self.crop.size < self.model.image_size:
            raise ValueError("crop.size must be at least model.image_size")
        # Each of these lists holds only what the other one has.
        within: list[tuple[str, Collection[str], str, Collection[str]]] = [
            ("compressions", self.compressions, "crf", self.crf),
            ("grid.compressions", self.grid.compressions, "compressions", self.compressions),
            ("grid.distilled_backbones", self.grid.distilled_backbones, "grid.backbones", self.grid.backbones),
            ("grid.baselines", self.grid.baselines, "baselines", self.baselines),
            ("grid.distilled", self.grid.distilled, "distill", self.distill),
            ("ablation.manipulations", self.ablation.manipulations, "manipulations", self.manipulations),
            ("ablation.compressions", self.ablation.compressions, "compressions", self.compressions),
            ("ablation.backbones", self.ablation.backbones, "grid.backbones", self.grid.backbones),
        ]
        for key, names, other, allowed in within:
            if extra := sorted(set(names) - set(allowed)):
                raise ValueError(f"{key} holds {', '.join(extra)}, which {other} does not have")
        for method, section in self.distill.items():
            if (section.layer_weights is None) == (method in STAGED):
                reason = "is missing" if method in STAGED else f"belongs to {' and '.join(STAGED)} alone"
                raise ValueError(f"distill.{method}.layer_weights {reason}")
        every: list[Recipe] = [self.teacher, self.add, *self.baselines.values(), *self.distill.values()]
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
        return Params.model_validate(READER.load(path.read_text()))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run from the repository's root") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {key + ': ' if key else ''}{first['msg'].removeprefix('Value error, ')}") from None
