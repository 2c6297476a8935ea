"""Where videos come from. A source names the sets that it has and the clips of each; the rest is the same for all.

A new source is a class like `Source`, listed in SOURCES.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeAlias

from pipeline.crops.folds import gap, members, unforgeable
from pipeline.params.schema import Params
from pipeline.sources.celebdf import CelebDFSource
from pipeline.sources.clips import Clip, Refused, store
from pipeline.sources.combined import SampleAndFolderSource
from pipeline.sources.deepfakedetection import DeepFakeDetectionSource
from pipeline.sources.faceforensics import FaceForensicsSource
from pipeline.sources.folder import FolderSource
from pipeline.sources.sample import SampleSource
from pipeline.videos.manifests import write_manifest, write_rejected
from pipeline.work.errors import NothingUsable, UserError
from pipeline.work.files import whole_folder
from pipeline.work.parallel import Rejected, map_videos
from pipeline.work.resume import Scratch

Group: TypeAlias = Sequence[Clip]  # of one file
Outcome: TypeAlias = dict[str, object] | Refused  # a row of the manifest, or why there is none


class Source(Protocol):
    """What a source must have; it is made from the params."""

    sets: tuple[str, ...]  # original, and the manipulations that it publishes

    def clips(self, name: str) -> tuple[list[Clip], list[Refused]]:
        """The clips of a set, with people and buckets that are the same for all its sets, and what it cannot offer."""


SOURCES: dict[str, Callable[[Params], Source]] = {
    "sample": SampleSource,
    "folder": FolderSource,
    "sample_and_folder": SampleAndFolderSource,
    "faceforensics": FaceForensicsSource,
    "deepfakedetection": DeepFakeDetectionSource,
    "celebdf": CelebDFSource,
}


def download(params: Params, name: str, out: Path) -> str:
    """Leave the set `name` of the source in `out`: <video>.mp4, manifest.csv and rejected.csv; it is whole or absent.

    Returns a line that tells what there is. Raises: UserError where the source has no such set or no usable video.
    """
    source = SOURCES[params.source](params)
    if name not in source.sets:
        has = ", ".join(source.sets)
        raise UserError(f"params.yaml: published: the source {params.source} has {has}, but no {name}")
    clips, refused = source.clips(name)
    cut = [clip for clip in clips if clip.as_is is None]
    files = sorted({clip.file for clip in cut})
    with whole_folder(out) as folder, Scratch(f"download-{name}", out, {"clips": cut}, files) as scratch:
        rows: list[dict[str, object]] = []
        for result in _stored(name, clips, folder, scratch, params.workers):
            if isinstance(result, Refused):
                refused.append(result)
            else:
                rows.append(result)
        if not rows:
            first = f"; the first: {refused[0].video}: {refused[0].cause}" if refused else ""
            raise NothingUsable(f"{name}: the source {params.source} has no usable video{first}")
        write_manifest(folder, rows)
        common = {"set": name, "frame": "", "stage": "download"}
        write_rejected(folder, [{**common, "video": one.video, "cause": one.cause} for one in refused])
    people = {str(row["person"]): str(row["bucket"]) for row in rows}
    sizes = ", ".join(f"{bucket} {count}" for bucket, count in sorted(Counter(people.values()).items()))
    outcome = f"{name}: {len(rows)} videos of {len(people)} people ({sizes}), {len(refused)} rejected"
    return "; ".join([outcome, *_lacking(params, name, clips, rows)])


def _lacking(params: Params, name: str, clips: Sequence[Clip], rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """What later stages will miss, told early. Only the stage that needs it stops: the videos may be wanted for less
    than a training."""
    listed = [(clip.bucket, clip.person) for clip in clips]
    usable = [(str(row["bucket"]), str(row["person"])) for row in rows]
    if lost := sorted({person for _, person in listed} - {person for _, person in usable}):
        yield f"nothing is left of {', '.join(lost)}, the others stay in their buckets"
    line = gap(params, members(usable), members(listed), f"no {name} video", each=name == "original")
    if line is None and name == "original":
        line = unforgeable(params, usable)
    if line is not None:
        yield line


def _stored(name: str, clips: Sequence[Clip], folder: Path, scratch: Scratch, workers: int | None) -> Iterator[Outcome]:
    """The clips' rows of the manifest. What is cut is kept in `scratch`; links are made anew, in no time."""
    linked: list[Group] = [[clip] for clip in clips if clip.as_is is not None]
    results = map_videos(partial(store, folder=folder), linked, workers=workers, what=f"link {name}", name=_first)
    yield from _each(results)
    files: dict[Path, list[Clip]] = {}
    for clip in clips:
        if clip.as_is is None:
            files.setdefault(clip.file, []).append(clip)
    cut: list[Group] = list(files.values())
    work = partial(store, folder=scratch.folder)
    results = map_videos(work, cut, workers=workers, what=f"cut {name}", name=_first, keep=scratch)
    for result in _each(results):
        if not isinstance(result, Refused):
            scratch.link(f"{result['video']}.mp4", folder)
        yield result


def _first(clips: Group) -> str:
    return clips[0].video


def _each(results: Iterable[list[Outcome] | Rejected[Group]]) -> Iterator[Outcome]:
    """The outcome of each clip, from those of the files."""
    for result in results:
        if isinstance(result, Rejected):
            yield from (Refused(clip.video, result.cause) for clip in result.item)
        else:
            yield from result
