"""What a user names to be judged: files, folders, patterns; photos and videos, with frames as training saw them."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from pipeline.faces.boxes import Image
from pipeline.serving import photos
from pipeline.sources.finding import find
from pipeline.sources.names import readable
from pipeline.videos.cutting import cleaned_width, cleaning
from pipeline.videos.decoder_log import DecoderLog
from pipeline.videos.examining import doubtful, examine
from pipeline.videos.formats import PICTURE
from pipeline.videos.probing import VideoInfo, frame_rate
from pipeline.videos.quality import Quality, estimate
from pipeline.videos.reading import probe, read_frames, require_file
from pipeline.work.errors import UserError, VideoError


@dataclass(frozen=True)
class Medium:
    """A photo or a video. frames: how many it has, 1 for a photo; filters, log: see read_frames."""

    path: Path
    photo: bool
    frames: int
    fps: Fraction
    width: int
    height: int
    quality: Quality
    filters: tuple[str, str] = ("", "")
    log: DecoderLog | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Its path, in a line that can be printed."""
        return shown(self.path)

    def read(self, wanted: Sequence[int] | None = None) -> Iterator[tuple[int, Image]]:
        """Yield (index, RGB image (H, W, 3)) of the wanted frames, upright, of all by default."""
        if self.photo:
            yield 0, photos.read(self.path)
        else:
            before, after = self.filters
            yield from read_frames(self.path, wanted, before=before, after=after, log=self.log)

    def seconds(self, frame: int) -> float:
        return float(frame / self.fps)


@dataclass(frozen=True)
class Images(Medium):
    """Frames in memory: those of a decoder, a camera or a notebook of one's own."""

    pixels: Sequence[Image] = field(default=(), compare=False, repr=False)

    def read(self, wanted: Sequence[int] | None = None) -> Iterator[tuple[int, Image]]:
        for frame in range(self.frames) if wanted is None else wanted:
            yield frame, self.pixels[frame]


def from_images(pixels: Sequence[Image], crf: float, fps: float = 25.0, name: str = "images") -> Images:
    """A video of RGB frames, uint8, (T, H, W, 3) or a list of T of (H, W, 3); one alone is judged as a photo is.

    crf: the H.264 rate factor of the file that they came from (0: raw), which the pixels do not tell. Raises: UserError
    for anything else, such as floats or a fourth channel.
    """
    if not len(pixels):
        raise UserError("from_images: there is no image")
    for image in pixels:
        shape: tuple[int, ...] = getattr(image, "shape", ())
        kind = getattr(image, "dtype", type(image).__name__)
        if len(shape) != 3 or shape[2] != 3 or kind != np.uint8 or shape != pixels[0].shape:
            raise UserError(f"from_images: takes RGB images of uint8 and one size, (H, W, 3), not {shape} of {kind}")
    height, width = pixels[0].shape[:2]
    quality = Quality("images", 24.0, float("nan"), crf, stated=True)
    return Images(Path(name), False, len(pixels), Fraction(fps), width, height, quality, pixels=pixels)


@dataclass(frozen=True)
class Found:
    """The files that were named, and what lies in the named folders and cannot be looked at, with its cause."""

    files: list[Path]
    left_out: dict[Path, str]


def gather(names: Sequence[str]) -> Found:
    """The files that the arguments name, each once: a file as it is, every file below a folder, a pattern's matches.

    A file that was named itself is kept even if it looks like no medium, so that the user is told. In folders hidden
    files and tables are left out, and links are followed (sources.finding). Raises: UserError where a pattern or a
    folder gives nothing, and for an address.
    """
    files: list[Path] = []
    left_out: dict[Path, str] = {}
    for name in names:
        path = Path(name)
        if "://" in name and not path.exists():
            raise UserError(f"{name}: an address; download the file and name that")
        if path.is_dir():
            below = find(path)
            if not below.files and not below.left_out:
                raise UserError(f"{shown(path)}: the folder holds no file")
            files += [path / file for file in sorted(below.files)]
            left_out |= {path / part: cause for part, cause in below.left_out.items()}
        elif not path.exists() and glob.has_magic(name):
            matches = sorted(map(Path, glob.glob(name, recursive=True)))  # noqa: PTH207  it may be absolute
            matches = [match for match in matches if match.is_file()]
            if not matches:
                raise UserError(f"{shown(path)}: matches no file")
            files += matches
        else:
            files.append(path)
    return Found(list(dict.fromkeys(files)), left_out)


def open_medium(path: Path) -> Medium:
    """Look into a file. Raises: VideoError saying why it is neither a photo nor a video."""
    try:
        require_file(path)
        if (photo := photos.look(path)) is not None:
            return Medium(path, True, 1, Fraction(1), photo.width, photo.height, photo.quality)
        if _is_text(path):
            raise VideoError("no video: a text")
        info = _probe(path)
        return _video(path, info, estimate(path, info))
    except OSError as error:  # a name that is too long, a disk that fails
        raise VideoError(f"cannot be read: {error.strerror}") from None


class Watch:
    """The wanted frames of a medium. Decoding them also shows what a video really is.

    medium: before decoding as its container describes it; after the last frame as it is. The frame rate is then that of
    the frames' own times, since the packets of MPEG-1 and AVI may tell another. The number of frames is then that of
    the frames that exist, since containers also count frames that are never shown (VP8): some of the wanted ones may
    not exist.
    """

    def __init__(self, medium: Medium, wanted: Sequence[int]) -> None:
        self.medium, self._wanted = medium, wanted

    def __iter__(self) -> Iterator[tuple[int, Image]]:
        """Yield as Medium.read. Raises: VideoError, at the end, where any part of a video is damaged."""
        medium, log, cause = self.medium, DecoderLog(), None
        if isinstance(medium, Images):
            yield from medium.read(self._wanted)
            return
        try:
            yield from replace(medium, log=log).read(self._wanted)
        except VideoError as error:
            cause = error
        if medium.photo:
            if cause is not None:
                raise cause
        elif cause is None and not doubtful(medium.path, log):
            fps, _ = frame_rate(log.times, log.tick, log.nominal)
            self.medium = replace(medium, fps=fps)
        else:
            info = examine(medium.path)
            if cause is not None and info.frames >= medium.frames:
                raise cause
            self.medium = _video(medium.path, info, medium.quality)


def shown(path: Path | str) -> str:
    """A path in a line that can be printed: no line breaks, no bytes that are no text."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in readable(str(path)))


def _is_text(path: Path) -> bool:
    """Whether the file begins as a text. ffmpeg would say of a text named .mp4 that it is a video that was cut off."""
    with path.open("rb") as file:
        head = file.read(1000)
    try:
        return all(sign.isprintable() or sign.isspace() for sign in head.decode())
    except UnicodeDecodeError as error:
        return error.start > 990 and error.reason == "unexpected end of data"


def _probe(path: Path) -> VideoInfo:
    try:
        return probe(path)
    except VideoError as error:
        if str(error) == f"no video: {PICTURE}":
            raise VideoError(f"{error}, damaged or of a kind not read here: convert it to JPEG or PNG") from None
        raise


def _video(path: Path, info: VideoInfo, quality: Quality) -> Medium:
    return Medium(path, False, info.frames, info.fps, cleaned_width(info), info.height, quality, cleaning(info))
