"""A photo or a video that tells how far its frames have been read, so that a page can show progress."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

from pipeline.faces.boxes import Image
from pipeline.serving.inputs import Medium

Tell = Callable[[int, int], None]  # frames done, frames wanted


@dataclass(frozen=True)
class Watched(Medium):
    tell: Tell = lambda done, wanted: None

    def read(self, wanted: Sequence[int] | None = None) -> Iterator[tuple[int, Image]]:
        count = self.frames if wanted is None else len(wanted)
        for done, pair in enumerate(super().read(wanted), start=1):
            yield pair
            self.tell(done, count)


def watched(medium: Medium, tell: Tell) -> Watched:
    return Watched(**{one.name: getattr(medium, one.name) for one in fields(Medium)}, tell=tell)
