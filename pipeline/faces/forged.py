"""Which face of a video its fakes forge: one box serves a target and all its fakes, so it must hold that face.

The largest face is a guess. Where a video shows several, the frames of its fakes are compared with its own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pipeline.faces.differences import Difference, Image, difference
from pipeline.faces.geometry import Face
from pipeline.faces.search import detect_around, find_again
from pipeline.videos.reading import read_frames
from pipeline.work.errors import VideoError

PROBE = 3  # frames: the first of a published video that are looked into; decoding ends with them
MOST = 0.5  # of what differs, in the detector's box: that face is forged
MUCH = 0.3  # likewise, where no face has most of it: it reaches beyond the box, or a second face is forged
PLACES = 4  # at which a face is looked for
SAME = 0.3  # intersection over union of two boxes of one face; two faces that touch have less

SAME_FRAME = "this frame of the fake is its target's: nothing is forged"
OTHER_FACE = "another face is forged than the one in its target's box"
NO_FRAME = "the frame cannot be compared with its target's"
UNTOLD = "several faces, and the fake does not differ enough from its target to tell the forged one"
TARGETLESS = "several faces, and no target here that tells the forged one"


class Fake(NamedTuple):
    """A video made from the target: its set, its name, its file."""

    set: str
    video: str
    path: Path


class Refused(NamedTuple):
    """A frame of a fake that shows no forged face in its target's box, and why."""

    set: str
    video: str
    frame: int
    cause: str


def is_forged(target: Path, fakes: Sequence[Fake], seen: Mapping[int, Face | None]) -> bool:
    """Whether each fake differs from the target in the face that was seen, in the first PROBE frames of `seen`."""
    proved: set[Fake] = set()
    for frame, _, found in _compared(target, fakes, sorted(seen)[:PROBE]):
        face = seen[frame]
        for fake, one in zip(fakes, found, strict=True):
            if one is not None and one.told:
                if face is None or one.share(face) < MOST:
                    return False
                proved.add(fake)
    return len(proved) == len(fakes)


class Comparison:
    """A target compared with its fakes in every frame of `seen`: frame -> its largest face, or None."""

    def __init__(self, target: Path, fakes: Sequence[Fake], seen: Mapping[int, Face | None]) -> None:
        self.target, self.fakes, self.seen = target, fakes, seen
        self.found: dict[int, list[Difference | None]] = {}
        self.votes: list[dict[int, Face]] = [{} for _ in fakes]
        self.told: dict[int, Face] = {}
        for frame, image, found in _compared(target, fakes, sorted(seen)):
            self.found[frame] = found
            for one, votes in zip(found, self.votes, strict=True):
                if one is not None and one.told and (face := _forged(image, one, seen[frame])) is not None:
                    votes[frame] = face
            if (face := _common([votes[frame] for votes in self.votes if frame in votes])) is not None:
                self.told[frame] = face

    def follow(self) -> Iterator[tuple[int, Image, Face | None]]:
        """Yield each frame (number, RGB image (H, W, 3)) with the forged face: told by most fakes there, else by the
        nearest frame that tells it; the largest, where none does."""
        for frame, image in read_frames(self.target, self.seen):
            face = self.told.get(frame)
            if face is None and self.told:
                face = self._near(image, frame)
            yield frame, image, self.seen[frame] if face is None and not self.told else face

    def refused(self, squares: Mapping[int, tuple[int, int, int]], several: bool) -> Iterator[Refused]:
        """The fakes' frames whose square (left, top, size) shows no forged face. several: the target has more faces.

        A frame that tells nothing by itself, of a mouth that hardly moved, is as the nearest one of the same fake.
        """
        for number, (fake, votes) in enumerate(zip(self.fakes, self.votes, strict=True)):
            for frame, (left, top, size) in squares.items():
                found = self.found[frame][number]
                cause = NO_FRAME if found is None else SAME_FRAME if found.none else ""
                if not cause and votes:
                    nearest = _nearest(votes, frame)
                    x, y = votes[nearest].centre
                    left, top, size = squares.get(nearest, (left, top, size))
                    cause = "" if left < x < left + size and top < y < top + size else OTHER_FACE
                elif not cause and several:
                    cause = UNTOLD
                if cause:
                    yield Refused(fake.set, fake.video, frame, cause)

    def _near(self, image: Image, frame: int) -> Face | None:
        last = self.told[_nearest(self.told, frame)]
        largest = self.seen[frame]
        return largest if largest is not None and largest.overlap(last) > SAME else find_again(image, last)


def _nearest(known: Iterable[int], frame: int) -> int:
    return min(known, key=lambda one: abs(one - frame))


def _compared(
    target: Path, fakes: Sequence[Fake], frames: Sequence[int]
) -> Iterator[tuple[int, Image, list[Difference | None]]]:
    """Yield each frame (number, image) of the target with what every fake changes in it; None: it has no such frame."""
    readers = [_frames(fake.path, frames) for fake in fakes]
    for frame, image in read_frames(target, frames):
        others = [next(reader) for reader in readers]
        yield (
            frame,
            image,
            [None if other is None or other.shape != image.shape else difference(other, image) for other in others],
        )


def _frames(path: Path, frames: Sequence[int]) -> Iterator[Image | None]:
    with suppress(VideoError):
        for _, image in read_frames(path, frames):
            yield image
    while True:
        yield None


def _forged(image: Image, changed: Difference, largest: Face | None) -> Face | None:
    """The face that lies where a frame of a fake differs most; None where no face is found there, or at the next
    places: a fake may carry a mark or a subtitle."""
    for _ in range(PLACES):
        if not changed.told:
            break
        if largest is not None and changed.share(largest) >= MOST:
            return largest
        place = changed.place()
        faces = [*detect_around(image, place), *([largest] if largest is not None else [])]
        if forged := [face for face in faces if changed.share(face) >= MUCH]:
            best = max(forged, key=changed.density)
            return largest if largest is not None and best.overlap(largest) > SAME else best
        changed = changed.without(place)
    return None


def _common(votes: Sequence[Face]) -> Face | None:
    """The face that most of them name; the first of equals."""
    groups: list[Face] = []
    count: Counter[int] = Counter()
    for vote in votes:
        number = next((n for n, face in enumerate(groups) if face.overlap(vote) > SAME), len(groups))
        groups += [vote] if number == len(groups) else []
        count[number] += 1
    return groups[count.most_common(1)[0][0]] if groups else None
