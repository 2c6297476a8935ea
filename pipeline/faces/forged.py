"""Which face of a video its fakes forge. One box serves a target and all its fakes, so it must hold that face.

The largest face is a guess. Where a video shows several, its frames are compared with those of its fakes.
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
# Shares of all that differs between two frames that lie in a face's box.
MOST = 0.5  # that face is forged
MUCH = 0.3  # it may be: what differs reaches beyond the box, or a second face is forged
PLACES = 4  # where most differs, at which a face is looked for
SAME = 0.3  # intersection over union: above it two boxes are of one face; two faces that touch have less

SAME_FRAME = "this frame of the fake is its target's: nothing is forged"
OTHER_FACE = "another face is forged than the one in its target's box"
NO_FRAME = "the frame cannot be compared with its target's"
UNDECIDED = "several faces, and the fake does not differ enough from its target to tell the forged one"
NO_TARGET = "several faces, and no target here that tells the forged one"

Square = tuple[int, int, int]  # left, top, size in pixels of the frame


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


def is_forged(target: Path, fakes: Sequence[Fake], largest: Mapping[int, Face | None]) -> bool:
    """Whether each fake differs from the target in its largest face, in the first PROBE frames of `largest`."""
    proved: set[Fake] = set()
    for frame, _, found in _compared(target, fakes, sorted(largest)[:PROBE]):
        face = largest[frame]
        for fake, one in zip(fakes, found, strict=True):
            if one is not None and one.significant:
                if face is None or one.share(face) < MOST:
                    return False
                proved.add(fake)
    return len(proved) == len(fakes)


class Comparison:
    """A target compared with its fakes in every frame of `largest`: frame -> its largest face, or None.

    found: frame -> what each fake changes in it; votes: of each fake, frame -> the face that it forges there;
    forged: frame -> the face that most fakes forge there. Frames that tell nothing are in neither of the last two.
    """

    def __init__(self, target: Path, fakes: Sequence[Fake], largest: Mapping[int, Face | None]) -> None:
        self.target, self.fakes, self.largest = target, fakes, largest
        self.found: dict[int, list[Difference | None]] = {}
        self.votes: list[dict[int, Face]] = [{} for _ in fakes]
        self.forged: dict[int, Face] = {}
        for frame, image, found in _compared(target, fakes, sorted(largest)):
            self.found[frame] = found
            for one, votes in zip(found, self.votes, strict=True):
                if one is not None and one.significant and (face := _forged(image, one, largest[frame])) is not None:
                    votes[frame] = face
            if (face := _common([votes[frame] for votes in self.votes if frame in votes])) is not None:
                self.forged[frame] = face

    def follow(self) -> Iterator[tuple[int, Image, Face | None]]:
        """Yield each frame (number, RGB image (H, W, 3)) with the forged face, which the nearest frame tells where its
        own does not. Where no frame tells it, it is the largest."""
        for frame, image in read_frames(self.target, self.largest):
            if not self.forged:
                yield frame, image, self.largest[frame]
            elif frame in self.forged:
                yield frame, image, self.forged[frame]
            else:
                yield frame, image, self._near(image, frame)

    def refused(self, squares: Mapping[int, Square], several: bool) -> Iterator[Refused]:
        """The fakes' frames whose square shows no forged face. several: the target shows more than one face."""
        for number, fake in enumerate(self.fakes):
            for frame in squares:
                if cause := self._cause(number, frame, squares, several):
                    yield Refused(fake.set, fake.video, frame, cause)

    def _cause(self, number: int, frame: int, squares: Mapping[int, Square], several: bool) -> str:
        """Why the frame of one fake is refused, empty where it is not.

        A frame that tells nothing by itself, of a mouth that hardly moved, is as the nearest one of the same fake.
        """
        found, votes = self.found[frame][number], self.votes[number]
        if found is None:
            return NO_FRAME
        if found.unchanged:
            return SAME_FRAME
        if not votes:
            return UNDECIDED if several else ""
        nearest = _nearest(votes, frame)
        x, y = votes[nearest].centre
        left, top, size = squares.get(nearest, squares[frame])
        return "" if left < x < left + size and top < y < top + size else OTHER_FACE

    def _near(self, image: Image, frame: int) -> Face | None:
        """The face in a frame that does not tell it: where the nearest frame that does has it."""
        last = self.forged[_nearest(self.forged, frame)]
        largest = self.largest[frame]
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
    """The face that lies where a frame of a fake differs most; None where no face is found.

    A fake may carry a mark or a subtitle: where there is no face the next places are tried.
    """
    for _ in range(PLACES):
        if not changed.significant:
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
