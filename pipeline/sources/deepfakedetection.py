"""DeepFakeDetection (Google and Jigsaw 2019), which comes with FaceForensics++: to test models on actors never seen.

The tree is that of `faceforensics`: original_sequences/actors/<quality>/videos/01__walking.mp4 and
manipulated_sequences/DeepFakeDetection/<quality>/videos/01_02__walking__ABCDEFGH.mp4 (actor 01 with the face of 02).
"""

import re
from pathlib import Path

from pipeline.params.schema import Params
from pipeline.sources.faceforensics import LICENCE, places, published_qualities
from pipeline.sources.public import Listed, PublicSource
from pipeline.work.errors import UserError

FOLDERS = {"original": "original_sequences/actors", "DeepFakeDetection": "manipulated_sequences/DeepFakeDetection"}
REAL = re.compile(r"(?P<actor>\d+)__(?P<scene>[A-Za-z0-9_-]+)")
FAKE = re.compile(r"(?P<target>\d+)_(?P<donor>\d+)__(?P<scene>[A-Za-z0-9_-]+?)__(?P<tag>[A-Za-z0-9]+)")


class DeepFakeDetectionSource(PublicSource):
    """All actors in bucket test. The set has no list of its own: what lies in the tree is what there is."""

    section = "faceforensics"
    sets: tuple[str, ...] = ("original", "DeepFakeDetection")
    credit = "DeepFakeDetection (Google and Jigsaw 2019, in FaceForensics++)"
    licence = LICENCE

    def __init__(self, params: Params) -> None:
        super().__init__(params.faceforensics.path, params.faceforensics.allow_missing, params.workers)
        self.qualities = published_qualities(params)

    def listed(self, name: str) -> list[Listed]:
        """By actor; a fake's target is the take of the same scene, its donor the other actor's take of it."""
        folder = FOLDERS[name]
        videos = _stems(self.root / folder / "raw/videos")
        takes = set(_stems(self.root / FOLDERS["original"] / "raw/videos"))
        rows = []
        for video in videos:
            file, published = places(folder, video, self.qualities)
            found = (REAL if name == "original" else FAKE).fullmatch(video)
            if found is None:
                raise UserError(f"faceforensics.path: {self.root / file} is not named as {name} names its videos")
            if name == "original":
                rows.append(Listed(video, file, found["actor"], "test", published=published))
                continue
            target, donor = (f"{found[role]}__{found['scene']}" for role in ("target", "donor"))
            donor = donor if donor in takes else ""
            rows.append(Listed(video, file, found["target"], "test", target, donor, published=published))
        return rows


def _stems(folder: Path) -> list[str]:
    names = sorted(path.stem for path in folder.glob("*.mp4"))
    if not names:
        raise UserError(f"faceforensics.path: {folder} has no videos")
    return names
