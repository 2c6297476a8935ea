"""Celeb-DF v2 (Li et al., CVPR 2020), to test trained models on data that they never saw: everyone is in bucket test.

The folder is the data set's own: Celeb-real/id0_0000.mp4, YouTube-real/00000.mp4, Celeb-synthesis/id0_id1_0000.mp4
(the video id0_0000 with the face of id1) and List_of_testing_videos.txt.
"""

import re
from pathlib import PurePosixPath

from pipeline.params.schema import Params
from pipeline.sources.public import Listed, PublicSource
from pipeline.work.errors import UserError

REAL, FAKE = ("Celeb-real", "YouTube-real"), "Celeb-synthesis"
TESTING = "List_of_testing_videos.txt"
SYNTHESIS = re.compile(r"(?P<target>[A-Za-z0-9]+)_(?P<donor>[A-Za-z0-9]+)_(?P<take>[A-Za-z0-9]+)")


class CelebDFSource(PublicSource):
    """The official test list, or every video (params.celebdf.videos). It publishes neither raw nor c23: as it is."""

    section = "celebdf"
    sets: tuple[str, ...] = ("original", "Celeb_synthesis")
    credit = "Celeb-DF v2 (Li et al., CVPR 2020)"
    licence = "Celeb-DF Terms of Use: research only"

    def __init__(self, params: Params) -> None:
        super().__init__(params.celebdf.path, params.celebdf.allow_missing, params.workers)
        self.files = self._testing() if params.celebdf.videos == "testing" else self._all()

    def listed(self, name: str) -> list[Listed]:
        """Reals by person (a video of YouTube-real is a person), or fakes by the person whose video they change."""
        rows = []
        for file in self.files:
            folder, stem = file.parts[0], file.stem
            if name == "original" and folder in REAL:
                person = stem.partition("_")[0] if folder == REAL[0] else f"youtube-{stem}"
                rows.append(Listed(stem, str(file), person, "test"))
            elif name != "original" and folder == FAKE:
                found = SYNTHESIS.fullmatch(stem)
                if found is None:
                    raise UserError(f"celebdf: {self.root / file} is not named like id0_id1_0000.mp4")
                target = f"{found['target']}_{found['take']}"
                rows.append(Listed(stem, str(file), found["target"], "test", target))
        return rows

    def _testing(self) -> list[PurePosixPath]:
        path = self.root / TESTING
        try:
            lines = path.read_text().split("\n")
        except (OSError, ValueError):
            raise UserError(f"celebdf.path: {path} cannot be read; videos: all goes on without it") from None
        files = [PurePosixPath(line.split()[1]) for line in lines if len(line.split()) == 2]
        if not files or any(len(file.parts) != 2 or file.parts[0] not in (*REAL, FAKE) for file in files):
            raise UserError(
                f"celebdf.path: {path} is not the list of testing videos: lines like 1 YouTube-real/00170.mp4"
            )
        return sorted(files)

    def _all(self) -> list[PurePosixPath]:
        found = [
            PurePosixPath(folder, path.name) for folder in (*REAL, FAKE) for path in (self.root / folder).glob("*.mp4")
        ]
        if not found:
            raise UserError(f"celebdf.path: {self.root} has no videos in {', '.join(REAL)} or {FAKE}")
        return sorted(found)
