"""Where videos come from. A source names the sets that it has and the clips of each; the rest is the same for all.

A new source is a class like `Source`, listed in SOURCES.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Protocol

from pipeline.crops.folds import gap
from pipeline.params.schema import SWAPS, Params
from pipeline.sources.celebdf import CelebDFSource
from pipeline.sources.clips import Clip, Refused, store
from pipeline.sources.combined import SampleAndFolderSource
from pipeline.sources.deepfakedetection import DeepFakeDetectionSource
from pipeline.sources.faceforensics import FaceForensicsSource
from pipeline.sources.folder import FolderSource
from pipeline.sources.sample import SampleSource
from pipeline.videos.manifests import write_manifest, write_rejected
from pipeline.work.errors import UserError
from pipeline.work.files import whole_folder
from pipeline.work.parallel import Rejected, map_videos
from pipeline.work.resume import Scratch


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
    if name == "original":
        listed = [(clip.bucket, clip.person) for clip in clips]
        _check_people(params, listed, listed)
    cut = [clip for clip in clips if clip.as_is is None]
    files = sorted({clip.file for clip in cut})
    with whole_folder(out) as folder, Scratch(f"download-{name}", out, {"clips": cut}, files) as scratch:
        rows: list[dict[str, object]] = []
        for result in _stored(name, clips, folder, scratch, params.workers):
            if isinstance(result, Rejected):
                refused.append(Refused(result.item.video, result.cause))
            else:
                rows.append(result)
        if not rows:
            scratch.clear()  # what was mended meanwhile must not be found bad again
            first = f"; the first: {refused[0].video}: {refused[0].cause}" if refused else ""
            raise UserError(f"{name}: the source {params.source} has no usable video{first}")
        if name == "original":
            _check_people(params, listed, [(str(row["bucket"]), str(row["person"])) for row in rows])
        write_manifest(folder, rows)
        common = {"set": name, "frame": "", "stage": "download"}
        write_rejected(folder, [{**common, "video": one.video, "cause": one.cause} for one in refused])
    people = {str(row["person"]): str(row["bucket"]) for row in rows}
    sizes = ", ".join(f"{bucket} {count}" for bucket, count in sorted(Counter(people.values()).items()))
    outcome = f"{name}: {len(rows)} videos of {len(people)} people ({sizes}), {len(refused)} rejected"
    lost = sorted({clip.person for clip in clips} - set(people))
    outcome += f"; nothing is left of {', '.join(lost)}" if lost else ""
    # Fakes may be there to be tested on elsewhere: what no fold can do with them is said, and stops a training.
    lacking = gap(params, set(people.values()), _members((c.bucket, c.person) for c in clips), f"no {name} video")
    return f"{outcome}; {lacking}" if lacking else outcome


def _members(clips: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for bucket, person in clips:
        found.setdefault(bucket, set()).add(person)
    return found


def _check_people(params: Params, before: Sequence[tuple[str, str]], clips: Sequence[tuple[str, str]]) -> None:
    """Raises: UserError where a fold cannot be: a bucket is without a video, or without one that lends a face to the
    fakes that are forged here.

    clips: (bucket, person) of each usable one; before: likewise of those that were to be cut.
    """
    people = _members(clips)
    if line := gap(params, people, _members(before), "no usable video", each=True):
        raise UserError(line)
    for manipulation in params.forge.manipulations:
        swap = manipulation in SWAPS
        held = {bucket: len(names) for bucket, names in people.items()} if swap else Counter(b for b, _ in clips)
        able = {bucket for bucket, count in held.items() if count > 1}
        if (
            line := gap(params, able, people, f"no second {'person' if swap else 'clip'}, which {manipulation} needs,")
        ) is None:
            continue
        count = sum(map(len, people.values()))
        least = 2 + params.split.validation
        fits = min(count // 2, params.split.buckets)
        if swap and least <= fits < params.split.buckets:
            line = f"{line}; {count} people fill {fits} buckets, -S split.buckets={fits} -S 'folds={list(range(fits))}'"
        elif swap:
            line = f"{line}; {2 * least} people are the least, or leave {manipulation} out of the params' lists"
        raise UserError(line)


def _stored(
    name: str, clips: Sequence[Clip], folder: Path, scratch: Scratch, workers: int | None
) -> Iterator[dict[str, object] | Rejected[Clip]]:
    """The clips' rows of the manifest. What is cut is kept in `scratch`; links are made anew, in no time."""
    video = attrgetter("video")
    linked = [clip for clip in clips if clip.as_is is not None]
    yield from map_videos(partial(store, folder=folder), linked, workers=workers, what=f"link {name}", name=video)
    cut = [clip for clip in clips if clip.as_is is None]
    work = partial(store, folder=scratch.folder)
    for result in map_videos(work, cut, workers=workers, what=f"cut {name}", name=video, keep=scratch):
        if not isinstance(result, Rejected):
            scratch.link(f"{result['video']}.mp4", folder)
        yield result
