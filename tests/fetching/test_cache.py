"""Files out of packages: a package index of our own on the loopback, with archives made here."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.fetching import index, transfer
from pipeline.fetching.archives import Archive, Member
from pipeline.fetching.cache import fetch_members, fetch_url
from pipeline.work.errors import UserError

CONTENT = os.urandom(3_000_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


class Index(ThreadingHTTPServer):
    """Serves /simple/<package>/ and /files/<archive>; `faults` are answers to give before the right one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[int | str] = []
        self.requests: Counter[str] = Counter()
        self.authorization: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple/"


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        kind, name = self.path.strip("/").split("/")
        self.server.requests[kind] += 1
        self.server.authorization.append(self.headers["Authorization"])
        links = [file for file in self.server.files if file.startswith(name + "-")]
        if kind == "simple" and not links:
            self.send_error(404)
        elif kind == "simple":
            self._answer("".join(f'<a href="/files/{link}">{link}</a>' for link in links).encode(), "text/html")
        elif self.server.faults:
            fault = self.server.faults.pop(0)
            if isinstance(fault, int):
                self.send_error(fault)
            else:
                self._answer(self.server.files[name], "application/octet-stream", cut=True)
        else:
            self._answer(self.server.files[name], "application/octet-stream")

    def _answer(self, body: bytes, kind: str, cut: bool = False) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)

    def log_message(self, *_: object) -> None:
        pass


