"""A user's own videos: reals at any depth of a folder and, where a table maps them to their targets, fakes.

dvc exp run -S source=folder -S folder.path=/videos/of/mine
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pipeline.params.schema import Params
from pipeline.sources.buckets import assign
from pipeline.sources.clips import Clip, Refused, place_clips
from pipeline.sources.folder_fakes import Fake, read_fakes, usable_fakes
from pipeline.sources.folder_reals import Real, usable_reals
from pipeline.sources.names import readable
from pipeline.videos.cutting import Excerpt
from pipeline.videos.probing import VideoInfo
from pipeline.work.errors import UserError
from pipeline.work.files import located

OWN = "the user's own video"


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
        self.fakes = [] if self.options.fakes is None else read_fakes(self.options.fakes)
        self.sets: tuple[str, ...] = ("original", *sorted({fake.manipulation for fake in self.fakes}))

    def clips(self, name: str) -> tuple[list[Clip], list[Refused]]:
        """Look into every video; the clips to cut for the set, and the videos that cannot be used."""
        reals, refused = self._reals()
        if name == "original":
            return [clip for real in reals.values() for clip in self._real_clips(real)], refused
        fakes, refused = usable_fakes(name, self.fakes, reals, self.workers)
        return [clip for fake, info in fakes for clip in self._fake_clips(fake, info, reals)], refused

    def _reals(self) -> tuple[dict[str, Real], list[Refused]]:
        """The usable videos by their path in the folder, with buckets: the same ones for every set."""
        fakes = [fake.path for fake in self.fakes]
        usable, refused = usable_reals(self.root, self.options.people, fakes, self.workers)
        clips = Counter(real.person for real in usable for _ in self._stretches(real.info))
        buckets = assign(clips, self.split.buckets, self.split.seed, clips)
        return {real.file: replace(real, bucket=buckets[real.person]) for real in usable}, refused

    def _real_clips(self, real: Real) -> Iterator[Clip]:
        about: dict[str, object] = {"file": readable(real.file)}
        whole = Clip(real.name, real.path, real.person, real.bucket, OWN, "", parameters=about)
        for k in range(len(self._stretches(real.info))):
            yield self._part(whole, real.info, real, k)

    def _fake_clips(self, fake: Fake, info: VideoInfo, reals: Mapping[str, Real]) -> Iterator[Clip]:
        target, donor = reals[fake.target], reals.get(fake.donor)
        lenders = len(self._stretches(donor.info)) if donor else 0
        about: dict[str, object] = {"file": readable(fake.file)}
        whole = Clip(fake.name, fake.path, target.person, target.bucket, OWN, "", label=1, parameters=about)
        for k in range(len(self._stretches(target.info))):
            lender = f"{donor.name}{self._suffix(min(k, lenders - 1))}" if donor else ""
            part = self._part(whole, info, target, k)
            yield replace(part, target=target.name + self._suffix(k), donor=lender)

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

    def _stretches(self, info: VideoInfo) -> list[tuple[int, int]]:
        """(first frame, number of frames) of each clip of a video."""
        if self.options.clip_frames is None:
            return [(0, info.frames)]
        chosen = place_clips([info.frames], self.options.clip_frames, self.options.clips_per_video)
        return [(first, frames) for _, first, frames in chosen]

    def _suffix(self, k: int) -> str:
        return "" if self.options.clip_frames is None else f"_{k:02d}"
