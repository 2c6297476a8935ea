"""A look into each file of a source before any is used: what it holds, or why it cannot be used."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.videos.examining import examine
from pipeline.videos.probing import VideoInfo
from pipeline.work.parallel import Rejected, map_videos
from pipeline.work.resume import Scratch


def look(
    name: str, what: str, paths: Sequence[Path], names: Sequence[str], root: Path, workers: int | None
) -> Iterator[VideoInfo | Rejected[Path]]:
    """Examine the files, in order; each is decoded to its end, so what is found is kept until all are done.

    name: the set that they are looked into for; what: they are; names: theirs, no two alike; root: their folder.
    """
    known = dict(zip(paths, names, strict=True))
    with Scratch(f"look-{name}-{what}", root, {"names": names}, paths) as scratch:
        yield from map_videos(
            examine, paths, workers=workers, what=f"look into {what}", name=known.__getitem__, keep=scratch
        )
