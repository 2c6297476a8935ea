"""The names of degradations, `<kind>-<level>` as in h264-28, and the sections of params.yaml that use them.

What each kind does to pixels is in pipeline/crops/pixels.py and pipeline/videos/codecs.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.params.recipes import Name
from pipeline.params.sources import Positive, Section, Seed

# Bounds of the level, and whether it is a whole number.
CODECS: dict[str, tuple[float, float]] = {"h264": (0, 51), "h265": (0, 51), "vp9": (0, 63), "av1": (0, 63)}
PIXELS: dict[str, tuple[float, float]] = {"jpeg": (1, 100), "blur": (0, 100), "noise": (0, 255), "scale": (0, 1)}
SMALL = "small"  # frames are encoded at this share of their size, and scaled back at the end
BOUNDS = CODECS | PIXELS | {SMALL: (0, 1)}
WHOLE = (*CODECS, "jpeg")


@dataclass(frozen=True)
class Step:
    """One thing done to a video.

    kind, level: h264, h265, vp9, av1 with the encoder's constant rate factor; jpeg with its quality; blur with a
    Gaussian's standard deviation in px; noise with one in grey levels; scale (down and back at once) and small (back
    at the end) with a share of the frame's sides.
    """

    kind: str
    level: float

    def __str__(self) -> str:
        return f"{self.kind}-{self.level:g}"


def step(text: str) -> Step:
    """Read `<kind>-<level>`. Raises: ValueError saying what is wrong."""
    kind, _, level = text.partition("-")
    if kind not in BOUNDS:
        raise ValueError(f"{text}: not one of {', '.join(f'{name}-<level>' for name in BOUNDS)}, nor a chain's name")
    low, high = BOUNDS[kind]
    try:
        number = float(level)
    except ValueError:
        raise ValueError(f"{text}: {level or 'nothing'} is not a level; write {kind}-<{low:g}..{high:g}>") from None
    if not low <= number <= high or (kind in WHOLE and number != int(number)) or (kind not in WHOLE and number == 0):
        whole = "a whole number " if kind in WHOLE else "a number above 0 "
        raise ValueError(f"{text}: the level must be {whole}in {low:g}..{high:g}")
    if text != str(Step(kind, number)):
        raise ValueError(f"{text}: write {Step(kind, number)}")  # or one degradation would have two names and folders
    return Step(kind, number)


def chain(name: str, chains: Mapping[str, Sequence[str]]) -> tuple[Step, ...]:
    """The steps of a degradation: of the chain with this name, or the one step that it is.

    Raises: ValueError where it is neither, or where a chain makes frames small for no encoder.
    """
    steps = tuple(step(text) for text in chains[name]) if name in chains else (step(name),)
    sizes = [number for number, one in enumerate(steps) if one.kind == SMALL]
    codecs = [number for number, one in enumerate(steps) if one.kind in CODECS]
    if not steps or (sizes and not any(number > sizes[-1] for number in codecs)):
        raise ValueError(f"{name}: {SMALL} needs a codec after it; scale is what goes down and back at once")
    return steps


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} is named twice")
    return names


class Stress(Section):
    """Trained models on degraded videos of the people that they are tested on."""

    methods: tuple[Name, ...]  # folders of models/: teacher, baseline, add, ...; [] with degradations []: none of it
    degradations: Annotated[tuple[str, ...], AfterValidator(_once)]  # each one step, or a name in chains
    chains: dict[Name, Annotated[tuple[str, ...], Field(min_length=1)]]  # steps one after the other
    frames: Positive | None  # of the sampled ones, evenly, a video; None: all
    seed: Seed  # of the noise

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name in (*self.degradations, *self.chains):
            chain(name, self.chains)
        if bool(self.methods) != bool(self.degradations):
            raise ValueError("methods and degradations: either both are named or both are []")
        return self


class Cross(Section):
    """Models of one manipulation on the fakes of the others."""

    methods: tuple[Name, ...]  # folders of models/


class Report(Section):
    """From which differences and levels on the report's words speak."""

    margin: Annotated[float, Field(gt=0, lt=1)]  # two methods whose AUC differs by less count as equal
    fails_below: Annotated[float, Field(gt=0.5, lt=1)]  # AUC under which detection has failed
