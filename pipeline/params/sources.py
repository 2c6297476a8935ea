"""The sections of params.yaml that say where videos come from, and what all sections share."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

# How long names may be, so that all that is named after them can be: pipeline/sources/names.py has the sum.
NAME_LETTERS, QUALITY_LETTERS = 40, 8
OFFICIAL = ("train", "val", "test")  # the buckets of a source with an official split; others have b0, b1, ...
Positive = Annotated[int, Field(gt=0)]
ClipsNumber = Annotated[int, Field(gt=0, le=1000)]  # they are told apart by three digits: pipeline/sources/names.py


Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what every generator takes


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, values: object) -> object:
        """`true` would be taken for 1."""
        given = values if isinstance(values, dict) else {}
        for key, field in cls.model_fields.items():
            value = given.get(key)
            members = value if isinstance(value, list | tuple) else [value]
            if "bool" not in str(field.annotation) and any(isinstance(member, bool) for member in members):
                raise ValueError(f"{key} is {str(value).lower()}: a number or a name is wanted, not true or false")
        return values


class SampleSource(Section):
    clip_frames: Annotated[int, Field(ge=8)]
    clips_per_person: ClipsNumber


class Folder(Section):
    path: str | None
    people: str | None
    fakes: str | None
    clip_frames: Annotated[int, Field(ge=8)] | None  # None: whole videos
    clips_per_video: ClipsNumber
    max_side: Annotated[int, Field(ge=64)]  # px: larger videos are scaled down


class FaceForensics(Section):
    """The tree of the sources faceforensics and deepfakedetection; the latter uses path, use_published and missing."""

    path: str | None
    splits: str | None  # folder of train.json, val.json, test.json; None: <path>/splits
    n_pairs: Positive | None  # pairs of each split; None: all
    use_published: bool  # the set's own c23 and c40; False: encoded from raw
    allow_missing: bool
    server: str | None  # one or more addresses, separated by blanks; None: $ADD_FACEFORENSICS_SERVER, or the script's
    script: str | None  # the user's own copy of the access script, read for addresses and never run
    accept_terms: bool
    accepted_by: str | None
    connections: Positive


class CelebDF(Section):
    path: str | None
    videos: Literal["testing", "all"]  # the official test list, or every video
    allow_missing: bool


class Elsewhere(Section):
    """Another data set, cropped in another clone, to test the trained models on."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", max_length=NAME_LETTERS)]
    shards: str  # that clone's data/shards


def _distinct(entries: tuple[Elsewhere, ...]) -> tuple[Elsewhere, ...]:
    names = [entry.name for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two data sets are named {twice[0]}")
    return entries


OtherData = Annotated[tuple[Elsewhere, ...], AfterValidator(_distinct)]
