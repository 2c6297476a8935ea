"""A user's own videos: reals at any depth of a folder and, where a table maps them to their targets, fakes.

dvc exp run -S source=folder -S folder.path=/videos/of/mine
"""

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.params.schema import Params
from pipeline.params.sources import NAME_LETTERS
from pipeline.sources import names
from pipeline.sources.buckets import assign
from pipeline.sources.clips import Clip, Refused, spread
from pipeline.sources.finding import find, twins
from pipeline.sources.looking import compare, look
from pipeline.sources.names import readable
from pipeline.sources.people import People
from pipeline.sources.tables import Files, Places, read_table
from pipeline.videos.cutting import Excerpt
from pipeline.videos.probing import VideoInfo
from pipeline.work.errors import UserError
from pipeline.work.files import located
from pipeline.work.parallel import Rejected

MIN_FRAMES = 8  # fewer are a photo, or a slip of the recorder
OWN = "the user's own video"
MANIPULATION = re.compile(rf"[A-Za-z0-9_]{{1,{NAME_LETTERS}}}")  # as params.yaml can name it in `sets`


@dataclass(frozen=True)
class Real:
    """A usable video; file: its path in the folder, bucket: that of its person."""

    name: str
    file: str
    path: Path
    person: str
    info: VideoInfo
    bucket: str = ""


@dataclass(frozen=True)
class Fake:
    """A row of the table of fakes; target and donor: paths of reals in the folder."""

    name: str
    file: str
    path: Path
    manipulation: str
    target: str
    donor: str


