"""FaceForensics++ from a server of our own on the loopback, which errs in every way that servers do."""

import hashlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import requests

from pipeline.fetching import transfer
from pipeline.fetching.transfer import Unavailable, download
from pipeline.params import schema as params
from pipeline.sources import access, mirror
from pipeline.sources import registry as sources
from pipeline.videos.manifests import read_manifest
from pipeline.work.errors import UserError
from tests.aids.clips import HEIGHT, WIDTH, pictures, write_clip

ROOT = Path(__file__).parents[2]
FOLDER = "original_sequences/youtube/raw/videos"
CONTENT = os.urandom(100_000)


class Server(ThreadingHTTPServer):
    """Serves `files` under /v3/ with ranges. `faults`: path -> answers to give before the right one."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.faults: dict[str, list[str]] = {}
        self.requests: Counter[str] = Counter()
        self.ranges: list[str | None] = []
        self.tag: str | None = '"1"'
        self.meet: threading.Barrier | None = None  # that a request waits at for others
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v3/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.removeprefix("/v3/")
        with self.server.lock:
            self.server.requests[path] += 1
            self.server.ranges.append(self.headers["Range"])
            faults = self.server.faults.get(path, [])
            fault = (faults[0] if faults[0] == faults[-1] == "always page" else faults.pop(0)) if faults else ""
        if self.server.meet:
            self.server.meet.wait(20)
        self._serve(path, fault)

    def _serve(self, path: str, fault: str) -> None:
        body = self.server.files.get(path)
        if fault in ("404", "503") or body is None:
            self.send_error(int(fault or 404))
            return
        if "page" in fault:
            body = b"<!DOCTYPE html><html>Please sign in</html>"
        start, asked = 0, self.headers["Range"]
        fresh = self.headers["If-Range"] in (None, self.server.tag)
        if asked and fresh and fault != "no ranges":
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if self.server.tag:
            self.send_header("ETag", self.server.tag)
        length = len(body) - start
        claimed = {"too long": length + 500, "too short": length // 2}.get(fault, length)
        self.send_header("Content-Length", str(claimed))
        self.end_headers()
        rest = body[start:][:claimed]
        if "cut" in fault:
            rest = rest[: max(length // 2, 10_000)]
        for at in range(0, len(rest), 8000):
            self.wfile.write(rest[at : at + 8000])
            if "slow" in fault:
                time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("served") / "video.mp4"
    write_clip(path, pictures(10), 25, (WIDTH, HEIGHT))
    return path.read_bytes()


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, bytes]], Server]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv(access.VARIABLE, raising=False)
    monkeypatch.setattr(transfer, "BACK_OFF", 0.0)
    monkeypatch.setattr(transfer, "PIECE", 10_000)
    running: list[Server] = []

    def run(files: dict[str, bytes]) -> Server:
        running.append(Server(files))
        return running[-1]

    yield run
    for server in running:
        server.shutdown()
        server.server_close()


Start = Callable[[dict[str, bytes]], Server]


@pytest.mark.parametrize("tag", ['"1"', None])
def test_a_cut_download_goes_on_where_it_stopped(start: Start, tmp_path: Path, tag: str | None) -> None:
    server = start({"x": CONTENT})
    cuts = ["cut"] * (transfer.ATTEMPTS + 2)  # more than may fail in a row, but each brings something
    server.tag, server.faults = tag, {"x": ["cut", "503", "slow cut", *cuts]}
    with requests.Session() as session:
        download(session, server.url + "x", tmp_path / "x.part")
    assert (tmp_path / "x.part").read_bytes() == CONTENT
    # Whole pieces of 10,000 bytes are kept.
    assert server.ranges[:4] == [None, "bytes=50000-", "bytes=50000-", "bytes=70000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["x.part"]


def test_a_download_that_is_given_up_is_gone_on_from_by_the_next_run(start: Start, tmp_path: Path) -> None:
    server = start({"x": CONTENT})
    server.faults = {"x": ["cut", *["503"] * transfer.ATTEMPTS]}
    with requests.Session() as session:
        with pytest.raises(Unavailable, match="HTTP 503"):
            download(session, server.url + "x", tmp_path / "x.part")
        assert (tmp_path / "x.part").stat().st_size == 50_000
        download(session, server.url + "x", tmp_path / "x.part")
    assert (tmp_path / "x.part").read_bytes() == CONTENT and server.ranges[-1] == "bytes=50000-"


@pytest.mark.parametrize("change", ["another tag", "another length", "no ranges", "shorter"])
def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(start: Start, tmp_path: Path, change: str) -> None:
    server = start({"x": CONTENT})
    server.faults = {"x": ["cut", *["503"] * transfer.ATTEMPTS]}
    with requests.Session() as session:
        with pytest.raises(Unavailable):
            download(session, server.url + "x", tmp_path / "x.part")
        new = {"another length": CONTENT[::-1] + b"more", "shorter": CONTENT[:40_000]}.get(change, CONTENT[::-1])
        server.files["x"] = new
        server.tag = '"2"' if change == "another tag" else server.tag
        server.faults = {"x": ["no ranges"] if change == "no ranges" else []}
        download(session, server.url + "x", tmp_path / "x.part")
    assert (tmp_path / "x.part").read_bytes() == new


def test_a_halt_stops_within_a_piece(start: Start, tmp_path: Path) -> None:
    halt = threading.Event()
    halt.set()
    with requests.Session() as session, pytest.raises(Unavailable, match="stopped"):
        download(session, start({"x": CONTENT}).url + "x", tmp_path / "x", halt=halt)
    assert (tmp_path / "x").stat().st_size == 10_000


def test_every_fault_falls_back_on_another_server(start: Start, tmp_path: Path, video: bytes) -> None:
    faults = ("404", "always page", "too short", "cut", "503", "slow", "too long", "good")
    files = {f"{FOLDER}/{number:03d}.mp4": video for number, _ in enumerate(faults)}
    first, second = start(files), start(files)
    first.faults = {file: [fault] * 20 for file, fault in zip(files, faults, strict=True) if fault != "good"}
    assert mirror.fetch(list(files), tmp_path, [first.url, second.url], connections=4) == {}
    for file in files:
        assert (tmp_path / file).read_bytes() == video
    table = pd.read_csv(tmp_path / "fetched.csv")
    assert list(table["path"]) == sorted(files)
    row = table.iloc[0].to_dict()
    assert row["sha256"] == hashlib.sha256(video).hexdigest()
    assert (row["bytes"], row["frames"], row["fps"]) == (len(video), 10, 25)
    assert (row["width"], row["height"], row["codec"], row["pix_fmt"]) == (WIDTH, HEIGHT, "h264", "yuv420p")
    assert not list(tmp_path.rglob("*.part*"))
    before = sum((first.requests + second.requests).values())
    assert mirror.fetch(list(files), tmp_path, [first.url, second.url], connections=4) == {}
    assert sum((first.requests + second.requests).values()) == before  # what is listed is not asked for again


def test_files_are_fetched_side_by_side(start: Start, tmp_path: Path, video: bytes) -> None:
    files = [f"{FOLDER}/{name}.mp4" for name in ("000", "001")]
    server = start(dict.fromkeys(files, video))
    server.meet = threading.Barrier(2)  # one after the other, the first would wait for ever
    assert mirror.fetch(files, tmp_path, [server.url], connections=2) == {}
    assert server.requests == {file: 1 for file in files}


def test_what_no_server_has_is_told_server_by_server(start: Start, tmp_path: Path, video: bytes) -> None:
    good, page, gone = (f"{FOLDER}/{name}.mp4" for name in ("000", "001", "002"))
    server = start({good: video, page: video})
    server.faults = {page: ["always page"]}
    causes = mirror.fetch([good, page, gone], tmp_path, [server.url], connections=2)
    assert causes == {page: f"{server.url}: a web page in place of the video", gone: f"{server.url}: HTTP 404"}
    assert list(pd.read_csv(tmp_path / "fetched.csv")["path"]) == [good]


def test_what_a_killed_run_left_is_used(start: Start, tmp_path: Path, video: bytes) -> None:
    listed, there, damaged = (f"{FOLDER}/{name}.mp4" for name in ("000", "001", "002"))
    server = start({file: video for file in (listed, there, damaged)})
    assert mirror.fetch([listed], tmp_path, [server.url], 1) == {}
    with (tmp_path / "fetched.csv").open("a") as table:
        table.write(f"{there},12")  # half a line
    (tmp_path / there).write_bytes(video)
    (tmp_path / damaged).write_bytes(video[:500])
    assert mirror.fetch([listed, there, damaged], tmp_path, [server.url], 1) == {}
    assert server.requests == {listed: 1, damaged: 1}
    assert list(pd.read_csv(tmp_path / "fetched.csv")["path"]) == [listed, there, damaged]


@pytest.mark.parametrize(
    "saved",
    [
        b"path;bytes;sha256\n%b;5;x\n" % f"{FOLDER}/000.mp4".encode(),
        f"path,bytes\n{FOLDER}/000.mp4,5\n".encode("utf-16"),
        b"path,bytes,sha256,frames,fps,width,height,codec,pix_fmt\n%b,many\n" % f"{FOLDER}/000.mp4".encode(),
    ],
    ids=["semicolons", "UTF-16", "half a line"],
)
def test_a_list_of_fetched_files_that_was_spoilt_costs_another_look_into_them(
    tmp_path: Path, start: Start, video: bytes, saved: bytes
) -> None:
    file = f"{FOLDER}/000.mp4"
    server = start({file: video})
    assert mirror.fetch([file], tmp_path, [server.url], connections=1) == {}
    listed = (tmp_path / "fetched.csv").read_bytes()
    (tmp_path / "fetched.csv").write_bytes(saved)
    assert mirror.fetch([file], tmp_path, [server.url], connections=1) == {}
    assert (tmp_path / "fetched.csv").read_bytes() == listed and server.requests[file] == 1


def test_servers_that_are_all_silent_end_the_run(tmp_path: Path, start: Start) -> None:
    server = start({})
    server.shutdown()
    server.server_close()
    files = [f"{FOLDER}/{number:03d}.mp4" for number in range(40)]
    with pytest.raises(UserError, match=r"no server answers .*unreachable.*run again later"):
        mirror.fetch(files, tmp_path, [server.url], connections=1)


Make = Callable[..., params.Params]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    defaults = params.load(ROOT / "params.yaml")
    (tmp_path / "splits").mkdir()
    for split, pair in {"train": ["000", "001"], "val": ["002", "003"], "test": ["004", "005"]}.items():
        (tmp_path / f"splits/{split}.json").write_text(json.dumps([pair]))

    def settings(**changes: object) -> params.Params:
        options = {"path": str(tmp_path / "tree"), "splits": str(tmp_path / "splits"), "use_published": False}
        section = defaults.faceforensics.model_copy(update=options | changes)
        return defaults.model_copy(update={"source": "faceforensics", "faceforensics": section, "workers": 1})

    return settings


def test_terms_are_accepted_first_and_recorded(
    start: Start, make: Make, tmp_path: Path, video: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start({f"{FOLDER}/{number:03d}.mp4": video for number in range(5)})
    monkeypatch.setenv(access.VARIABLE, server.url)
    for half in ({}, {"accept_terms": True}, {"accepted_by": "Ann Li"}):
        with pytest.raises(UserError, match=r"6 files are missing; .*terms of use.* set faceforensics\.accept_terms"):
            sources.download(make(**half), "original", tmp_path / "out")
    assert not server.requests and not (tmp_path / "tree").exists()
    accepted = {"accept_terms": True, "accepted_by": "Ann Li"}
    with pytest.raises(UserError, match=r"1 of 6 files are missing .*005\.mp4: .*HTTP 404"):
        sources.download(make(**accepted), "original", tmp_path / "out")
    note = json.loads((tmp_path / "tree/terms-accepted.json").read_text())
    assert note["accepted_by"] == "Ann Li" and note["accepted_at"].startswith("20")
    missing = pd.read_csv(tmp_path / "tree/missing.csv")
    assert list(missing["path"]) == [f"{FOLDER}/005.mp4"] and "HTTP 404" in missing["cause"][0]
    assert sources.download(make(allow_missing=True, **accepted), "original", tmp_path / "out").startswith(
        "original: 4 videos of 4 people (train 2, val 2), 2 rejected"
    )
    server.files[f"{FOLDER}/005.mp4"] = video
    sources.download(make(**accepted), "original", tmp_path / "out")
    assert len(read_manifest(tmp_path / "out")) == 6 and pd.read_csv(tmp_path / "tree/missing.csv").empty
    assert json.loads((tmp_path / "tree/terms-accepted.json").read_text()) == note
    server.shutdown()
    sources.download(make(), "original", tmp_path / "out")  # a whole tree needs neither server nor terms


SCRIPT = """
SERVERS = ['A', 'B']
if server == 'A':
    server_url = 'http://a.test:8008/'
