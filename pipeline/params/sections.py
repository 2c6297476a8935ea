"""The other sections of params.yaml: what is cut, cropped, trained, measured and shipped. fields.py joins them all."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.recipes import Name, Quality
from pipeline.params.sources import Positive, Section, Seed


class Split(Section):
    buckets: Annotated[int, Field(ge=2)]
    validation: Annotated[int, Field(ge=0)]
    seed: Seed


class Forge(Section):
    reals: tuple[Name, ...]
    manipulations: tuple[Name, ...]
    per_target: Positive
    face_width: dict[Name, Annotated[int, Field(ge=16)]]  # px
    seed: Seed


class Sample(Section):
    frames: Positive
    seed: Seed


class Detect(Section):
    sets: tuple[Name, ...]


class Faces(Section):
    max_side: Annotated[int, Field(ge=100)]  # px
    enlarge: Annotated[float, Field(ge=1)]
    near: Annotated[int, Field(ge=0)]  # frames; 0: every sampled frame is searched whole


class Crop(Section):
    size: Annotated[int, Field(ge=32, le=4096)]  # px
    shard_frames: Positive


class Loader(Section):
    """How crops come to the training; changes no batch, and so no result."""

    place: Literal["auto", "device", "memory", "disk"]  # where they are kept decoded; auto: the first with room


class Cluster(Section):
    address: str | None  # of a Ray cluster's head, or auto for the one that this machine is part of


class Jobs(Section):
    per_gpu: Positive  # trainings and tests of models at a time on each GPU


class Grid(Section):
    """Which cells are trained and reported: the product of these lists with `manipulations` and `folds`."""

    compressions: tuple[Quality, ...]
    seeds: tuple[Seed, ...]
    backbones: tuple[Name, ...]
    baselines: tuple[Name, ...]
    distilled: tuple[Name, ...]
    distilled_backbones: tuple[Name, ...]
    students: tuple[Name, ...]
    agnostic: tuple[Name, ...]


class Ablation(Section):
    methods: tuple[Name, ...]
    manipulations: tuple[Name, ...]
    compressions: tuple[Quality, ...]
    backbones: tuple[Name, ...]


class Pooled(Section):
    """Tasks of several manipulations at once: the originals against the fakes of each."""

    tasks: tuple[Name, ...]  # those that are trained
    sets: dict[Name, Annotated[tuple[Name, ...], Field(min_length=2)]]  # task -> its manipulations


class Model(Section):
    image_size: Annotated[int, Field(ge=32, le=4096)]
    pretrained: bool


class Evaluation(Section):
    batch_size: Positive
    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)]  # resamples behind each interval
    seed: Seed


class Verdict(Section):
    """What `predict` says of a video, and what must be there for it to say anything."""

    frames: Positive  # looked at in each video
    false_alarms: Annotated[float, Field(gt=0, lt=0.5)]  # accepted share of real videos that are called fake
    misses: Annotated[float, Field(gt=0, lt=0.5)]  # accepted share of fake videos that are called real
    min_faces: Positive  # fewer faces of one person in a video: undecided
    min_size: Positive  # px of the square around the face in the frame; smaller faces do not count


class Export(Section):
    """Which detectors are shipped: for each method one of each quality, raw (the teacher) included."""

    methods: tuple[Name, ...]
    backbone: Name
    task: Name  # a pooled task or a manipulation
    seed: Seed
    onnx: bool
    registered_as: str | None  # a name in MLflow's registry of models


class Tracking(Section):
    enabled: bool
    experiment: str
