"""What a user points at: files, folders, patterns; photos and videos; and their frames, as training saw frames."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from pipeline.faces.boxes import Image
from pipeline.videos.quality import Quality, estimate, photo_quality
from pipeline.videos.reading import probe, read_frames
from pipeline.videos.writing import cleaned_width, cleaning
from pipeline.work.errors import UserError, VideoError

# Of the formats that Pillow reads; others (PostScript) would be given to other programs.
PHOTOS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000")
MOST_PIXELS = 100_000_000  # of a photo: a small file can unpack to more than the memory holds


@dataclass(frozen=True)
class Medium:
    """A photo or a video. frames: how many it has, 1 for a photo."""

    path: Path
    photo: bool
    frames: int
    fps: Fraction
    width: int
    height: int
    quality: Quality
    filters: tuple[str, str] = ("", "")  # see read_frames

    def read(self, wanted: Sequence[int] | None = None) -> Iterator[tuple[int, Image]]:
        """Yield (index, RGB image (H, W, 3)) of the wanted frames, upright, of all by default."""
        if self.photo:
            yield 0, _photo(self.path)
        else:
            yield from read_frames(self.path, wanted, before=self.filters[0], after=self.filters[1])

    def seconds(self, frame: int) -> float:
        return float(frame / self.fps)


def gather(names: Sequence[str]) -> list[Path]:
    """The files that the arguments name, each once: a file as it is, every file below a folder, a pattern's matches.

    What looks like no medium is kept, to be told of, where it was named itself; in folders, hidden files are left out.
    Raises: UserError where a pattern or a folder gives nothing.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file() and not _hidden(p.relative_to(path)))
            if not below:
                raise UserError(f"{name}: the folder holds no file")
            found += below
        elif not path.exists() and glob.has_magic(name):
            matches = sorted(map(Path, glob.glob(name, recursive=True)))  # noqa: PTH207  it may be absolute
            files = [match for match in matches if match.is_file()]
            if not files:
                raise UserError(f"{name}: matches no file")
            found += files
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def open_medium(path: Path) -> Medium:
    """Look into a file. Raises: VideoError saying why it is neither a photo nor a video."""
    if not path.is_file():
        raise VideoError("the file is missing")
    if path.stat().st_size == 0:
        raise VideoError("the file is empty (0 bytes)")
    if (found := _open_photo(path)) is not None:
        return found
    info = probe(path)
    width, filters = cleaned_width(info), cleaning(info)
    return Medium(path, False, info.frames, info.fps, width, info.height, estimate(path, info), filters)


def _open_photo(path: Path) -> Medium | None:
    try:
        with Pillow.open(path, formats=PHOTOS) as image:
            if getattr(image, "n_frames", 1) > 1:
                return None  # an animation
            width, height = ImageOps.exif_transpose(image).size if _turned(image) else image.size
            if width * height > MOST_PIXELS:
                raise VideoError(f"a photo of {width}x{height} pixels, more than {MOST_PIXELS // 10**6} million")
            bits = 8 * path.stat().st_size / (width * height)
            tables = [list(table) for table in getattr(image, "quantization", {}).values()]
            quality = photo_quality(str(image.format).lower(), bits, tables[0] if tables else None)
    except (UnidentifiedImageError, Pillow.DecompressionBombError, OSError, SyntaxError, ValueError):
        return None
    return Medium(path, True, 1, Fraction(1), width, height, quality)


def _turned(image: Pillow.Image) -> bool:
    return image.getexif().get(0x0112, 1) >= 5  # on its side


def _photo(path: Path) -> Image:
    try:
        with Pillow.open(path, formats=PHOTOS) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise VideoError(f"the photo is damaged or cut short ({error})") from None


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
