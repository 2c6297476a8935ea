"""A look into each file of a source before any is used: what it holds, or why it cannot be used."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.videos.examining import examine
from pipeline.videos.probing import VideoInfo
from pipeline.work.parallel import Rejected, map_videos
from pipeline.work.resume import Findings


def look(
    what: str, paths: Sequence[Path], names: Sequence[str], workers: int | None
) -> Iterator[VideoInfo | Rejected[Path]]:
    """Examine the files, in order. Each is decoded to its end, once: what is found is kept for the sets to come.

    what: they are, to be shown; names: theirs, no two alike.
    """
    known = dict(zip(paths, names, strict=True))
    findings = Findings("examined", dict(zip(names, paths, strict=True)))
    infos = map_videos(examine, paths, workers=workers, what=f"look into {what}", name=known.__getitem__, keep=findings)
    for path, info in zip(paths, infos, strict=True):
        if isinstance(info, Rejected):
            findings.forget(known[path])
        yield info
