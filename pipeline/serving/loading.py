"""A family of detectors, one a quality: a video is judged by the one that was trained on what is most like it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.serving.inputs import Medium
from pipeline.serving.judgement import Judgement
from pipeline.serving.judging import judge, look
from pipeline.serving.networks import Networks, load
from pipeline.serving.shipped import Detector, find, read
from pipeline.work.errors import UserError


@dataclass
class Family:
    """Shipped detectors, one a quality, by the rate factor of their training. Networks are read when used."""

    members: Sequence[tuple[Path, Detector]]
    onnx: bool | None = False  # see networks.load
    threads: int | None = None
    _networks: dict[str, Networks] = field(default_factory=dict)

    @property
    def qualities(self) -> list[str]:
        return [detector.quality for _, detector in self.members]

    def nearest(self, crf: float) -> Detector:
        """The detector that was trained on what is most like a video of this rate factor."""
        return min((detector for _, detector in self.members), key=lambda detector: abs(detector.crf - crf))

    def networks(self, quality: str) -> Networks:
        if quality not in self._networks:
            folder, detector = next(pair for pair in self.members if pair[1].quality == quality)
            self._networks[quality] = load(folder, detector, self.onnx, self.threads)
        return self._networks[quality]

    def judge(self, medium: Medium, quality: str | None = None, count: int | None = None) -> Judgement:
        """Judge by the nearest detector, or by that of the quality. count: frames to look at, if not as exported."""
        detector = next((d for _, d in self.members if d.quality == quality), None) or self.nearest(medium.quality.crf)
        return judge(look(medium, detector, count=count), detector, self.networks(detector.quality))


def load_family(
    folders: Sequence[Path], onnx: bool | None = False, threads: int | None = None, quality: str | None = None
) -> Family:
    """The detectors in the folders. Raises: UserError where one cannot be used, or two are of one quality."""
    members = [(folder, read(folder)) for given in folders for folder in find(given)]
    members.sort(key=lambda pair: pair[1].crf)
    qualities = [detector.quality for _, detector in members]
    if twice := sorted({name for name in qualities if qualities.count(name) > 1}):
        raise UserError(f"--model: two detectors are of {twice[0]}; name one folder, such as models/export/NAME")
    if quality is not None:
        if quality not in qualities:
            raise UserError(f"--quality {quality}: there is no such detector; there are {', '.join(qualities)}")
        members = [pair for pair in members if pair[1].quality == quality]
    return Family(members, onnx, threads)
