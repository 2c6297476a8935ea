"""A look into each file of a source before any is used: what it holds, or why it cannot be used.

What is found is kept for the other sets of the source, and for runs to come, as long as the files are the same.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.videos.alignment import difference
from pipeline.videos.examining import examine
from pipeline.videos.probing import VideoInfo
from pipeline.work.parallel import Rejected, map_videos
from pipeline.work.resume import Findings

Pair = tuple[str, Path, Path]  # name of the fake, its file, its target's file


def look(
    what: str, paths: Sequence[Path], names: Sequence[str], workers: int | None
) -> Iterator[VideoInfo | Rejected[Path]]:
    """Examine the files, in order; each is decoded to its end, once.

    what: the files are, for the progress line; names: of the files, no two alike.
    """
    known = dict(zip(paths, names, strict=True))
    findings = Findings("examined", {name: [path] for path, name in known.items()})
    infos = map_videos(examine, paths, workers=workers, what=f"look into {what}", name=known.__getitem__, keep=findings)
    for path, info in zip(paths, infos, strict=True):
        if isinstance(info, Rejected):
            findings.forget(known[path])
        yield info


def compare(what: str, pairs: Sequence[Pair], workers: int | None) -> dict[str, str]:
    """Why fakes do not go with their targets frame by frame, by their names, for those that do not."""
    findings = Findings("compared", {name: files for name, *files in pairs})
    outcomes = map_videos(
        _difference, pairs, workers=workers, what=f"compare {what} with targets", name=_name, keep=findings
    )
    causes = {}
    for pair, outcome in zip(pairs, outcomes, strict=True):
        if isinstance(outcome, Rejected):
            findings.forget(_name(pair))
        causes[_name(pair)] = outcome.cause if isinstance(outcome, Rejected) else outcome
    return {name: cause for name, cause in causes.items() if cause}


def _difference(pair: Pair) -> str:
    _, fake, target = pair
    return difference(fake, target)


def _name(pair: Pair) -> str:
    return pair[0]
