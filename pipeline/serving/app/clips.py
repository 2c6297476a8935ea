"""The run's own clips to choose from: those of people whom a shipped network never saw."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.videos.manifests import read_manifest


@dataclass(frozen=True)
class Clip:
    """A lossless clip of the pipeline.

    what: its set, such as faceswap; fold: whose network never saw it; source: whom it is from, to credit.
    """

    path: Path
    what: str
    fake: bool
    fold: int
    source: str

    @property
    def truth(self) -> str:
        return f"fake ({self.what})" if self.fake else "real"


def clips(folder: Path, tests: Mapping[str, int]) -> dict[str, Clip]:
    """Clips by their label, real ones first, each beside its fakes; empty where the run's videos are not there.

    folder: of one folder a set, each with its manifest; tests: bucket -> fold. Raises: UserError for a torn manifest.
    """
    found = []
    for manifest in sorted(folder.glob("*/manifest.csv")):
        what = manifest.parent.name
        for row in read_manifest(manifest.parent).to_dict("records"):
            path = manifest.parent / f"{row['video']}.mp4"
            if row["bucket"] in tests and path.is_file():
                fake = bool(row["label"])
                clip = Clip(path, what, fake, tests[row["bucket"]], row["source"])
                target = row["target"] or row["video"]
                donor = f", the face of {row['donor']}" if row["donor"] else ""
                found.append((target, fake, f"{target}: {what if fake else 'real'}{donor}", clip))
    return {name: clip for _, _, name, clip in sorted(found, key=lambda one: one[:3])}
