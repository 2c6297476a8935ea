"""A self-contained page for one file: the verdict in words, its scores over time, the most suspicious faces."""

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from pipeline.faces.boxes import Image, png
from pipeline.serving.inputs import shown
from pipeline.serving.judgement import Judgement, Sighting, Track, probabilities
from pipeline.serving.networks import Networks, windows
from pipeline.serving.outputs import LIMITS, basis

FACES = 8
SHOWN = 6  # tracks
WORDS = {
    "fake": "This looks forged.",
    "real": "No sign of the known forgeries.",
    "undecided": "This cannot be told.",
}
LEFT, RIGHT, TOP, BOTTOM = 34.0, 710.0, 12.0, 172.0  # the timeline's frame in px of its drawing
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


@dataclass(frozen=True)
class Shown:
    """A face on the page: PNGs of what the networks see, and of where they look, as base64."""

    sighting: Sighting
    probability: float
    seconds: float
    face: str
    heat: str | None


def page(judgement: Judgement, networks: Networks) -> str:
    """The page as HTML, without a script or an address outside it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    tracks = sorted(judgement.tracks, key=lambda track: -(track.probability or -1.0))[:SHOWN]
    return environment.get_template("page.html.j2").render(
        j=judgement,
        name=shown(judgement.medium.path.name),
        words=WORDS[judgement.verdict],
        basis=basis(judgement),
        used=judgement.detector.image if len(judgement.frames) == 1 else judgement.detector.video,
        curves=[(track, COLOURS[n % len(COLOURS)], _points(track, judgement)) for n, track in enumerate(tracks)],
        level=_level,
        box=(LEFT, RIGHT, TOP, BOTTOM),
        ticks=_ticks(judgement),
        faces=suspicious(judgement, networks),
        limits=LIMITS,
        hidden=len(judgement.tracks) - len(tracks),
    )


def suspicious(judgement: Judgement, networks: Networks, count: int = FACES) -> list[Shown]:
    """The faces with the highest scores, in falling order, with their maps where the networks can draw them."""
    order = sorted(enumerate(judgement.sightings), key=lambda pair: (not pair[1].usable, -pair[1].score))[:count]
    if not order:
        return []
    crops = judgement.crops[[place for place, _ in order]]
    maps = networks.maps(crops)
    faces = windows(crops, judgement.detector.preparation)
    shown = []
    for number, (_, sighting) in enumerate(order):
        face = np.ascontiguousarray(faces[number])
        heat = None if maps is None else _encode(heated(face, maps[number]))
        probability = float(judgement.detector.image.probability(sighting.score))
        seconds = judgement.medium.seconds(sighting.frame)
        shown.append(Shown(sighting, probability, seconds, _encode(face), heat))
    return shown


def heated(image: Image, heat: NDArray[np.float32]) -> Image:
    """An RGB image (S, S, 3) under a map (S, S) in 0..1: red where it speaks for fake."""
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = 0.65 * heat[..., None]
    return np.asarray(image * (1 - share) + colours * share, dtype=np.uint8)


def _points(track: Track, judgement: Judgement) -> list[tuple[float, float, bool]]:
    """(x, y, usable) of each face in the timeline."""
    span = max(judgement.medium.frames - 1, 1)
    values = probabilities(track, judgement.detector)
    return [
        (LEFT + (RIGHT - LEFT) * one.frame / span, _level(float(value)), one.usable)
        for one, value in zip(track.sightings, values, strict=True)
    ]


def _level(probability: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * probability


def _ticks(judgement: Judgement) -> list[tuple[float, str]]:
    length = judgement.medium.seconds(max(judgement.medium.frames - 1, 1))
    if judgement.medium.photo or length <= 0:
        return []
    steps = [LEFT + (RIGHT - LEFT) * part / 4 for part in range(5)]
    return [(x, _clock(length * part / 4, length)) for part, x in enumerate(steps)]


def _clock(seconds: float, length: float) -> str:
    if length < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _encode(image: Image) -> str:
    return base64.b64encode(png(np.ascontiguousarray(image))).decode()
