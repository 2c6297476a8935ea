"""Photos as cameras, phones and programs write them: the same pixels from all, upright; or a reason."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.faces.search import detect_every
from pipeline.serving.inputs import open_medium
from pipeline.serving.photos import FORMATS, MOST_PIXELS
from pipeline.work.errors import VideoError
from tests.aids.clips import faces

PICTURE = Image.fromarray(faces(1)[0])
GREY = PICTURE.convert("L")
TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def grey16(path: Path) -> None:
    Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257).save(path)


def grey_float(path: Path) -> None:
    Image.fromarray((np.asarray(GREY) / 255).astype(np.float32)).save(path)


def clear(path: Path) -> None:
    image = PICTURE.convert("RGBA")
    image.putalpha(180)
    image.save(path)


def turned(path: Path) -> None:
    code = int(path.stem[-1])
    exif = Image.Exif()
    exif[0x0112] = code
    PICTURE.transpose(TURNS[code]).save(path, exif=exif, quality=95)


def turned_grey16(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(np.asarray(GREY)).astype(np.uint16) * 257).save(path, exif=exif)


def grey32(path: Path) -> None:
    """Numbers above those of 16 bits, as microscopes write them."""
    grey = np.asarray(GREY).astype(np.int32)
    grey[0, 0] = 255  # the brightest of all is white
    Image.fromarray(4000 * grey).save(path)


def oddly_turned(path: Path) -> None:
    """By a turn that does not exist, or one that is a text."""
    kind, value = (3, b"\x09\0") if path.stem == "number" else (2, b"6\0")
    entry = struct.pack("<HHI2s2x", 0x0112, kind, 1 if kind == 3 else 2, value)
    PICTURE.save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4), quality=95)


def two(path: Path) -> None:
    options: dict[str, Any] = {"quality": 95} if path.suffix == ".jpg" else {}
    PICTURE.save(path, "MPO" if options else "TIFF", save_all=True, append_images=[PICTURE], **options)


KINDS: dict[str, tuple[Callable[[Path], object], bool]] = {
    "rgb.png": (PICTURE.save, True),
    "alpha.png": (clear, True),
    "palette.png": (PICTURE.quantize(200).save, True),
    "palette.gif": (PICTURE.quantize(200).save, True),
    "grey16.png": (grey16, False),
    "grey16.tif": (grey16, False),
    "float.tif": (grey_float, False),
    "cmyk.jpg": (lambda path: PICTURE.convert("CMYK").save(path, quality=95), True),
    "turned3.jpg": (turned, True),
    "turned6.jpg": (turned, True),
    "turned8.jpg": (turned, True),
    "turned6.tif": (turned, True),
    "grey16-turned.tif": (turned_grey16, False),
    "grey16-turned.png": (turned_grey16, False),
    "grey32.tif": (grey32, False),
    "number.jpg": (oddly_turned, True),
    "text.jpg": (oddly_turned, True),
    "two.jpg": (two, True),
    "two.tif": (two, True),
    "photo.mp4": (lambda path: PICTURE.save(path, "PNG"), True),  # what a file is, not what it is called
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_photo_shows_the_same(name: str, tmp_path: Path) -> None:
    write, coloured = KINDS[name]
    write(tmp_path / name)
    medium = open_medium(tmp_path / name)
    assert medium.photo and (medium.width, medium.height) == PICTURE.size
    ((_, seen),) = medium.read()
    expected = np.asarray(PICTURE if coloured else GREY.convert("RGB"), dtype=float)
    assert seen.dtype == np.uint8 and np.abs(seen - expected).mean() < 4


def huge(path: Path) -> None:
    """A PNG of no pixels that says it has too many, or more than Pillow looks at."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width = 10_001 if path.stem == "huge" else 50_000
    header = struct.pack(">IIBBBBB", width, MOST_PIXELS // 10_000, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def torn(path: Path) -> None:
    PICTURE.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def moving(path: Path) -> None:
    PICTURE.save(path, save_all=True, append_images=[PICTURE.rotate(5)])


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a.gif": (moving, r"an animation \(GIF\): convert it to a video"),
    "a.webp": (moving, r"an animation \(WEBP\)"),
    "a.png": (moving, r"an animation \(PNG\)"),
    "a.heic": (lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99)), "HEIC.*convert it to JPEG or PNG"),
    "b.heif": (lambda path: path.write_bytes(b"\0\0\0\x14ftypMiHE\0\0\0\0mif1" + bytes(99)), "a photo in HEIC"),
    "a.dng": (lambda path: PICTURE.save(path, "TIFF", tiffinfo={254: 1}), "a camera's raw photo.*convert it"),
    "a.tga": (PICTURE.save, "a picture, damaged or of a kind not read here: convert it to JPEG or PNG"),
    "a.pdf": (PICTURE.save, "no video: photos inside another kind of file"),
    "huge.png": (huge, "a photo of 10001x10000 pixels, more than 100 million"),
    "bomb.png": (huge, "a photo of far more pixels, more than 100 million"),
    "torn.jpg": (torn, "damaged or cut short"),
    "torn.png": (torn, "damaged or cut short"),
    "a.eps": (  # Pillow would have Ghostscript run it
        lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n"),
        "no video",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_photo_that_cannot_be_used_is_refused_with_its_cause(name: str, tmp_path: Path) -> None:
    write, said = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(VideoError, match=said):
        list(open_medium(tmp_path / name).read())


def _kept_to_themselves() -> dict[str, bytes]:
    """Damage that Pillow, or its codecs, show a picture of without a word."""
    found = {}
    for name, options in {"a.jpg": {"quality": 95}, "steps.jpg": {"quality": 95, "progressive": True}}.items():
        data = written(name, **options)
        start, part = len(data) // 3, len(data) // 8
        found |= {
            f"zeros {name}": data[:start] + bytes(part) + data[start + part :],
            f"removed {name}": data[:start] + data[start + part :],
            f"doubled {name}": data[: start + part] + data[start:],
        }
    for name, options in {"a.webp": {}, "profile.webp": {"icc_profile": b"odd"}}.items():  # in a chunk of odd length
        webp = written(name, quality=95, **options)
        found[f"zeros {name}"] = webp[: len(webp) // 2] + bytes(100) + webp[len(webp) // 2 + 100 :]
    return found


def written(name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    textured().save(file, {"jpg": "JPEG", "webp": "WEBP", "avif": "AVIF"}[name.rpartition(".")[2]], **options)
    return file.getvalue()


def textured() -> Image.Image:
    """As photos are: no two blocks of it alike."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8))


DAMAGED = _kept_to_themselves()


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_that_pillow_does_not_tell_of_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name.split()[1]
    path.write_bytes(DAMAGED[name])
    medium = open_medium(path)
    assert Image.open(path).convert("RGB").size == (128, 96)  # Pillow shows some picture of it
    with pytest.raises(VideoError, match="the photo is damaged or cut short"):
        list(medium.read())


def test_the_bits_of_a_pixel_are_the_files_by_the_pictures_area(tmp_path: Path) -> None:
    (tmp_path / "a.webp").write_bytes(data := written("a.webp", quality=95))
    assert open_medium(tmp_path / "a.webp").quality.bits == pytest.approx(8 * len(data) / (96 * 128))


def test_the_compression_of_a_jpeg_is_that_of_its_tables(tmp_path: Path) -> None:
    """Also of a phone's that has a second picture behind it."""
    for quality in (30, 95):
        PICTURE.save(tmp_path / f"{quality}.jpg", quality=quality)
    two(tmp_path / "two.jpg")
    coarse, fine, phone = (open_medium(tmp_path / f"{name}.jpg").quality for name in (30, 95, "two"))
    assert coarse.crf > fine.crf + 10 and phone.crf == fine.crf
    assert coarse.codec == phone.codec == "jpeg"


@pytest.mark.skipif("AVIF" not in FORMATS, reason="this Pillow reads no AVIF")
def test_a_damaged_avif_is_refused_in_one_line(tmp_path: Path) -> None:
    """Its codec raises what no other does: one such photo ended a whole run."""
    data = bytearray(written("a.avif"))
    start = data.rindex(b"mdat") + 4
    data[start : start + 200] = np.random.default_rng(0).bytes(200)
    (tmp_path / "a.avif").write_bytes(data)
    with pytest.raises(VideoError, match="the photo is damaged or cut short"):
        list(open_medium(tmp_path / "a.avif").read())


def test_what_cameras_and_phones_leave_around_a_picture_is_no_damage(tmp_path: Path) -> None:
    data, path = written("a.jpg"), tmp_path / "a.jpg"
    for whole in (data[:-2] + bytes(4) + data[-2:], data + bytes(600), data + data, written("a.jpg", optimize=True)):
        path.write_bytes(whole)
        assert len(list(open_medium(path).read())) == 1
    Image.new("RGB", (900, 900)).save(path, optimize=True)  # a run of zeros, as each block of it is
    assert bytes(512) in path.read_bytes() and len(list(open_medium(path).read())) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1)])
def test_a_picture_that_is_hardly_one_has_no_face(shape: tuple[int, int]) -> None:
    assert detect_every(np.full((*shape, 3), 90, np.uint8), 400) == []