class FolderSource:
    """The videos under params.folder.path, by person, and the fakes that params.folder.fakes lists.

    Raises: UserError where the folder or a table is not there or says what cannot be.
    """

    def __init__(self, params: Params) -> None:
        self.options, self.split, self.workers = params.folder, params.split, params.workers
        if self.options.path is None:
            raise UserError("params.yaml: folder.path is not set; -S folder.path=... names the folder of your videos")
        self.root = located(self.options.path)
        if not self.root.is_dir():
            raise UserError(f"folder.path: {self.root} is not a folder")
        self.fakes = self._read_fakes()
        self.sets: tuple[str, ...] = ("original", *sorted({fake.manipulation for fake in self.fakes}))

    def clips(self, name: str) -> tuple[list[Clip], list[Refused]]:
        """Look into every video; the clips to cut for the set, and the videos that cannot be used."""
        reals, refused = self._reals(name)
        if name != "original":
            return self._fake_clips(name, reals)
        clips = []
        for real in reals.values():
            about: dict[str, object] = {"file": readable(real.file)}
            common = Clip(real.name, real.path, real.person, real.bucket, OWN, "", parameters=about)
            clips += [self._part(common, real.info, real, k) for k in range(len(self._stretches(real.info)))]
        return clips, refused

    def _reals(self, name: str) -> tuple[dict[str, Real], list[Refused]]:
        """The usable videos by their path in the folder, with buckets: the same ones for every set."""
        found = find(self.root)
        found.forget(fake.path for fake in self.fakes)
        people = People(self.options.people, found, self.root)
        files = found.once(people.listed)
        causes = dict(found.left_out)
        infos: dict[str, VideoInfo] = {}
        copies = twins(self.root / file for file in files)
        for file in [file for file in files if self.root / file in copies]:
            files.remove(file)
            causes[file] = f"the same bytes as {readable(copies[self.root / file].name)}, which is used in its place"
        paths = [self.root / file for file in files]
        looks = look("videos", paths, names.of_files(files), self.workers)
        for file, info in zip(files, looks, strict=True):
            if isinstance(info, Rejected):
                causes[file] = info.cause
            elif info.frames < MIN_FRAMES:
                causes[file] = f"only {info.frames} frames; at least {MIN_FRAMES} are needed"
            elif cause := people.lacks(file):
                causes[file] = cause
            else:
                infos[file] = info
        # Named when it is known who is usable: a text or a picture beside a video of the same name changes nothing.
        videos = names.of_files(list(infos))
        shown = names.beside(list(causes), videos)
        refused = [Refused(video, cause) for video, cause in zip(shown, causes.values(), strict=True)]
        if not infos:
            why = f"; the first of {len(refused)}: {refused[0].cause}" if refused else ""
            raise UserError(f"folder.path: no usable video in {self.root}{why}")
        persons = people.of(list(infos), videos)
        usable = [
            Real(video, file, self.root / file, persons[file], info)
            for video, (file, info) in zip(videos, infos.items(), strict=True)
        ]
        clips = Counter(real.person for real in usable for _ in self._stretches(real.info))
        buckets = assign(clips, self.split.buckets, self.split.seed, clips)
        return {real.file: replace(real, bucket=buckets[real.person]) for real in usable}, refused

    def _stretches(self, info: VideoInfo) -> list[tuple[int, int]]:
        """(first frame, number of frames) of each clip of a video."""
        if self.options.clip_frames is None:
            return [(0, info.frames)]
        chosen = spread([info.frames], self.options.clip_frames, self.options.clips_per_video)
        return [(first, frames) for _, first, frames in chosen]

    def _part(self, whole: Clip, info: VideoInfo, timing: Real, k: int) -> Clip:
        """The k-th clip of a video, or of a fake made from it: at the same frames."""
        first, frames = self._stretches(timing.info)[k]
        return replace(
            whole,
            video=whole.video + self._suffix(k),
            excerpt=Excerpt(first, frames, max_side=self.options.max_side),
            # A fake is stored as its target is, though it may say otherwise of its rate and the shape of its pixels.
            info=replace(info, fps=timing.info.fps, pixel=timing.info.pixel),
            parameters=whole.parameters | {"first_frame": first},
        )

    def _suffix(self, k: int) -> str:
        return "" if self.options.clip_frames is None else f"_{k:02d}"

    def _read_fakes(self) -> list[Fake]:
        if self.options.fakes is None:
            return []
        path = located(self.options.fakes)
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
        return [Fake(name, file, places.find(file), kind, target, donor) for name, file, kind, target, donor in rows]

    def _fake_clips(self, manipulation: str, reals: dict[str, Real]) -> tuple[list[Clip], list[Refused]]:
        known = Files(reals)
        fakes = [
            replace(fake, target=known.find(fake.target) or fake.target, donor=known.find(fake.donor) or fake.donor)
            for fake in self.fakes
            if fake.manipulation == manipulation
        ]
        paths = [fake.path for fake in fakes]
        infos: dict[str, VideoInfo] = {}
        causes: dict[str, str] = {}
        looks = look(manipulation, paths, [fake.name for fake in fakes], self.workers)
        for fake, info in zip(fakes, looks, strict=True):
            if isinstance(info, Rejected):
                causes[fake.name] = info.cause
            elif cause := _mismatch(fake, info, reals):
                causes[fake.name] = cause
            else:
                infos[fake.name] = info
        pairs = [(fake.name, fake.path, reals[fake.target].path) for fake in fakes if fake.name in infos]
        causes |= compare(manipulation, pairs, self.workers)
        clips: list[Clip] = []
        for fake in fakes:
            if fake.name in causes:
                continue
            target, donor = reals[fake.target], reals.get(fake.donor)
            lenders = len(self._stretches(donor.info)) if donor else 0
            common = Clip(
                fake.name, fake.path, target.person, target.bucket, OWN, "", 1, parameters={"file": readable(fake.file)}
            )
            for k in range(len(self._stretches(target.info))):
                lender = f"{donor.name}{self._suffix(min(k, lenders - 1))}" if donor else ""
                part = self._part(common, infos[fake.name], target, k)
                clips.append(replace(part, target=target.name + self._suffix(k), donor=lender))
        return clips, [Refused(video, cause) for video, cause in causes.items()]


def _mismatch(fake: Fake, info: VideoInfo, reals: dict[str, Real]) -> str | None:
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
