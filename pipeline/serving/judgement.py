"""What a judgement is: the verdict on one photo or video, and the people and faces that it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.calibration import Verdict
from pipeline.faces.boxes import Box
from pipeline.serving.inputs import Medium
from pipeline.serving.networks import Crops
from pipeline.serving.shipped import Detector


@dataclass(frozen=True)
class Sighting:
    """A face in a sampled frame. usable: large and sharp enough to count. scores: each network's, 0..1."""

    frame: int
    track: int
    box: Box
    sharpness: float
    usable: bool
    scores: tuple[float, ...]

    @property
    def score(self) -> float:
        return sum(self.scores) / len(self.scores)


@dataclass(frozen=True)
class Track:
    """One person: the mean score of the usable faces, its calibrated probability, and the verdict on them.

    score and probability are None where no face is usable; why: the reason of a verdict that could not be given.
    """

    number: int
    sightings: Sequence[Sighting]
    score: float | None
    probability: float | None
    verdict: Verdict
    why: str = ""

    @property
    def usable(self) -> list[Sighting]:
        return [one for one in self.sightings if one.usable]


@dataclass(frozen=True)
class Judgement:
    """The outcome for one file: the most suspicious track decides. frames: the numbers of those looked at."""

    medium: Medium
    detector: Detector
    runtime: str
    verdict: Verdict
    why: str
    frames: Sequence[int]
    tracks: Sequence[Track]
    warnings: Sequence[str] = ()
    crops: Crops = field(default_factory=lambda: np.empty((0, 0, 0, 3), np.uint8), repr=False)  # of the sightings

    @property
    def sightings(self) -> list[Sighting]:
        """All of them, in the order of the crops."""
        return sorted((s for track in self.tracks for s in track.sightings), key=lambda s: (s.frame, s.track))

    @property
    def judged(self) -> list[Track]:
        """Those with enough usable faces."""
        return [track for track in self.tracks if not track.why]

    @property
    def decisive(self) -> Track | None:
        """The track that the verdict rests on."""
        return max(self.judged, key=lambda track: track.probability or 0.0, default=None)

    @property
    def with_face(self) -> int:
        return len({one.frame for one in self.sightings})


def probabilities(track: Track, detector: Detector) -> NDArray[np.float64]:
    """The calibrated probability of each sighting, as a single face."""
    return detector.image.probability(np.array([one.score for one in track.sightings]))
