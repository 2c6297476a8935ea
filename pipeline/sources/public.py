"""What the published data sets share: files in a known layout, looked into, and linked rather than copied."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.sources import names
from pipeline.sources.clips import Clip, Refused
from pipeline.sources.looking import look
from pipeline.videos.probing import VideoInfo
from pipeline.work.errors import UserError
from pipeline.work.files import located, whole
from pipeline.work.parallel import Rejected

MISSING = "missing.csv"
MISSING_COLUMNS = ["path", "cause"]


@dataclass(frozen=True)
class Listed:
    """A video that the set's own lists and file names tell of, whether its file is there or not.

    file: its path in the set's folder; mate: the original without which this one is not taken either;
    published: quality -> path of the compressed version that the set itself brings.
    """

    video: str
    file: str
    person: str
    bucket: str
    target: str = ""
    donor: str = ""
    mate: str = ""
    published: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Usable:
    """What a usable video holds. frames: how many an original shares with its mate, and so all fakes of the two."""

    info: VideoInfo
    frames: int


class PublicSource(ABC):
    """A data set in its own layout under a folder; see `sources.Source`.

    Raises: UserError where the folder is not set, or files are missing and `allow_missing` is false.
    """

    section: str  # of the params, for messages
    sets: tuple[str, ...]
    credit: str
    licence: str
    pairs_only = False  # a fake whose target cannot be used is refused

    def __init__(self, path: str | None, allow_missing: bool, workers: int | None) -> None:
        if path is None:
            raise UserError(f"params.yaml: {self.section}.path is not set; -S {self.section}.path=... names its folder")
        self.root, self.allow_missing, self.workers = located(path), allow_missing, workers

    @abstractmethod
    def listed(self, name: str) -> list[Listed]:
        """The videos that a set should have."""

    def obtain(self, files: Sequence[str]) -> dict[str, str]:
        """Those of the files that cannot be had, each with its cause."""
        return {file: "not in the folder" for file in files if not (self.root / file).is_file()}

    def clips(self, name: str) -> tuple[list[Clip], list[Refused]]:
        """Look into the originals and into the set's videos; the links to make, and what cannot be used."""
        originals = [_fitting(one) for one in self.listed("original")]
        wanted = originals if name == "original" else [_fitting(one) for one in self.listed(name)]
        self._complete(originals if wanted is originals else [*originals, *wanted])
        reals, refused = self._reals(originals)
        if name != "original":
            return self._fakes(name, wanted, reals)
        return [self._clip(one, reals[one.video]) for one in originals if one.video in reals], refused

    def _complete(self, listed: Sequence[Listed]) -> None:
        """Have all files, or list in missing.csv which ones are not there and why."""
        files = sorted({file for one in listed for file in (one.file, *one.published.values())})
        causes = self.obtain(files)
        with suppress(OSError):  # the folder may not be ours to write to; the message below names the first ones
            _write_missing(self.root / MISSING, causes, asked=files)
        if causes and not self.allow_missing:
            first = "; ".join(f"{file}: {cause}" for file, cause in sorted(causes.items())[:2])
            raise UserError(
                f"{self.section}: {len(causes)} of {len(files)} files are missing from {self.root}, listed there in "
                f"{MISSING} ({first}); get them, or set {self.section}.allow_missing to go on without"
            )

    def _reals(self, originals: Sequence[Listed]) -> tuple[dict[str, Usable], list[Refused]]:
        found, refused = self._look("original", originals)
        reals = {}
        for one in originals:
            if one.video in found and one.mate and one.mate not in found:
                refused.append(Refused(one.video, f"the other video of its pair, {one.mate}, cannot be used"))
            elif one.video in found:
                info = found[one.video]
                reals[one.video] = Usable(info, min(info.frames, found[one.mate].frames) if one.mate else info.frames)
        return reals, refused

    def _fakes(self, name: str, listed: Sequence[Listed], reals: dict[str, Usable]) -> tuple[list[Clip], list[Refused]]:
        found, refused = self._look(name, listed)
        clips = []
        for one in listed:
            info, target = found.get(one.video), reals.get(one.target)
            if info is None:
                continue
            if target is None and self.pairs_only:
                refused.append(Refused(one.video, f"its target {one.target} is not among the usable originals"))
            elif target and (info.width, info.height) != (target.info.width, target.info.height):
                have, want = (f"{i.width}x{i.height} px" for i in (info, target.info))
                refused.append(Refused(one.video, f"{have}, but its target has {want}"))
            else:
                clips.append(self._clip(one, Usable(info, target.frames if target else info.frames)))
        return clips, refused

    def _look(self, what: str, listed: Sequence[Listed]) -> tuple[dict[str, VideoInfo], list[Refused]]:
        found: dict[str, VideoInfo] = {}
        refused: list[Refused] = []
        paths = [self.root / one.file for one in listed]
        infos = look(what, paths, [one.video for one in listed], self.workers)
        for one, info in zip(listed, infos, strict=True):
            if isinstance(info, Rejected):
                refused.append(Refused(one.video, info.cause))
            else:
                found[one.video] = info
        return found, refused

    def _clip(self, one: Listed, usable: Usable) -> Clip:
        info = usable.info
        about: dict[str, object] = {"file": one.file, "codec": info.codec, "pix_fmt": info.pix_fmt}
        about |= {"shared_frames": usable.frames, **({"published": dict(one.published)} if one.published else {})}
        return Clip(
            video=one.video,
            file=self.root / one.file,
            person=one.person,
            bucket=one.bucket,
            source=self.credit,
            licence=self.licence,
            label=int(bool(one.target)),
            target=one.target,
            donor=one.donor,
            as_is=info,
            parameters=about,
        )


def _fitting(one: Listed) -> Listed:
    """The same with names short enough for all that is added to them later (names.py), as the data sets' own are."""

    def kept(name: str, longest: int = names.LONGEST_CLIP) -> str:
        return name and names.published(name, longest)

    return replace(
        one,
        video=kept(one.video, names.LONGEST_FAKE if one.target else names.LONGEST_CLIP),
        person=kept(one.person),
        target=kept(one.target),
        donor=kept(one.donor),
        mate=kept(one.mate),
    )


def _write_missing(path: Path, causes: Mapping[str, str], asked: Sequence[str]) -> None:
    """Replace what the table says about the files asked for; what it says about others stays, as far as it is still a
    table of ours: people open it, and a spreadsheet saves it in another form."""
    rows = dict(causes)
    if path.is_file():
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            found = [row for row in csv.DictReader(file) if [*row] == MISSING_COLUMNS and row["cause"] is not None]
        rows = {row["path"]: row["cause"] for row in found if row["path"] not in set(asked)} | rows
    if not rows and not path.exists():
        return
    with whole(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([MISSING_COLUMNS, *sorted(rows.items())])
