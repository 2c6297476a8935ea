"""Published weights are held to the sha256 that our table pins, wherever they come from."""

import hashlib
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from pipeline.fetching import cache, weights
from pipeline.fetching.archives import Archive, Member
from pipeline.fetching.weights import WEIGHTS, Packaged, Published, fetch
from pipeline.work.errors import UserError

CONTENT = b"weights"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADD_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def served(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    """Have every address and index answer with this; the addresses that were asked."""
    asked: list[str] = []

    def download(session: object, address: str, target: Path, what: str) -> None:
        asked.append(address)
        target.write_bytes(content)

    monkeypatch.setattr(cache, "download", download)
    monkeypatch.setattr(cache, "open_session", lambda *index: nullcontext())
    return asked


def published(sha256: str) -> dict[str, Any]:
    return {"toy": Published(lambda: "https://example.org/toy.pth", "toy.pth", sha256)}


@pytest.mark.parametrize("digits", [64, 8])
def test_an_address_is_held_to_its_sha256(kept: Path, monkeypatch: pytest.MonkeyPatch, digits: int) -> None:
    """Whole, or as many digits as its authors publish."""
    monkeypatch.setattr(weights, "WEIGHTS", published(SHA[:digits]))
    asked = served(monkeypatch, b"something else")
    with pytest.raises(UserError, match=r"toy\.pth is not the file expected: sha256 .* not " + SHA[:digits]):
        fetch("toy")
    assert not [path for path in kept.iterdir() if not path.name.endswith(".lock")] and len(asked) == 1
    asked = served(monkeypatch, CONTENT)
    assert fetch("toy").read_bytes() == fetch("toy").read_bytes() == CONTENT and len(asked) == 1
    (kept / "toy.pth").write_bytes(b"changed meanwhile")
    assert fetch("toy").read_bytes() == CONTENT and len(asked) == 2


def test_a_packages_file_is_held_to_its_own_sha256(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    member = Member("toy/toy.pth", SHA)
    packaged = Packaged(Archive("toy", "1.0", "toy-1.0.tar.gz", "0" * 64), member)
    monkeypatch.setattr(weights, "WEIGHTS", {"toy": packaged})
    asked: list[Archive] = []

    def found(archive: Archive, target: Path) -> None:
        asked.append(archive)

    monkeypatch.setattr(cache, "from_indexes", found)
    monkeypatch.setattr(cache, "extract", lambda package, member, target: target.write_bytes(CONTENT))
    (kept / "toy.pth").write_bytes(b"of somebody else")
    assert fetch("toy").read_bytes() == CONTENT and fetch("toy") == kept / "toy.pth" and asked == [packaged.archive]


def test_only_https_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Published(lambda: "http://example.org/toy.pth", "toy.pth", SHA)
    monkeypatch.setattr(weights, "WEIGHTS", {"toy": plain})
    asked = served(monkeypatch, CONTENT)
    with pytest.raises(UserError, match="not an https address"):
        fetch("toy")
    assert not asked


def test_every_entry_of_the_table_pins_a_hash() -> None:
    for name, source in WEIGHTS.items():
        hashes = (source.archive.sha256, source.member.sha256) if isinstance(source, Packaged) else (source.sha256,)
        for sha256 in hashes:
            # Of some no more digits are published than those in the file's name.
            named = isinstance(source, Published) and source.file.split(".")[0].endswith(f"-{sha256}")
            assert re.fullmatch(r"[0-9a-f]{64}", sha256) or (named and re.fullmatch(r"[0-9a-f]{8,}", sha256)), name
