"""From a photo or video to a judgement: frames, faces, tracks, scores, calibrated probabilities, verdict.

Frames are chosen, cut and scored by the pipeline's own code: a video of the pipeline gets the scores that evaluate gave
its frames (tests/serving).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.crops.sharpness import sharpness
from pipeline.evaluation.calibration import Verdict
from pipeline.faces.boxes import Box, Image
from pipeline.serving.inputs import Medium, Watch
from pipeline.serving.judgement import Judgement, Sighting, Track
from pipeline.serving.looking import find_faces
from pipeline.serving.networks import Crops, Networks
from pipeline.serving.shipped import Detector
from pipeline.videos.sampling import spread
from pipeline.work.progress import progress

BLUR = 0.5  # share of the sharpness of the least sharp training faces: a face below it is too blurred to be judged
# Rate factors away from the training's, and times its face sizes: beyond these a warning is given.
STRANGE_CRF, STRANGE_FACE = 6.0, 1.5


@dataclass(frozen=True)
class Looked:
    """What was seen of a photo or video: the frames that were looked at, (frame, track, box) of each of N faces in
    them, and their crops (N, S, S, 3). Detectors of one preparation see the same."""

    medium: Medium
    frames: Sequence[int]
    faces: Sequence[tuple[int, int, Box]]
    crops: Crops


def look(medium: Medium, detector: Detector, frames: Sequence[int] | None = None, count: int | None = None) -> Looked:
    """Find the faces of a photo or a video. frames: the numbers of those to look at; None: `count` spread over all.

    Only the crops of the faces found are held, whatever the video's length. Raises: VideoError where the video is
    damaged, or frames that are wanted cannot be decoded.
    """
    count = count or detector.verdict.frames
    wanted = sorted(set(frames)) if frames is not None else spread(medium.frames, count)
    watch = Watch(medium, wanted)
    found, crops = find_faces(_seen(watch, wanted), detector)
    if watch.medium.frames < medium.frames:  # some that were wanted do not exist
        wanted = (
            [n for n in wanted if n < watch.medium.frames] if frames is not None else spread(watch.medium.frames, count)
        )
        watch = Watch(watch.medium, wanted)
        found, crops = find_faces(_seen(watch, wanted), detector)
    size = detector.preparation.crop_size
    return Looked(watch.medium, wanted, found, np.stack(crops) if crops else np.empty((0, size, size, 3), np.uint8))


def judge(looked: Looked, detector: Detector, networks: Networks) -> Judgement:
    """Judge the faces that were found for a detector of this preparation."""
    scores = networks.scores(looked.crops) if looked.faces else np.empty((0, 1))
    sightings = []
    for (frame, track, box), crop, row in zip(looked.faces, looked.crops, scores, strict=True):
        sharp = sharpness(crop)
        usable = box[2] >= detector.verdict.min_size and sharp >= BLUR * detector.seen.sharpness[0]
        sightings.append(Sighting(frame, track, box, sharp, usable, tuple(row.tolist())))
    return conclude(looked.medium, detector, networks.runtime, looked.frames, sightings, looked.crops)


def _seen(watch: Watch, wanted: Sequence[int]) -> Iterator[tuple[int, Image]]:
    """A long video is decoded whole, which takes minutes."""
    return progress(watch, len(wanted), f"look at {watch.medium.name}", "frame", inner=True)


def conclude(
    medium: Medium,
    detector: Detector,
    runtime: str,
    frames: Sequence[int],
    sightings: Sequence[Sighting],
    crops: Crops,
) -> Judgement:
    """From scored faces to the verdict."""
    numbers = sorted({one.track for one in sightings})
    single = len(frames) == 1
    tracks = [_judged([s for s in sightings if s.track == number], detector, single) for number in numbers]
    judged = [track for track in tracks if not track.why]
    if any(track.verdict == "fake" for track in judged):
        verdict: Verdict = "fake"
    elif judged and all(track.verdict == "real" for track in judged):
        verdict = "real"
    else:
        verdict = "undecided"
    why = "" if judged else _why_not(tracks, len(frames))
    if judged and verdict == "undecided":
        why = "the score lies between the two thresholds"
    warnings = _warnings(medium, detector, [s for track in judged for s in track.usable])
    if verdict == "fake" and len(judged) > 1:
        warnings.append(f"the accepted rate of false alarms is one person's; here are {len(judged)}")
    return Judgement(medium, detector, runtime, verdict, why, frames, tracks, warnings, crops)


def _judged(sightings: Sequence[Sighting], detector: Detector, single: bool) -> Track:
    usable = [one for one in sightings if one.usable]
    number = sightings[0].track
    if not usable:
        small = sum(one.box[2] < detector.verdict.min_size for one in sightings)
        size = f"smaller than {detector.verdict.min_size} px" if 2 * small > len(sightings) else "too blurred"
        return Track(number, sightings, None, None, "undecided", f"every face is {size}")
    score = float(np.mean([one.score for one in usable]))
    calibration = detector.image if single else detector.video
    probability = float(calibration.probability(score))
    least = 1 if single else detector.verdict.min_faces
    if len(usable) < least:
        return Track(number, sightings, score, probability, "undecided", f"only {_faces(len(usable))} to judge by")
    return Track(number, sightings, score, probability, calibration.verdict(probability))


def _why_not(tracks: Sequence[Track], frames: int) -> str:
    if not tracks:
        return f"no face in {'the photo' if frames == 1 else f'any of {frames} frames'}"
    longest = max(tracks, key=lambda track: len(track.sightings))
    return longest.why


def _warnings(medium: Medium, detector: Detector, usable: Sequence[Sighting]) -> list[str]:
    """How the file is unlike what the detector was trained on."""
    found = []
    away = medium.quality.crf - detector.crf
    if abs(away) > STRANGE_CRF:
        more = "more" if away > 0 else "less"
        found.append(
            f"{more} compressed (about crf {medium.quality.crf:.0f}) than what the {detector.quality} detector was "
            f"trained on ({'raw' if not detector.crf else f'crf {detector.crf:.0f}'})"
        )
    if usable:
        side = float(np.median([one.box[2] for one in usable]))
        low, high = detector.seen.face
        if not low / STRANGE_FACE <= side <= high * STRANGE_FACE:
            found.append(f"faces of {side:.0f} px, trained on {low:.0f} to {high:.0f} px")
    return found


def _faces(count: int) -> str:
    return f"{count} face{'s' * (count != 1)}"
