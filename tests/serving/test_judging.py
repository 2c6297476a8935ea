"""Which verdict follows from which faces, and who is who among them."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.crops.sharpness import sharpness
from pipeline.evaluation.calibration import Calibration
from pipeline.faces import search
from pipeline.faces.geometry import Face
from pipeline.faces.search import detect, detect_every
from pipeline.serving.inputs import Medium, gather, open_medium
from pipeline.serving.judgement import Judgement, Sighting
from pipeline.serving.judging import Looked, conclude, judge, look
from pipeline.serving.loading import load_family
from pipeline.serving.people import Tracks
from pipeline.serving.shipped import Detector, read
from pipeline.videos.quality import Quality
from pipeline.videos.sampling import spread
from pipeline.work.errors import UserError
from tests.aids.clips import faces
from tests.aids.shipping import Run


@pytest.fixture
def detector(shipped: Run) -> Detector:
    """Scores are taken for probabilities; fake above 0.8, real below 0.2, and at least four faces."""
    rates = {"false_alarms": 0.05, "misses": 0.05, "reals": 99, "fakes": 99, "people": 9, "holds": True}
    plain = Calibration(slope=1, offset=0, real_below=0.2, fake_above=0.8, **rates)  # type: ignore[arg-type]
    return read(shipped.detectors / "raw").model_copy(update={"video": plain, "image": plain})


def sightings(scores: list[float], track: int = 0, usable: bool = True, size: int = 90) -> list[Sighting]:
    return [Sighting(n, track, (5, 5, size), 100.0, usable, (score,)) for n, score in enumerate(scores)]


def verdict(detector: Detector, *groups: list[Sighting], crf: float = 0.0, frames: int = 6) -> Judgement:
    quality = Quality("h264", 0.1, crf, crf)
    medium = Medium(Path("x.mp4"), frames == 1, frames, Fraction(25), 640, 360, quality)
    return conclude(medium, detector, "torch", range(frames), [s for group in groups for s in group], np.empty(0))


@pytest.mark.parametrize(
    ("scores", "said"),
    [([0.9] * 6, "fake"), ([0.1] * 6, "real"), ([0.5] * 6, "undecided"), ([1, 1, 0, 0, 0.5, 0.5], "undecided")],
)
def test_the_mean_against_two_thresholds(scores: list[float], said: str, detector: Detector) -> None:
    found = verdict(detector, sightings(scores))
    assert found.verdict == said and found.decisive is not None
    assert found.decisive.probability == pytest.approx(np.mean(scores))
    assert bool(found.why) == (said == "undecided")


def test_the_most_suspicious_person_decides(detector: Detector) -> None:
    found = verdict(detector, sightings([0.1] * 6, 0), sightings([0.95] * 6, 1))
    assert found.verdict == "fake" and found.decisive is not None and found.decisive.number == 1
    assert verdict(detector, sightings([0.1] * 6, 0), sightings([0.5] * 6, 1)).verdict == "undecided"


def test_a_face_seen_too_seldom_neither_condemns_nor_acquits(detector: Detector) -> None:
    assert verdict(detector, sightings([0.1] * 6, 0), sightings([0.99] * 2, 1)).verdict == "real"
    alone = verdict(detector, sightings([0.99] * 3))
    assert alone.verdict == "undecided" and alone.why == "only 3 faces to judge by" and alone.decisive is None


def test_faces_too_small_or_blurred_do_not_count(detector: Detector) -> None:
    small = verdict(detector, sightings([0.99] * 6, usable=False, size=10))
    blurred = verdict(detector, sightings([0.99] * 6, usable=False))
    assert small.verdict == blurred.verdict == "undecided"
    assert "smaller than 20 px" in small.why and "too blurred" in blurred.why
    mixed = verdict(detector, sightings([0.1] * 4), [Sighting(5, 0, (5, 5, 90), 0.1, False, (0.99,))])
    assert mixed.verdict == "real" and mixed.decisive is not None and mixed.decisive.score == pytest.approx(0.1)


def test_which_faces_can_be_judged_by_their_size_and_sharpness(shipped: Run, detector: Detector) -> None:
    size, least = detector.preparation.crop_size, detector.verdict.min_size
    sharp = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 5)
    seen = detector.seen.model_copy(update={"sharpness": (sharpness(sharp), 2 * sharpness(sharp))})
    medium = Medium(Path("x.mp4"), False, 3, Fraction(25), 640, 360, Quality("h264", 0.1, 0, 0))
    boxes = [(0, 0, (5, 5, least)), (1, 0, (5, 5, least - 1)), (2, 0, (5, 5, 90))]
    looked = Looked(medium, range(3), boxes, np.stack([sharp, sharp, blurred]))
    networks = load_family([shipped.detectors]).networks("raw")
    found = judge(looked, detector.model_copy(update={"seen": seen}), networks)
    assert [face.usable for face in found.tracks[0].sightings] == [True, False, False]
    assert [face.score for face in found.tracks[0].sightings] == list(networks.scores(looked.crops).mean(1))


def test_frames_that_a_container_counts_and_never_shows_are_not_looked_for(shipped: Run, detector: Detector) -> None:
    """Others take their place, unless the frames were named."""
    medium = open_medium(shipped.video("v0"))
    counted = replace(medium, frames=medium.frames + 5)
    looked = look(counted, detector, count=4)
    assert (looked.medium.frames, looked.frames) == (medium.frames, spread(medium.frames, 4))
    same = look(medium, detector, count=4)
    assert looked.faces == same.faces and np.array_equal(looked.crops, same.crops)
    named = look(counted, detector, frames=[0, 2, medium.frames])
    assert named.frames == [0, 2] and {frame for frame, _, _ in named.faces} == {0, 2}


def test_a_photo_is_judged_by_one_face(detector: Detector) -> None:
    strict = detector.model_copy(update={"video": detector.video.model_copy(update={"fake_above": 1.0})})
    assert verdict(strict, sightings([0.9]), frames=1).verdict == "fake"
    assert verdict(strict, sightings([0.9] * 6)).verdict == "undecided"


def test_what_is_unlike_the_training_is_told(detector: Detector) -> None:
    assert verdict(detector, sightings([0.1] * 6)).warnings == []
    (worse,) = verdict(detector, sightings([0.1] * 6), crf=35).warnings
    (large,) = verdict(detector, sightings([0.1] * 6, size=400)).warnings
    assert "more compressed (about crf 35)" in worse and "faces of 400 px" in large
    trained = detector.model_copy(update={"crf": 23.0, "seen": detector.seen.model_copy(update={"face": (80.0, 90.0)})})
    assert verdict(trained, sightings([0.1] * 6, size=60), crf=20).warnings == []
    better, small = verdict(trained, sightings([0.1] * 6, size=50), crf=0).warnings
    assert "less compressed" in better and "faces of 50 px" in small


def test_false_alarms_are_those_of_one_person(detector: Detector) -> None:
    found = verdict(detector, sightings([0.95] * 6, 0), sightings([0.1] * 6, 1))
    assert found.verdict == "fake" and any("one person's; here are 2" in warning for warning in found.warnings)
    assert verdict(detector, sightings([0.95] * 6, 0), sightings([0.1] * 2, 1)).warnings == []


def test_two_people_keep_their_tracks_when_they_come_and_go() -> None:
    def at(x: float, width: float = 100) -> Face:
        return Face(x, 50, x + width, 50 + width)

    tracks = Tracks()
    assert tracks.add([at(0), at(300)]) == [0, 1]
    assert tracks.add([at(320), at(30)]) == [1, 0]  # the detector's order is no identity
    assert tracks.add([at(310)]) == [1]
    assert tracks.add([at(600), at(60), at(315)]) == [2, 0, 1]
    assert tracks.add([at(60, 250)]) == [3]  # of another size: another face
    assert tracks.add([]) == []
    for _ in range(9):
        tracks.add([])
    assert tracks.add([at(60)]) == [4]


def test_every_face_is_found_once_and_the_first_is_detects() -> None:
    (face,) = faces(1)
    height, width = face.shape[:2]
    scene = np.full((2 * height, 3 * width, 3), 90, np.uint8)
    scene[:height, :width] = face
    scene[height:, 2 * width :] = face
    found = detect_every(scene, 400)
    assert len(found) == 2 and found[0] == detect(scene, 400)
    assert {round(one.centre[0] > scene.shape[1] / 2) for one in found} == {0, 1}
    for image in faces(3):
        assert detect_every(image, 400)[:1] == [detect(image, 400)]


def test_a_small_face_of_a_large_photo_is_found_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the photo is too large to be searched at twice its size."""
    scene = np.full((500, 640, 3), 90, np.uint8)
    scene[300:388, 400:512] = cv2.resize(faces(1)[0], (112, 88), interpolation=cv2.INTER_AREA)
    assert not detect_every(scene, 400, thorough=False)
    (found,) = detect_every(scene, 400)
    monkeypatch.setattr(search, "LARGEST", 1200)
    (bounded,) = detect_every(scene, 400)
    assert bounded != found and np.abs(np.subtract(bounded, found)).max() < 5


def test_frames_are_spread_over_the_whole_video() -> None:
    assert spread(100, 4) == [12, 37, 62, 87] and spread(3, 10) == [0, 1, 2] and spread(1, 32) == [0]
    assert spread(7500, 32)[0] < 250 and spread(7500, 32)[-1] > 7250


def test_files_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("a.mp4", "sub/b.webm", "sub/.c", "odd[1].mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    every = gather([str(tmp_path)]).files
    assert [path.name for path in every] == ["a.mp4", "odd[1].mp4", "b.webm"]
    assert gather([f"{tmp_path}/**/*.webm", f"{tmp_path}/sub"]).files == [tmp_path / "sub/b.webm"]
    assert gather([f"{tmp_path}/odd[1].mp4", "gone.mp4"]).files == [tmp_path / "odd[1].mp4", Path("gone.mp4")]
    (tmp_path / "void").mkdir()
    with pytest.raises(UserError, match="holds no file"):
        gather([str(tmp_path / "void")])