elif server == "B":
    server_url = "http://b.test/ff/"
args.tos_url = server_url + 'webpage/terms.pdf'
args.base_url = server_url + 'v3/'
raise SystemExit('it must never run')
"""


def test_addresses_come_from_the_params_the_environment_or_the_script(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(access.VARIABLE, raising=False)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    options = {"script": str(script)}
    assert access.servers(make().faceforensics).addresses == ()
    assert access.servers(make(**options).faceforensics) == access.Servers(
        ("http://a.test:8008/v3/", "http://b.test/ff/v3/"), "http://a.test:8008/webpage/terms.pdf"
    )
    monkeypatch.setenv(access.VARIABLE, "https://c.test/")
    assert access.servers(make(**options).faceforensics).addresses == ("https://c.test/",)
    two = make(server="https://d.test/ https://e.test/", **options)
    assert access.servers(two.faceforensics).addresses == ("https://d.test/", "https://e.test/")
    with pytest.raises(UserError, match="'ftp://x' is not an http"):
        access.servers(make(server="ftp://x").faceforensics)
    monkeypatch.delenv(access.VARIABLE)
    script.write_text("print('hello')")
    with pytest.raises(UserError, match="names no server"):
        access.servers(make(**options).faceforensics)
    script.unlink()
    with pytest.raises(UserError, match=r"script\.py cannot be read"):
        access.servers(make(**options).faceforensics)
