"""Faces and their 68 landmarks in every frame of a video, steady enough to warp by.

Detections and landmarks of single frames jitter by a pixel, which a warp shows as trembling: both are smoothed over
time, never across a cut or a jump to another face. Short gaps are bridged; in longer ones there is no face.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from math import dist
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from pipeline.faces.geometry import Face
from pipeline.faces.search import detect, detect_near, landmarks
from pipeline.faces.tracks import Track, writing
from pipeline.videos.manifests import read_manifest
from pipeline.videos.reading import read_frames
from pipeline.work.errors import UserError
from pipeline.work.parallel import Rejected, Workers, map_videos
from pipeline.work.resume import Scratch

BOX_SIGMA, POINT_SIGMA = 2.0, 1.0  # frames
MAX_GAP = 5  # frames without a detection that are bridged: a missed blur or blink, not a hand or a turned head
MIN_RUN = 3  # frames: a shorter run is a false alarm of the detector
JUMP = 0.5  # face widths a frame: a faster face is another face, or the other side of a cut
REDETECT = 12  # frames between searches of the whole frame, where the largest face may have become another one


def track_set(
    videos: Path,
    out: Path,
    max_side: int,
    model: Path,
    workers: Workers = None,
    keep: Scratch | None = None,
) -> str:
    """Write the tracks of every video in videos/manifest.csv to `out` (see faces.tracks).

    Returns a line that tells what there is, and which videos cannot be read. Raises: UserError where none can.
    """
    names = list(read_manifest(videos)["video"])
    work = partial(_track, videos=videos, max_side=max_side, model=model)
    unread: list[str] = []
    frames = found = 0
    results = map_videos(work, names, workers=workers, what="landmarks", keep=keep)
    with writing(out) as write:
        for name, result in zip(names, results, strict=True):
            if isinstance(result, Rejected):
                unread.append(f"{name} ({result.cause})")
            else:
                write(name, result)
                frames, found = frames + len(result.found), found + int(result.found.sum())
        if not frames:
            raise UserError(f"{videos}: no video could be read: {'; '.join(unread) or 'there are none'}")
    outcome = f"{len(names) - len(unread)} videos, a face in {found} of {frames} frames"
    return f"{outcome}; cannot be read: {'; '.join(unread)}" if unread else outcome


def track(video: Path, max_side: int, model: Path) -> Track:
    """Follow the largest face through a video. max_side: see search.detect_all; model: see search.landmarks.

    Raises VideoError where the video cannot be decoded.
    """
    faces = list(_follow(video, max_side))
    found = np.zeros(len(faces), dtype=bool)
    boxes = np.full((len(faces), 4), np.nan)
    parts = runs(faces)
    for run in parts:
        found[run] = True
        boxes[run] = smooth(np.array([faces[i] for i in run], dtype=float), run, BOX_SIGMA)[run - run[0]]
    points = np.full((len(faces), 68, 2), np.nan)
    for index, image in read_frames(video):  # again, for the smoothed boxes need all frames
        if index < len(found) and found[index]:
            points[index] = landmarks(image, Face(*boxes[index]), model)
    for run in parts:
        points[run[0] : run[-1] + 1] = smooth(points[run], run, POINT_SIGMA)
    return Track(found, points)


def runs(faces: Sequence[Face | None]) -> list[NDArray[np.intp]]:
    """The frame numbers of each unbroken appearance of one face: gaps of at most MAX_GAP frames, no jumps."""
    frames = [index for index, face in enumerate(faces) if face is not None]
    breaks = [position for position, (a, b) in enumerate(pairwise(frames), start=1) if _broken(faces, a, b)]
    parts = np.split(np.array(frames, dtype=np.intp), breaks)
    return [part for part in parts if len(part) >= MIN_RUN]


def smooth(values: NDArray[np.float64], frames: NDArray[np.intp], sigma: float) -> NDArray[np.float64]:
    """Interpolate `values` (n, ...), known at the ascending `frames` (n,), to every frame from the first to the last,
    and smooth them by a Gaussian over time (sigma in frames)."""
    every = np.arange(frames[0], frames[-1] + 1)
    flat = values.reshape(len(frames), -1)
    dense = np.stack([np.interp(every, frames, column) for column in flat.T], axis=1)
    return np.asarray(gaussian_filter1d(dense, sigma, axis=0, mode="nearest")).reshape(len(every), *values.shape[1:])


def _track(name: str, videos: Path, max_side: int, model: Path) -> Track:
    return track(videos / f"{name}.mp4", max_side, model)


def _follow(video: Path, max_side: int) -> Iterator[Face | None]:
    """The detector's box of the face in each frame."""
    anchor: Face | None = None  # its size sets the scale of the search: one that followed each box would swing
    last: Face | None = None
    for index, image in read_frames(video):
        face = None
        if anchor is not None and last is not None and index % REDETECT:
            face = detect_near(image, anchor.centred_on(last))
        if face is None:
            face = anchor = detect(image, max_side)
        last = face
        yield face


def _broken(faces: Sequence[Face | None], a: int, b: int) -> bool:
    first, second = faces[a], faces[b]
    assert first is not None and second is not None
    distance = dist(first.centre, second.centre)
    grown = max(first.width, second.width) / min(first.width, second.width)
    return b - a - 1 > MAX_GAP or distance > JUMP * first.width * min(b - a, 2) or grown > 2
