"""The fakes that a user's table lists: which of them can stand beside their targets, and why the others cannot."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.params.sources import NAME_LETTERS
from pipeline.sources import names
from pipeline.sources.clips import Refused
from pipeline.sources.folder_reals import Real
from pipeline.sources.looking import compare, look
from pipeline.sources.names import readable
from pipeline.sources.tables import Files, Places, read_table
from pipeline.videos.probing import VideoInfo
from pipeline.work.errors import UserError
from pipeline.work.files import located
from pipeline.work.parallel import Rejected

MANIPULATION = re.compile(rf"[A-Za-z0-9_]{{1,{NAME_LETTERS}}}")  # as params.yaml can name it in `sets`


@dataclass(frozen=True)
class Fake:
    """A row of the table of fakes; target and donor: paths of reals in the folder."""

    name: str
    file: str
    path: Path
    manipulation: str
    target: str
    donor: str


def read_fakes(option: str) -> list[Fake]:
    """The rows of the table params.folder.fakes. Raises: UserError where it cannot be read or names what cannot be."""
    path = located(option)
    table = read_table(path, "folder.fakes", ["file", "manipulation", "target"], ["donor"])
    for word in table["manipulation"]:
        if not MANIPULATION.fullmatch(word) or word == "original":
            raise UserError(
                f"folder.fakes: the manipulation {readable(word)!r} must be a name of letters, digits and _, "
                f"{NAME_LETTERS} at most"
            )
    places = Places(path.parent)
    videos = names.of_files(list(table["file"]))
    rows = zip(videos, table["file"], table["manipulation"], table["target"], table["donor"], strict=True)
    return [Fake(name, file, _found(places, file, path), *others) for name, file, *others in rows]


def _found(places: Places, file: str, table: Path) -> Path:
    try:
        return places.find(file)
    except OSError as error:  # of a name that no file can have, or a folder that may not be looked into
        raise UserError(f"folder.fakes: {table}: {error.strerror}: correct its row of {readable(file)[:80]}") from None


def usable_fakes(
    manipulation: str, fakes: Sequence[Fake], reals: Mapping[str, Real], workers: int | None
) -> tuple[list[tuple[Fake, VideoInfo]], list[Refused]]:
    """Look into the fakes of one manipulation; the usable ones with what they hold, and the others.

    reals: the usable ones by their paths in the folder.
    """
    known = Files(reals)
    fakes = [
        replace(fake, target=known.find(fake.target) or fake.target, donor=known.find(fake.donor) or fake.donor)
        for fake in fakes
        if fake.manipulation == manipulation
    ]
    infos: dict[str, VideoInfo] = {}
    causes: dict[str, str] = {}
    looks = look(manipulation, [fake.path for fake in fakes], [fake.name for fake in fakes], workers)
    for fake, info in zip(fakes, looks, strict=True):
        if isinstance(info, Rejected):
            causes[fake.name] = info.cause
        elif cause := _mismatch(fake, info, reals):
            causes[fake.name] = cause
        else:
            infos[fake.name] = info
    pairs = [(fake.name, fake.path, reals[fake.target].path) for fake in fakes if fake.name in infos]
    causes |= compare(manipulation, pairs, workers)
    usable = [(fake, infos[fake.name]) for fake in fakes if fake.name not in causes]
    return usable, [Refused(video, cause) for video, cause in causes.items()]


def _mismatch(fake: Fake, info: VideoInfo, reals: Mapping[str, Real]) -> str | None:
    """Why a fake cannot stand beside its target: every frame of one is compared with the same frame of the other."""
    target = reals.get(fake.target)
    if target is None:
        return f"its target {readable(fake.target)} is not among the usable real videos"
    if (info.width, info.height, info.frames) != (target.info.width, target.info.height, target.info.frames):
        have, want = (f"{i.width}x{i.height} px, {i.frames} frames" for i in (info, target.info))
        return f"{have}, but its target has {want}"
    # At a variable rate the mean says nothing of a frame: there the pictures alone are compared.
    steady = info.constant and target.info.constant
    if steady and abs(info.fps - target.info.fps) * 1000 > target.info.fps:
        return f"{float(info.fps):g} frames a second, but its target has {float(target.info.fps):g}"
    if fake.donor:
        donor = reals.get(fake.donor)
        if donor is None:
            return f"its donor {readable(fake.donor)} is not among the usable real videos"
        if donor.bucket != target.bucket:
            return f"target and donor are people of different buckets ({target.bucket}, {donor.bucket})"
    return None
