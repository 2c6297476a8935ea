"""A file over http(s): tried again where the server errs, gone on with where it stopped, and checked by its hash."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import requests

from pipeline.fetching.index import shown
from pipeline.work.progress import progress

T = TypeVar("T")

ATTEMPTS = 4  # in a row that bring nothing new
BACK_OFF = 0.5  # seconds before the second attempt, doubled before each further one
TIMEOUT = (15, 60)  # seconds to connect, and between two pieces
PIECE = 1 << 20  # bytes
PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP states that may be gone a second later
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class Unavailable(Exception):
    """Why a file cannot be had."""


class Unreachable(Unavailable):
    """The server or the way to it is at fault, not the file."""


def retry(action: Callable[[], T], advance: Callable[[], int] = lambda: 0) -> T:
    """Try again where the fault may pass: a lost connection, a timeout, an overloaded server.

    advance: how much there is by now; an attempt that brought more than any before does not count.
    Raises: Unavailable.
    """
    failures, most = 0, advance()
    while True:
        try:
            return action()
        except requests.RequestException as error:
            state = error.response.status_code if error.response is not None else None
            failures, most = (0, advance()) if advance() > most else (failures + 1, most)
            if failures == ATTEMPTS or (state is not None and state not in PASSING):
                kind = Unavailable if state is not None and state not in PASSING else Unreachable
                raise kind(f"HTTP {state}" if state else f"unreachable or cut off ({type(error).__name__})") from error
        time.sleep(BACK_OFF * 2 ** max(failures - 1, 0))


def download(
    session: requests.Session, url: str, part: Path, what: str = "", halt: threading.Event | None = None
) -> None:
    """Fetch `url` into `part`; what an earlier attempt or run left there of the same address is kept and gone on from.

    Beside it `<part>.from` notes the address and what tells a changed file (RFC 9110, If-Range); it goes at the end.
    what: shown as progress, if not empty; halt: set by another thread to stop. Raises: Unavailable; `part` then stays.
    """
    retry(lambda: _attempt(session, url, part, what, halt), lambda: _size(part))
    _note(part).unlink(missing_ok=True)


def discard(part: Path) -> None:
    """Forget what was fetched so far."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def require_hash(path: Path, sha256: str, what: str) -> None:
    """Raise Unavailable where the file has another sha256, of which the leading digits may be given alone."""
    if not (found := sha256_of(path)).startswith(sha256):
        raise Unavailable(f"{what} is not the file expected: sha256 {found}, not {sha256}")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _attempt(session: requests.Session, url: str, part: Path, what: str, halt: threading.Event | None) -> None:
    known = _known(part, url)
    have = _size(part) if known else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if known["validator"]:
            headers["If-Range"] = known["validator"]
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if (have and response.status_code == 416) or not _continues(response, have, known):
            discard(part)  # the file has changed, or was whole: the next attempt starts over
            raise requests.ConnectionError("the rest does not fit what was fetched before")
        response.raise_for_status()
        left = int(response.headers.get("Content-Length") or 0)
        if response.status_code != 206:
            have = 0
            _note(part).write_text(json.dumps({"url": shown(url), "validator": _validator(response), "bytes": left}))
        pieces = response.iter_content(PIECE)
        with part.open("ab" if have else "wb") as file:
            for piece in progress(pieces, -(-left // PIECE), what, "MB") if what else pieces:
                file.write(piece)
                if halt is not None and halt.is_set():
                    raise Unavailable("stopped")
    if left and _size(part) != have + left:
        raise requests.ConnectionError("cut off")


def _continues(response: requests.Response, have: int, known: dict[str, str]) -> bool:
    """Whether a partial answer begins where we stopped, in a file of the same length."""
    if response.status_code != 206:
        return True
    found = RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == have and str(known["bytes"]) in ("0", found[2])


def _validator(response: requests.Response) -> str:
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _known(part: Path, url: str) -> dict[str, str]:
    try:
        note = json.loads(_note(part).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) and note.get("url") == shown(url) and part.exists() else {}


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.from")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
