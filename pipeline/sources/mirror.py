"""Files of a data set from its servers into a folder: side by side, resumed, and each looked into before it counts."""

import csv
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

from pipeline.fetching.index import open_session, shown
from pipeline.fetching.transfer import Unavailable, Unreachable, discard, download, sha256_of
from pipeline.videos.reading import probe
from pipeline.work.errors import UserError, VideoError
from pipeline.work.files import whole
from pipeline.work.progress import progress

MANIFEST = "fetched.csv"
SILENCES = 4  # files in a row per connection that no server answers for, until we give up
COLUMNS = ("path", "bytes", "sha256", "frames", "fps", "width", "height", "codec", "pix_fmt")
Row = dict[str, str]


@dataclass(frozen=True)
class _Failed:
    """cause: server by server; silent: none of them answered, so that other files will hardly be had either."""

    cause: str
    silent: bool


def fetch(files: Sequence[str], root: Path, servers: Sequence[str], connections: int) -> dict[str, str]:
    """Have `files`, paths under `root` and under each server's address; those that cannot be had, with the cause.

    A file that fetched.csv lists with its size is taken as it is; another one that is there is looked into and listed,
    or, if it is no whole video, fetched again. Servers are asked in order, those in trouble last.
    Raises: UserError where the folder cannot be written to, or no server answers any more.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".fetch.lock"):
            rows = _read(root / MANIFEST)
            left = [file for file in files if not _listed(root, file, rows)]
            _write(root / MANIFEST, rows)
            with (root / MANIFEST).open("a", newline="", encoding="utf-8") as table:
                causes = _fetch_all(left, root, servers, connections, csv.DictWriter(table, COLUMNS), table.flush)
            _write(root / MANIFEST, _read(root / MANIFEST))
    except OSError as error:
        raise UserError(f"faceforensics.path: {root}: {error}; what is fetched stays: mend it and run again") from error
    return causes


def _fetch_all(
    files: Sequence[str], root: Path, servers: Sequence[str], connections: int, table: Any, flush: Callable[[], None]
) -> dict[str, str]:
    halt, troubles = threading.Event(), Counter[str]()
    causes: dict[str, str] = {}
    silences = 0
    with ThreadPoolExecutor(connections) as pool:
        jobs = {pool.submit(_obtain, file, root, servers, troubles, halt): file for file in files}
        try:
            for job in progress(as_completed(jobs), len(jobs), "fetch", "file"):
                result = job.result()
                if isinstance(result, _Failed):
                    causes[jobs[job]] = result.cause
                    silences = silences + 1 if result.silent else 0
                    if silences > SILENCES * connections:
                        raise UserError(f"faceforensics.server: no server answers ({result.cause}); run again later")
                else:
                    silences = 0
                    table.writerow(result)  # at once: a run that is killed has listed what it fetched
                    flush()
        except BaseException:
            halt.set()
            pool.shutdown(cancel_futures=True)
            raise
    return causes


def _obtain(
    file: str, root: Path, servers: Sequence[str], troubles: Counter[str], halt: threading.Event
) -> Row | _Failed:
    path = root / file
    if path.is_file():
        with suppress(VideoError):  # a damaged file is fetched anew
            return _row(file, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    causes, silent = [], True
    for server in sorted(servers, key=lambda server: troubles[server]):
        try:
            with open_session(server) as session:
                download(session, f"{server.rstrip('/')}/{quote(file)}", part, halt=halt)
            row = _row(file, part)
            part.replace(path)
            troubles[server] = 0
            return row
        except Unreachable as error:
            troubles[server] += 1
            causes.append(f"{shown(server)}: {error}")
        except Unavailable as error:
            silent = False
            causes.append(f"{shown(server)}: {error}")
        except VideoError as error:
            silent = False
            causes.append(f"{shown(server)}: {_page(part) or error}")
            discard(part)
    return _Failed("; ".join(causes), silent)


def _row(file: str, path: Path) -> Row:
    info = probe(path)
    values = (file, path.stat().st_size, sha256_of(path), info.frames, float(info.fps), info.width, info.height)
    return dict(zip(COLUMNS, (*map(str, values), info.codec, info.pix_fmt), strict=True))


def _page(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    return "a web page in place of the video" if start.startswith((b"<!doctype html", b"<html")) else ""


def _listed(root: Path, file: str, rows: dict[str, Row]) -> bool:
    path = root / file
    return file in rows and path.is_file() and str(path.stat().st_size) == rows[file]["bytes"]


def _read(path: Path) -> dict[str, Row]:
    """The rows by their files. What is no whole row is forgotten, and its file looked into once more: a run that was
    killed may leave half a line, and a spreadsheet that saves the table another form of it."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    rows = csv.DictReader(line for line in lines if line.endswith("\n"))
    return {row["path"]: row for row in rows if tuple(row) == COLUMNS and None not in row.values()}


def _write(path: Path, rows: dict[str, Row]) -> None:
    with whole(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))
