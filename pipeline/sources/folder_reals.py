"""The usable real videos of a user's folder, each with its name and its person, and why the others are not used."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.sources import names
from pipeline.sources.clips import Refused
from pipeline.sources.finding import find, twins
from pipeline.sources.looking import look
from pipeline.sources.names import readable
from pipeline.sources.people import People
from pipeline.videos.probing import VideoInfo
from pipeline.work.errors import UserError
from pipeline.work.parallel import Rejected

MIN_FRAMES = 8  # fewer are a photo, or a slip of the recorder


@dataclass(frozen=True)
class Real:
    """A usable video; file: its path in the folder, bucket: that of its person."""

    name: str
    file: str
    path: Path
    person: str
    info: VideoInfo
    bucket: str = ""


def usable_reals(
    root: Path, option: str | None, fakes: Iterable[Path], workers: int | None
) -> tuple[list[Real], list[Refused]]:
    """Look into every file of the folder `root` but the fakes; the usable videos, without buckets, and the others.

    option: params.folder.people. Raises: UserError where no video is usable.
    """
    found = find(root)
    found.forget(fakes)
    people = People(option, found, root)
    files = found.once(people.listed)
    copies = twins(root / file for file in files)
    causes = found.left_out | {
        file: f"the same bytes as {readable(copies[root / file].name)}, which is used in its place"
        for file in files
        if root / file in copies
    }
    infos: dict[str, VideoInfo] = {}
    for file, outcome in _examined(root, [file for file in files if root / file not in copies], people, workers):
        if isinstance(outcome, VideoInfo):
            infos[file] = outcome
        else:
            causes[file] = outcome
    # Named when it is known who is usable: a text or a picture beside a video of the same name changes nothing.
    videos = names.of_files(list(infos))
    shown = names.beside(list(causes), videos)
    refused = [Refused(video, cause) for video, cause in zip(shown, causes.values(), strict=True)]
    if not infos:
        why = f"; the first of {len(refused)}: {refused[0].cause}" if refused else ""
        raise UserError(f"folder.path: no usable video in {root}{why}")
    persons = people.of(list(infos), videos)
    usable = [
        Real(video, file, root / file, persons[file], info)
        for video, (file, info) in zip(videos, infos.items(), strict=True)
    ]
    return usable, refused


def _examined(
    root: Path, files: Sequence[str], people: People, workers: int | None
) -> Iterable[tuple[str, VideoInfo | str]]:
    """Of each file what it holds, or why it cannot be used."""
    looks = look("videos", [root / file for file in files], names.of_files(files), workers)
    for file, info in zip(files, looks, strict=True):
        if isinstance(info, Rejected):
            yield file, info.cause
        elif info.frames < MIN_FRAMES:
            yield file, f"only {info.frames} frames; at least {MIN_FRAMES} are needed"
        else:
            yield file, people.lacks(file) or info
