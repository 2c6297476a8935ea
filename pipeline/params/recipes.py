"""The sections of params.yaml that say how models are trained."""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.params.sources import NAME_LETTERS, QUALITY_LETTERS, Positive, Section, Seed

Fraction = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
LayerWeights = tuple[Weight, Weight, Weight, Weight]  # one for each of the four stages (docs/method.md)
Start = Literal["imagenet", "teacher"]  # the student's first weights: as `model` says, or its teacher's
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", max_length=NAME_LETTERS)]
Quality = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", max_length=QUALITY_LETTERS)]


class Train(Section):
    """The recipe (docs/method.md). A method's own `train` holds what differs from this one."""

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
    paired: bool  # batches of pairs: each fake beside its target's frame
    freeze_stages: Annotated[int, Field(ge=0, le=4)]  # leading stages kept at their initial weights
    amp: Literal["auto", "off", "bf16", "fp16"]  # of the networks; auto: bf16 on a GPU that has it, else off
    channels_last: bool
    fused: bool | None  # Adam's step as one kernel; null: on a GPU
    compiled: bool  # torch.compile of the networks: minutes at the start, for the same function


class Teacher(Section):
    seed: Seed
    train: dict[str, Any]


class Baseline(Section):
    pretrained: bool | None = None  # None: as in model
    train: dict[str, Any]


class Distill(Section):
    weight: Weight
    start: Start
    train: dict[str, Any]


class Staged(Distill):
    layer_weights: LayerWeights


class Softened(Distill):
    temperature: Annotated[float, Field(gt=0)]


class Contrastive(Softened):
    dimensions: Positive  # of the space in which student and teacher are compared


class Distillations(Section):
    """The methods with a teacher besides ADD, each with its own params."""

    warm_start: Distill
    fitnet: Distill
    at: Staged
    nl: Staged
    kd: Softened
    feature: Staged
    crd: Contrastive


class Mixed(Section):
    train: dict[str, Any]


class Qad(Section):
    weight: Weight
    layer_weights: LayerWeights
    sigma: Annotated[float, Field(gt=0)]
    perturbation: Weight
    perturbation_warmup: Annotated[int, Field(ge=0)]  # epochs
    train: dict[str, Any]


class Agnostic(Section):
    """The quality-agnostic methods: one model for raw and every compression, each with its own params."""

    mixed: Mixed
    qad: Qad


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
    start: Start
    train: dict[str, Any]
    frequency: Frequency
    multiview: MultiView


Recipe = Teacher | Baseline | Distill | Add | Mixed | Qad  # each with a `train`
