from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.faces import search
from pipeline.faces.geometry import Face, square_box
from pipeline.faces.search import detect, detect_near, landmarks
from pipeline.work.errors import UserError
from tests.aids.faces68 import draw, face68

SKIN = (200, 160, 140)


@pytest.mark.parametrize(
    ("size", "centre", "width"),
    [((320, 240), (160, 120), 110), ((1280, 960), (700, 500), 420), ((480, 360), (300, 180), 60)],
)
def test_a_face_is_found_at_its_place_whatever_the_frame(
    size: tuple[int, int], centre: tuple[float, float], width: float
):
    face = detect(draw(face68(centre, width), size, SKIN), 400)
    assert face is not None
    assert np.hypot(face.centre[0] - centre[0], face.centre[1] - centre[1]) < 0.3 * width
    assert 0.7 * width < face.width < 1.5 * width


def test_a_face_too_small_for_the_scaled_frame_is_found_at_full_size():
    frame = draw(face68((900, 300), 60), (1200, 600), SKIN)
    assert detect(frame, max_side=400) is not None


def test_the_largest_of_two_faces_is_taken():
    frame = draw(face68((110, 150), 90), (480, 300), SKIN)
    other = draw(face68((340, 150), 150), (480, 300), SKIN)
    frame[:, 230:] = other[:, 230:]
    face = detect(frame, 400)
    assert face is not None and abs(face.centre[0] - 340) < 40


def test_no_face_is_none():
    ramp = np.tile(np.arange(240, dtype=np.uint8)[:, None, None], (1, 320, 3))
    assert detect(ramp, 400) is None
    assert detect_near(ramp, Face(100, 80, 200, 180)) is None
    assert detect_near(ramp, Face(900, 80, 1000, 180)) is None


def test_a_face_is_found_again_after_it_moved_a_little():
    first = detect(draw(face68((150, 120), 110), (320, 240), SKIN), 400)
    assert first is not None
    again = detect_near(draw(face68((165, 128), 110), (320, 240), SKIN), first)
    assert again is not None
    assert np.hypot(again.centre[0] - 165, again.centre[1] - 128) < 30


def test_a_face_that_is_found_again_far_from_the_corner_is_in_the_frames_pixels():
    frame = draw(face68((615, 458), 110), (900, 700), SKIN)
    again = detect_near(frame, Face(545, 395, 655, 505))
    assert again is not None
    assert np.hypot(again.centre[0] - 615, again.centre[1] - 458) < 30


def test_an_unreadable_landmark_model_is_named(tmp_path: Path):
    model = tmp_path / "model.dat"
    model.write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"model\.dat"):
        landmarks(np.zeros((240, 320, 3), np.uint8), Face(100, 80, 200, 180), model)


@pytest.mark.parametrize(
    ("face", "frame", "expected"),
    [
        (Face(100, 100, 200, 200), (640, 480), (85, 85, 130)),  # in the middle: 15 px more on each side
        (Face(0, 10, 100, 110), (640, 480), (0, 0, 130)),  # shifted inside, not cut
        (Face(580, 400, 680, 500), (640, 480), (510, 350, 130)),
        (Face(10, 10, 310, 310), (640, 300), (10, 0, 300)),  # no larger than the frame
    ],
)
def test_square_box(face: Face, frame: tuple[int, int], expected: tuple[int, int, int]):
    assert square_box(face, *frame, enlarge=1.3) == expected


class Dot:
    """In place of dlib's predictor: all 68 landmarks on the brightest pixel of the patch that it is given."""

    def __call__(self, patch: np.ndarray, box: object) -> "Dot":
        y, x = np.unravel_index(patch.sum(axis=2).argmax(), patch.shape[:2])
        self.found = SimpleNamespace(x=int(x), y=int(y))
        return self

    def parts(self) -> list[SimpleNamespace]:
        return [self.found] * 68


@pytest.mark.parametrize("face", [Face(100, 80, 200, 180), Face(10, 20, 74, 84), Face(150, 100, 182, 132)])
def test_landmarks_come_back_in_the_frames_coordinates(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the face lies, also at the frame's edge, and at whatever scale it was looked at: at pixel centres."""
    monkeypatch.setattr(search, "_predictor", lambda model: Dot())
    for across, down in ((0.2, 0.7), (0.8, 0.4)):
        x, y = int(face.left + across * face.width), int(face.top + down * face.width)
        frame = np.zeros((240, 320, 3), np.uint8)
        frame[y, x] = 255
        points = landmarks(frame, face, Path("unused.dat"))
        assert points.shape == (68, 2)
        np.testing.assert_allclose(points[0], (x, y), atol=0.26)


def test_landmarks_of_a_face_outside_the_frame_are_none() -> None:
    with pytest.raises(ValueError, match="outside"):
        landmarks(np.zeros((240, 320, 3), np.uint8), Face(900, 80, 1000, 180), Path("unused.dat"))
