"""The servers of FaceForensics++, which only those who accepted its terms are told, and a note of that acceptance."""

import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.params.sources import FaceForensics
from pipeline.work.errors import UserError
from pipeline.work.files import located, whole

VARIABLE = "ADD_FACEFORENSICS_SERVER"
ACCEPTED = "terms-accepted.json"
# The access script's table of servers and what it puts behind them. It is read as text, never run.
SERVER = re.compile(r"""\bserver_url\s*=\s*['"](https?://[^'"\s]+)['"]""")
BASE = re.compile(r"""\bbase_url\s*=\s*server_url\s*\+\s*['"]([^'"\s]*)['"]""")
TERMS = re.compile(r"""\btos_url\s*=\s*server_url\s*\+\s*['"]([^'"\s]*)['"]""")


@dataclass(frozen=True)
class Servers:
    """addresses: the data set's tree lies under each, they are asked in this order; terms: their address, if known."""

    addresses: tuple[str, ...]
    terms: str = ""


def servers(options: FaceForensics) -> Servers:
    """From the params, else the environment, else the user's own copy of the access script; no addresses without any.

    Raises: UserError for what is no http(s) address, and for a script that is not there or names no server.
    """
    words = (options.server or os.environ.get(VARIABLE) or "").replace(",", " ").split()
    if bad := [word for word in words if not word.startswith(("http://", "https://"))]:
        raise UserError(f"faceforensics.server: {bad[0]!r} is not an http(s) address")
    if words or options.script is None:
        return Servers(tuple(words))
    path = located(options.script)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise UserError(f"faceforensics.script: {path} cannot be read; it is your copy of the access script") from None
    roots, base, terms = list(dict.fromkeys(SERVER.findall(text))), BASE.search(text), TERMS.search(text)
    if not roots:
        raise UserError(f"faceforensics.script: {path} names no server; set faceforensics.server to the address")
    return Servers(tuple(root + (base[1] if base else "") for root in roots), roots[0] + terms[1] if terms else "")


def record_acceptance(options: FaceForensics, folder: Path, found: Servers, missing: int) -> None:
    """Note in the data set's folder who accepted its terms, and when; an earlier note of the same person stays.

    Raises: UserError where the terms are not accepted.
    """
    if not options.accept_terms or not (options.accepted_by or "").strip():
        raise UserError(
            f"faceforensics: {missing} files are missing; to download them, read the data set's terms of use"
            f"{f' ({found.terms})' if found.terms else ''} and, if you accept them, set faceforensics.accept_terms to "
            "true and faceforensics.accepted_by to your name"
        )
    path = folder / ACCEPTED
    with_name = {"accepted_by": options.accepted_by, "terms": found.terms or "those sent with the access to the data"}
    try:
        if path.is_file() and with_name.items() <= json.loads(path.read_text()).items():
            return
    except (ValueError, AttributeError):
        pass  # not ours, or damaged: written anew
    with whole(path) as part:
        note = with_name | {"accepted_at": datetime.now(UTC).isoformat(timespec="seconds")}
        part.write_text(json.dumps(note, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