def sdist(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for name, goal in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, goal
            tar.addfile(entry)
    return buffer.getvalue()


def wheel(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with Index() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        for variable in (*index.FIRST, *index.MORE):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("UV_DEFAULT_INDEX", server.url)
        monkeypatch.setattr(transfer, "BACK_OFF", 0.0)
        yield server
        server.shutdown()


def publish(server: Index, body: bytes, file: str = "toy-1.0.tar.gz") -> Archive:
    server.files[file] = body
    return Archive("toy", "1.0", file, hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize(("pack", "file"), [(sdist, "toy-1.0.tar.gz"), (wheel, "toy-1.0-py3-none-any.whl")])
def test_members_are_fetched_once_and_nothing_else_is_left(server: Index, tmp_path: Path, pack, file: str) -> None:
    archive = publish(server, pack({"toy-1.0/setup.py": b"raise SystemExit", "toy-1.0/a/face.mp4": CONTENT}), file)
    for _ in range(2):
        (path,) = fetch_members(archive, [Member("toy-1.0/a/face.mp4", SHA)], tmp_path)
        assert path.read_bytes() == CONTENT
    assert server.requests["files"] == 1
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == ["face.mp4"]


def test_two_members_of_an_archive_take_one_request(server: Index, tmp_path: Path) -> None:
    archive = publish(server, sdist({"toy/a": b"a", "toy/b": b"b"}))
    members = [Member(f"toy/{name}", hashlib.sha256(name.encode()).hexdigest()) for name in "ab"]
    assert [path.read_text() for path in fetch_members(archive, members, tmp_path)] == ["a", "b"]
    assert server.requests["files"] == 1


def test_a_connection_lost_and_a_busy_server_are_tried_again(server: Index, tmp_path: Path) -> None:
    archive = publish(server, wheel({"face.mp4": CONTENT}), "toy-1.0-py3-none-any.whl")
    server.faults = ["cut", 503]
    (path,) = fetch_members(archive, [Member("face.mp4", SHA)], tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.requests["files"] == 3


def test_what_is_damaged_in_the_cache_is_fetched_again(server: Index, tmp_path: Path) -> None:
    archive = publish(server, wheel({"face.mp4": CONTENT}), "toy-1.0-py3-none-any.whl")
    (tmp_path / "face.mp4").write_bytes(CONTENT[:-1])
    (path,) = fetch_members(archive, [Member("face.mp4", SHA)], tmp_path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("archive", "toy-1.0.tar.gz is not the file expected"),
        ("member", "toy/face.mp4 is not the file expected"),
        ("missing", "holds no file toy/face.mp4"),
        ("symlink", "holds no file toy/face.mp4"),
        ("not an archive", "not a readable archive"),
        ("no version", "toy-1.0.tar.gz is not there"),
        ("no package", "No details about project 'toy' available"),
        ("gone", "HTTP 404"),
        ("always cut", "cut off"),
    ],
)
def test_faults_are_told_in_a_line_and_leave_nothing(server: Index, tmp_path: Path, fault: str, message: str) -> None:
    bodies = {
        "member": sdist({"toy/face.mp4": b"another"}),
        "missing": sdist({"toy/other.mp4": CONTENT}),
        "symlink": sdist({"toy/other.mp4": CONTENT}, {"toy/face.mp4": "other.mp4"}),
        "not an archive": b"<html>sign in</html>",
    }
    archive = publish(server, bodies.get(fault, sdist({"toy/face.mp4": CONTENT})))
    if fault == "archive":
        server.files[archive.file] = sdist({"toy/face.mp4": CONTENT, "toy/extra": b""})
    elif fault in ("no version", "no package"):
        body = server.files.pop(archive.file)
        server.files.update({"toy-0.9.tar.gz": body} if fault == "no version" else {})
    elif fault in ("gone", "always cut"):
        server.faults = [404 if fault == "gone" else "cut"] * (1 + transfer.ATTEMPTS)
    with pytest.raises(UserError) as error:
        fetch_members(archive, [Member("toy/face.mp4", SHA)], tmp_path)
    line = str(error.value)
    assert message in line
    assert line.startswith("toy==1.0: ")
    assert f"put toy/face.mp4 of toy-1.0.tar.gz into {tmp_path}" in line
    assert "\n" not in line
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []


def test_a_member_cannot_leave_the_folder(server: Index, tmp_path: Path) -> None:
    archive = publish(server, sdist({"../../evil": b"evil", "toy/face.mp4": CONTENT}))
    folder = tmp_path / "a/b/cache"
    wanted = [Member("toy/face.mp4", SHA), Member("../../evil", hashlib.sha256(b"evil").hexdigest())]
    paths = fetch_members(archive, wanted, folder)
    assert paths == [folder / "face.mp4", folder / "evil"]
    assert list(tmp_path.rglob("evil")) == [folder / "evil"]


def test_a_filled_cache_needs_no_network(server: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = publish(server, wheel({"face.mp4": CONTENT}), "toy-1.0-py3-none-any.whl")
    member = Member("face.mp4", SHA)
    fetch_members(archive, [member], tmp_path)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/")
    assert fetch_members(archive, [member], tmp_path)[0].read_bytes() == CONTENT
    with pytest.raises(UserError, match="unreachable"):
        fetch_members(archive, [member], tmp_path / "empty")


def test_processes_at_once_fetch_once(server: Index, tmp_path: Path) -> None:
    archive = publish(server, wheel({"face.mp4": CONTENT}), "toy-1.0-py3-none-any.whl")
    call = f"fetch_members({archive!r}, [{Member('face.mp4', SHA)!r}], Path({str(tmp_path)!r}))"
    code = f"from pipeline.fetching.cache import *; from pathlib import Path; {call}"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert server.requests["files"] == 1


def test_credentials_go_to_the_index_and_never_into_messages(
    server: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", server.url.replace("//", "//user:s%40cret@"))
    with pytest.raises(UserError) as error:
        fetch_members(Archive("toy", "1.0", "toy-1.0.tar.gz", SHA), [Member("face.mp4", SHA)], tmp_path)
    assert server.authorization == ["Basic dXNlcjpzQGNyZXQ="]
    assert "cret" not in str(error.value)


def test_an_address_that_cannot_be_reached_says_what_to_do(server: Index, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(UserError) as error:
        fetch_url(lambda: "https://127.0.0.1:9/weights.pth", SHA, path, "or train from scratch")
    assert f"put it at {path}, or train from scratch" in str(error.value)
    with pytest.raises(UserError, match="not an https address"):
        fetch_url(lambda: server.url, SHA, path, "")
    path.write_bytes(CONTENT)
    assert fetch_url(lambda: pytest.fail("asked for the address"), SHA, path, "") == path


def test_the_index_comes_from_the_users_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*index.FIRST, *index.MORE, "PIP_CONFIG_FILE", "UV_CONFIG_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    pip = tmp_path / "pip.conf"
    pip.write_text(
        "[global]\nindex-url = https://pip.test/simple\nextra-index-url = file:///x https://more.test/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(pip))
    assert index.indexes()[:2] == ["https://pip.test/simple", "https://more.test/simple"]
    (tmp_path / "uv.toml").write_text('[[index]]\nurl = "https://uv.test/simple"\ndefault = true\n')
    assert index.indexes()[0] == "https://uv.test/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.test/simple")
    monkeypatch.setenv("UV_INDEX", "named=https://named.test/simple")
    assert index.indexes()[:2] == ["https://env.test/simple", "https://named.test/simple"]


def test_certificates_of_the_users_configuration_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in index.CERTIFICATES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert index.open_session().verify is True
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert index.open_session().verify == str(bundle)
