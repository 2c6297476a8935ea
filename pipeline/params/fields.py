"""All sections of params.yaml in one model, and what follows from a single one of them."""

from typing import Annotated, Literal

from pydantic import Field

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

OFFICIALLY_SPLIT = ("faceforensics", "deepfakedetection", "celebdf")
TESTS_ONLY = ("deepfakedetection", "celebdf")  # everyone is in bucket test


class Fields(Section):
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

    @property
    def official(self) -> bool:
        """Whether the source divides its people itself, into buckets train, val and test."""
        return self.source in OFFICIALLY_SPLIT

    @property
    def tests_only(self) -> bool:
        """Whether the source has nobody to train on."""
        return self.source in TESTS_ONLY

    @property
    def video_workers(self) -> int | str | None:
        """What works on videos, as work.parallel.map_videos takes it: the cluster where there is one."""
        return self.cluster.address or self.workers

    def starts(self, baseline: str) -> Model:
        """`model` for a classifier without a teacher, which may start from scratch where the others do not."""
        own = self.baselines[baseline].pretrained
        return self.model if own is None else self.model.model_copy(update={"pretrained": own})

    def pool(self, task: str) -> tuple[str, ...]:
        """The manipulations of a pooled task; empty for a task that is one manipulation."""
        return self.pooled.sets[task] if task in self.pooled.tasks else ()

    def fakes_of(self, task: str) -> tuple[str, ...]:
        """The sets whose fakes a task has: the manipulations of a pooled task, else the task's own."""
        return self.pool(task) or (task,)

    def recipe(self, section: Recipe) -> Train:
        """`train` with what the method's own section changes."""
        return Train.model_validate(self.train.model_dump() | section.train)
