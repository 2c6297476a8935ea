"""The sample's people and those of a folder of one's own, as one source: more people to train on and to be tested on.

dvc exp run -S source=sample_and_folder -S folder.path=/videos/of/mine
"""

from collections import Counter
from dataclasses import replace

from pipeline.params.schema import Params
from pipeline.sources.buckets import assign
from pipeline.sources.clips import Clip, Refused
from pipeline.sources.folder import FolderSource
from pipeline.sources.sample import SampleSource
from pipeline.work.errors import UserError


class SampleAndFolderSource:
    """Both sources' clips, with the people of both divided into buckets together; fakes are made by the forge.

    Raises: UserError where the folder brings fakes, or has a video or a person of the same name as one of the sample.
    """

    def __init__(self, params: Params) -> None:
        if params.folder.fakes is not None:
            raise UserError("folder.fakes: sample_and_folder forges all fakes: set it to null, or source to folder")
        # Neither divides its people alone: it may have fewer than there are buckets.
        whole = params.model_copy(update={"split": params.split.model_copy(update={"buckets": 1})})
        self.sources = (SampleSource(whole), FolderSource(whole))
        self.split = params.split
        self.sets: tuple[str, ...] = ("original",)

    def clips(self, name: str) -> tuple[list[Clip], list[Refused]]:
        """The clips of both, the sample's first, and what the folder cannot offer."""
        (sample, _), (own, refused) = (source.clips(name) for source in self.sources)
        for what in ("video", "person"):
            taken = {getattr(clip, what).lower() for clip in sample}  # some file systems do not tell cases apart
            if shared := sorted({getattr(clip, what) for clip in own if getattr(clip, what).lower() in taken}):
                raise UserError(f"folder.path: its {what} {shared[0]} has the name of one of the sample: rename it")
        counts = Counter(clip.person for clip in (*sample, *own))
        buckets = assign(counts, self.split.buckets, self.split.seed, counts)
        return [replace(clip, bucket=buckets[clip.person]) for clip in (*sample, *own)], refused
