"""Photos: which files are some, what they are, and their pixels, upright and in eight bits a colour."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError, features

from pipeline.faces.boxes import Image
from pipeline.videos import jpegs
from pipeline.videos.quality import Quality, photo_quality
from pipeline.work.errors import VideoError

# Of the formats that Pillow reads; others (PostScript) would be given to other programs. Phones write photos with a
# second picture behind the first, such as a depth map (MPO, to Pillow): the first one counts.
FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000"]
FORMATS += ["AVIF"] if features.check("avif") else []  # not in every build of Pillow
ANIMATED = ("PNG", "WEBP", "GIF", "AVIF")
MOST_PIXELS = 100_000_000  # a small file can unpack to more than the memory holds
ORIENTATION, ON_ITS_SIDE = 0x0112, range(5, 9)  # the EXIF tag, and its values of a frame that is turned by 90 degrees
SUBFILE, REDUCED = 0x00FE, 1  # a TIFF's tag of what a picture is, and its bit of one that is the preview of another
# What Pillow and its codecs raise: RuntimeError of AVIF, struct.error of chunks that are too short, ...
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    RuntimeError,
    ArithmeticError,
    LookupError,
    EOFError,
    TypeError,
    struct.error,
)
ZEROS = bytes(64)  # a lost sector's; arithmetic coding, such as lossy WebP's, never writes so many in a row
# What MP4's relatives say of themselves (ISO/IEC 23008-12): a photo with any of these, whatever it says first.
BRANDS = {b"avif": "AVIF", b"avis": "AVIF"}
BRANDS |= dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"msf1"), "HEIC")


@dataclass(frozen=True)
class Photo:
    """width, height: pixels of the upright picture."""

    width: int
    height: int
    quality: Quality


def look(path: Path) -> Photo | None:
    """What a photo is; None where the file is none. Raises: VideoError for a photo that cannot be used."""
    _refuse_brand(path)
    try:
        with _opened(path) as image:
            return _describe(path, image)
    except Pillow.DecompressionBombError:
        raise _too_large("far more") from None
    except UnidentifiedImageError:
        return None
    except DAMAGE as error:
        raise _damaged(error) from None


def read(path: Path) -> Image:
    """The photo's pixels, RGB (H, W, 3). Raises: VideoError where it is damaged."""
    try:
        _require_whole(path)
        with _opened(path) as image:
            return np.asarray(ImageOps.exif_transpose(_eight_bits(image)).convert("RGB"), dtype=np.uint8)
    except DAMAGE as error:
        raise _damaged(error) from None


def _describe(path: Path, image: Pillow.Image) -> Photo:
    if image.format in ANIMATED and getattr(image, "n_frames", 1) > 1:
        raise VideoError(f"an animation ({image.format}): convert it to a video, such as MP4")
    if image.format == "TIFF" and _is_preview(image):
        raise VideoError("a camera's raw photo, of which only a small preview can be read: convert it to JPEG or PNG")
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise _too_large(f"{width}x{height}")
    if image.format != "TIFF" and image.getexif().get(ORIENTATION) in ON_ITS_SIDE:  # Pillow's size of a TIFF is upright
        width, height = height, width
    kind = "jpeg" if image.format == "MPO" else str(image.format).lower()
    tables = [list(table) for table in getattr(image, "quantization", {}).values()]
    bits = 8 * path.stat().st_size / (width * height)
    return Photo(width, height, photo_quality(kind, bits, tables[0] if tables else None))


def _require_whole(path: Path) -> None:
    """Raises: ValueError for damage that Pillow does not tell of. Pixels stored as they are (BMP, PPM) show none."""
    data = path.read_bytes()
    if data.startswith(b"\xff\xd8") and (said := jpegs.complaint(data)):
        raise ValueError(said)
    if ZEROS in _lossy_webp(data):
        raise ValueError("a part of the picture's data is zeros")


def _lossy_webp(data: bytes) -> bytes:
    """The picture of a lossy WebP (RFC 9649: chunks of a name, a length and as much), empty for all others."""
    at = 12 if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else len(data)
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"VP8 ":
            return data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return b""


@contextmanager
def _opened(path: Path) -> Iterator[Pillow.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own bound on pixels, and of tags that it does not know
        # Not by its path: of a grey TIFF without compression, turned by 90 degrees, Pillow would map the bytes to rows
        # of the wrong length.
        with path.open("rb") as file, Pillow.open(file, formats=FORMATS) as image:
            yield image


def _eight_bits(image: Pillow.Image) -> Pillow.Image:
    """Pillow would cut grey of 16 bits or of floats off at 255, which is white. Floats are taken to be from 0 to 1."""
    if not image.mode.startswith(("I", "F")):
        return image
    grey = np.asarray(image, dtype=np.float64)
    top = 65535.0 if image.mode.startswith("I") else 1.0
    if grey.max(initial=0) > top:
        top = float(grey.max())
    made = Pillow.fromarray((255 * np.clip(grey / top, 0, 1)).astype(np.uint8))
    made.info["exif"] = image.getexif().tobytes()
    return made


def _is_preview(image: Pillow.Image) -> bool:
    """Whether the first picture of a TIFF, which counts, is a small version of another: so cameras write raw photos."""
    about = image.getexif().get(SUBFILE)
    return isinstance(about, int) and bool(about & REDUCED)


def _refuse_brand(path: Path) -> None:
    with path.open("rb") as file:
        size, name = struct.unpack(">I4s", file.read(8).rjust(8, b"\0"))
        brands = file.read(min(size, 256) - 8) if name == b"ftyp" and size > 8 else b""
    said = {brands[at : at + 4] for at in range(0, len(brands), 4) if at != 4}  # the second is the first one's version
    kinds = {BRANDS[brand] for brand in said & set(BRANDS)}
    if kinds and not kinds & set(FORMATS):
        raise VideoError(f"a photo in {min(kinds)}, which is not read here: convert it to JPEG or PNG")


def _damaged(error: Exception) -> VideoError:
    return VideoError(f"the photo is damaged or cut short ({error})")


def _too_large(size: str) -> VideoError:
    return VideoError(f"a photo of {size} pixels, more than {MOST_PIXELS // 10**6} million: scale it down")
