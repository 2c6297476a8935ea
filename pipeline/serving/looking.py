"""Every face of the frames that are looked at: where it is, whose it is, and its crop."""

from collections.abc import Iterable, Iterator

from pipeline.crops.samples import resized
from pipeline.faces.boxes import Box, Image, cut
from pipeline.faces.geometry import square_box
from pipeline.faces.search import detect_every
from pipeline.serving.people import Tracks
from pipeline.serving.shipped import Detector

FUTILE = 6  # frames in a row without a face, after which the slow search is left out


def find_faces(
    frames: Iterable[tuple[int, Image]], detector: Detector
) -> tuple[list[tuple[int, int, Box]], list[Image]]:
    """Every face in the frames: (frame, track, box) of each, and their crops in the same order."""
    found, crops = [], []
    for frame, track, box, square in _look(frames, detector):
        found.append((frame, track, box))
        crops.append(resized(square, detector.preparation.crop_size))
    return found, crops


def _look(frames: Iterable[tuple[int, Image]], detector: Detector) -> Iterator[tuple[int, int, Box, Image]]:
    """Yield (frame, track, box, its pixels) of every face, by frame and track."""
    preparation, tracks, futile = detector.preparation, Tracks(), 0
    for frame, image in frames:
        faces = detect_every(image, preparation.max_side, thorough=futile < FUTILE)
        futile = 0 if faces else futile + 1
        height, width = image.shape[:2]
        boxes = [square_box(face, width, height, preparation.enlarge) for face in faces]
        for track, box in sorted(zip(tracks.add(faces), boxes, strict=True)):
            yield frame, track, box, cut(image, box)
