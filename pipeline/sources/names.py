"""Names of videos and people: no two alike, and so short that everything that is later added to them fits.

The tightest place is a shard: in an archive of the format USTAR the name of a member,
<target>__<donor>-<frame>.<quality>.png, has 100 bytes. Target and donor are both clips, <video>_<k>. So, in letters:

    100 >= 2 * (LONGEST + "_999") + "__" + "-9999999" + ".compress" + ".png"

with at most 1,000 clips a video (folder.clips_per_video), ten million frames, and qualities of eight letters, to which
the schema of params.yaml holds its own names. The 255 bytes of a file's name then hold all that is made of the names of
a set, a model and a video.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath

from pipeline.params.sources import QUALITY_LETTERS

MEMBER = 100  # bytes of a member's name (POSIX.1-1988, ustar's field `name`)
AFTER = len("-9999999") + len(".") + QUALITY_LETTERS + len(".png")
LONGEST_FAKE = MEMBER - AFTER
LONGEST_CLIP = (LONGEST_FAKE - len("__")) // 2  # a video as the forge finds it
LONGEST = LONGEST_CLIP - len("_999")
BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # of a line, or of a terminal's state
UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def of_files(files: Sequence[str]) -> list[str]:
    """A name for each file, in order, by its path; the suffix stands in it only where it tells two files apart."""
    paths = [PurePosixPath(file) for file in files]
    stems = [str(path.with_suffix("") if path.name else path) for path in paths]  # a cell of a table may be empty
    return _apart([_plain(stems, files), *_full(files)])


def beside(files: Sequence[str], taken: Iterable[str]) -> list[str]:
    """Names, suffix and all, for further files that are none of those taken."""
    return _apart(_full(files), {name.lower() for name in taken})


def of_people(people: Sequence[str]) -> list[str]:
    """A name for each person, in order; texts that differ are different people."""
    return _apart(_full(people))


def published(name: str, longest: int) -> str:
    """A name that a data set gives, as it is if it is safe and fits; else cut, with a hash."""
    return name if not UNSAFE.search(name) and 0 < len(name) <= longest else _marked(name, name, 8, longest)


def readable(name: str) -> str:
    """A file's name as one line of text that can be printed and written. Bytes that are no UTF-8 are read as Windows'
    Latin letters (cp1252)."""
    data = name.encode("utf-8", "surrogateescape")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    return BREAKS.sub(lambda found: ascii(found[0])[1:-1], text)


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC): some systems write é as one sign, some as e and an accent."""
    return unicodedata.normalize("NFC", text)


def _full(texts: Sequence[str]) -> list[list[str]]:
    """Three ways to name each text: as it is, with a hash of its composed form, with a longer one of its very bytes."""
    return [
        _plain(texts, texts),
        [_marked(text, composed(text)) for text in texts],
        [_marked(text, text, 16) for text in texts],
    ]


def _apart(ways: Sequence[Sequence[str]], taken: Collection[str] = ()) -> list[str]:
    """For each text the first of its names that no other text has, among those of the same way, and that is not taken.

    Where two would have the same name neither gets it, so that a name never comes to mean another text. Names that
    differ in capitals alone are the same: to some file systems they are.
    """
    names = list(ways[0])
    for way in ways[1:]:
        often = Counter(name.lower() for name in names)
        alone = [often[name.lower()] == 1 and name.lower() not in taken for name in names]
        names = [name if good else other for name, other, good in zip(names, way, alone, strict=True)]
    return names


def _plain(shown: Sequence[str], full: Sequence[str]) -> list[str]:
    """The texts `shown` in letters of [A-Za-z0-9_-]; with a hash of the full text where nothing or too much is left."""
    plain = [_letters(text) for text in shown]
    return [
        name if 0 < len(name) <= LONGEST else _marked(text, composed(whole))
        for name, text, whole in zip(plain, shown, full, strict=True)
    ]


def _marked(shown: str, full: str, digits: int = 8, longest: int = LONGEST) -> str:
    digest = hashlib.sha256(full.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
    return f"{(_letters(shown) or 'unnamed')[: longest - digits - 1].rstrip('-_')}-{digest}"


def _letters(text: str) -> str:
    """Accents are left out, all else that is no letter of ASCII becomes a hyphen."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", readable(text)) if not unicodedata.combining(sign))
    return UNSAFE.sub("-", plain).strip("-_")
