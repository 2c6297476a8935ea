"""FaceForensics++ (Rössler et al., ICCV 2019): whole pairs of its official split, from a tree on disk or its servers.

dvc exp run -S source=faceforensics -S faceforensics.path=/data/FaceForensics++      (docs/data.md)

The tree is the data set's own: original_sequences/youtube/<quality>/videos/000.mp4 and
manipulated_sequences/<Method>/<quality>/videos/000_003.mp4, where 000 is the target and 003 the donor.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.params.schema import Params
from pipeline.params.sources import OFFICIAL
from pipeline.sources import access, mirror
from pipeline.sources.public import Listed, PublicSource
from pipeline.videos.published import CRF
from pipeline.work.errors import UserError
from pipeline.work.files import located

METHODS = ("Deepfakes", "Face2Face", "FaceShifter", "FaceSwap", "NeuralTextures")
LICENCE = "FaceForensics Terms of Use: non-commercial research and education"
Pair = tuple[str, str]


def places(folder: str, video: str, qualities: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The paths of the raw video and of its published qualities, in the tree."""
    path = f"{folder}/{{}}/videos/{video}.mp4"
    return path.format("raw"), {quality: path.format(quality) for quality in qualities}


def published_qualities(params: Params) -> list[str]:
    """The compressions that the tree must hold: those wanted that the data set publishes."""
    wanted = params.compressions if params.faceforensics.use_published else ()
    return [quality for quality in wanted if quality in CRF]


class FaceForensicsSource(PublicSource):
    """Both videos of a pair, and both fakes of it per method, or neither: every task stays balanced."""

    section = "faceforensics"
    sets: tuple[str, ...] = ("original", *METHODS)
    credit = "FaceForensics++ (Rössler et al., ICCV 2019)"
    licence = LICENCE
    pairs_only = True

    def __init__(self, params: Params) -> None:
        self.options = params.faceforensics
        super().__init__(self.options.path, self.options.allow_missing, params.workers)
        self.qualities = published_qualities(params)
        folder = located(self.options.splits) if self.options.splits else self.root / "splits"
        self.pairs = read_splits(folder, self.options.n_pairs)

    def listed(self, name: str) -> list[Listed]:
        """Of each pair the two originals, or the two fakes."""
        rows = []
        for bucket, pairs in self.pairs.items():
            for pair in pairs:
                for target, donor in (pair, pair[::-1]):
                    if name == "original":
                        file, published = places("original_sequences/youtube", target, self.qualities)
                        rows.append(Listed(target, file, target, bucket, mate=donor, published=published))
                    else:
                        video = f"{target}_{donor}"
                        file, published = places(f"manipulated_sequences/{name}", video, self.qualities)
                        rows.append(Listed(video, file, target, bucket, target, donor, published=published))
        return sorted(rows, key=lambda row: row.video)

    def obtain(self, files: Sequence[str]) -> dict[str, str]:
        """Fetch what the tree lacks where a server is known; what is still missing, with its cause."""
        missing = super().obtain(files)
        fetched = (self.root / mirror.MANIFEST).exists()  # a tree that was fetched here stays listed and checked
        servers = access.servers(self.options)
        if not servers.addresses or not (missing or fetched):
            return missing
        if missing:
            access.record_acceptance(self.options, self.root, servers, len(missing))
        return mirror.fetch(files, self.root, servers.addresses, self.options.connections)


def read_splits(folder: Path, n_pairs: int | None) -> dict[str, list[Pair]]:
    """The first n_pairs pairs (None: all) of each official split: lists of ["071", "054"] in <folder>/<split>.json.

    Raises: UserError where a file is missing or holds anything else, or where a video is in two pairs.
    """
    splits = {}
    seen: set[str] = set()
    for name in OFFICIAL:
        path = folder / f"{name}.json"
        try:
            pairs = [(str(first), str(second)) for first, second in json.loads(path.read_text())]
        except FileNotFoundError:
            raise UserError(
                f"faceforensics.splits: {path} not found; the data set's repository has train.json, val.json and "
                "test.json in its folder dataset/splits: copy them there, or name their folder"
            ) from None
        except (OSError, ValueError, TypeError, RecursionError):
            raise UserError(f"faceforensics.splits: {path} is no JSON list of pairs of video names") from None
        for video in (video for pair in pairs for video in pair):
            if not re.fullmatch(r"[A-Za-z0-9-]+", video) or video in seen:
                raise UserError(f"faceforensics.splits: {path}: {video!r} is listed twice, or is no name of a video")
            seen.add(video)
        splits[name] = pairs[:n_pairs]
    return splits
