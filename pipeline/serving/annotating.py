"""The file again with a box and a score at each face and, on request, a map of where the networks look."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.faces.boxes import Image, png
from pipeline.serving.judgement import Judgement, Sighting, Track, probabilities
from pipeline.serving.networks import Networks
from pipeline.serving.page import heated
from pipeline.serving.shipped import Preparation
from pipeline.videos.writing import write_video
from pipeline.work.files import whole
from pipeline.work.progress import progress

COLOURS = {"fake": (213, 94, 0), "real": (0, 158, 115), "undecided": (150, 150, 150)}
MADE = {"comment": "annotated by a deepfake detector"}
HOLD = 1.0  # seconds that a box stays before the first and after the last sighting
Place = tuple[float, float, float, float, Sighting]  # left, top, size, probability, the nearest sighting


def annotate(judgement: Judgement, out: Path, networks: Networks | None = None) -> None:
    """Write the file again with what was found: a video as MP4 (H.264, without sound), a photo as PNG.

    networks: draw where they look, too. The file appears whole or not at all. Raises: VideoError.
    """
    medium = judgement.medium
    places = {track.number: _places(track, judgement) for track in judgement.tracks}
    maps = networks.maps(judgement.crops) if networks is not None and len(judgement.crops) else None
    heat = {} if maps is None else {(s.frame, s.track): maps[n] for n, s in enumerate(judgement.sightings)}
    drawn = (_draw(image, frame, places, heat, judgement) for frame, image in medium.read())
    if medium.photo:
        with whole(out) as part:
            part.write_bytes(png(next(drawn)))
        return
    odd_width, odd_height = medium.width % 2, medium.height % 2  # which H.264 cannot have
    even = (cv2.copyMakeBorder(image, 0, odd_height, 0, odd_width, cv2.BORDER_REPLICATE) for image in drawn)
    frames = progress((np.asarray(image, np.uint8) for image in even), medium.frames, f"annotate {out.name}", "frame")
    size = (medium.width + odd_width, medium.height + odd_height)
    write_video(out, frames, medium.fps, size, crf=20, metadata=MADE)


def _places(track: Track, judgement: Judgement) -> dict[int, Place]:
    """Where the track's box is in each frame: seen, or between two sightings, or held for a moment."""
    sightings, values = track.sightings, probabilities(track, judgement.detector)
    found: dict[int, Place] = {
        one.frame: (*one.box, float(value), one) for one, value in zip(sightings, values, strict=True)
    }
    gap = int(2 * HOLD * judgement.medium.fps) + judgement.medium.frames // max(len(judgement.frames), 1)
    for first, second in pairwise(sightings):
        if second.frame - first.frame > gap:
            continue
        for frame in range(first.frame + 1, second.frame):
            share = (frame - first.frame) / (second.frame - first.frame)
            left, top, size, value = (
                a + share * (b - a) for a, b in zip(found[first.frame][:4], found[second.frame][:4], strict=True)
            )
            found[frame] = (left, top, size, value, first if share < 0.5 else second)
    hold = int(HOLD * judgement.medium.fps)
    for edge, step in ((sightings[0], -1), (sightings[-1], 1)):
        for away in range(1, hold + 1):
            found.setdefault(edge.frame + step * away, found[edge.frame])
    return found


def _draw(
    image: Image,
    frame: int,
    places: dict[int, dict[int, Place]],
    heat: dict[tuple[int, int], NDArray[np.float32]],
    judgement: Judgement,
) -> Image:
    image = np.ascontiguousarray(image).copy()
    thick = max(round(min(image.shape[:2]) / 240), 1)
    verdicts = {track.number: track.verdict for track in judgement.tracks}
    for number, at in sorted(places.items()):
        if (place := at.get(frame)) is None:
            continue
        left, top, size = (round(value) for value in place[:3])
        right, bottom = min(left + size, image.shape[1]), min(top + size, image.shape[0])
        if (found := heat.get((place[4].frame, number))) is not None and right > left and bottom > top:
            _lay_over(image[top:bottom, left:right], found, size, judgement.detector.preparation)
        colour = COLOURS[verdicts[number]]
        cv2.rectangle(image, (left, top), (right - 1, bottom - 1), colour, thick)
        _write(image, f"fake {place[3]:.2f}", (left + 2 * thick, top + 12 * thick), thick, colour)
    said = str(judgement.verdict)
    if judgement.decisive is not None:
        said = f"{said} (probability of fake {judgement.decisive.probability:.2f})"
    _write(image, f"{said}; {judgement.detector.quality} detector", (4 * thick, image.shape[0] - 5 * thick), thick)
    return image


def _lay_over(face: Image, heat: NDArray[np.float32], size: int, preparation: Preparation) -> None:
    """Draw a map over the middle of a face's square of `size` px, the part that the networks see; in place."""
    edge = size * (preparation.crop_size - preparation.image_size) // preparation.crop_size // 2
    inner = face[edge : len(face) - edge, edge : face.shape[1] - edge]
    if inner.size:
        inner[:] = heated(inner, np.asarray(cv2.resize(heat, inner.shape[1::-1]), dtype=np.float32))


def _write(
    image: Image, text: str, place: tuple[int, int], thick: int, colour: tuple[int, int, int] = (255, 255, 255)
) -> None:
    """In outlined letters that fit between `place` (left, bottom) and the right edge."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.4 * thick
    (width, _), _ = cv2.getTextSize(text, font, scale, thick)
    scale *= min(1.0, max(image.shape[1] - place[0] - thick, 1) / max(width, 1))
    for shade, pen in (((0, 0, 0), 3 * thick), (colour, thick)):
        cv2.putText(image, text, place, font, scale, shade, pen, cv2.LINE_AA)
