"""Runs in a real local store, and servers that are down, silent, or die on the way: none holds a stage up."""

import json
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.sql
from filelock import FileLock

from pipeline.params.sections import Tracking
from pipeline.tracking import runs, store

SETTINGS = Tracking(enabled=True, experiment="toys")
PATIENT = 150  # seconds; two hundred calls that each wait for a server, for a second or more, take longer


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """It takes seconds, and on a busy machine as long as what is timed here."""
    import mlflow.entities  # noqa: F401


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a b%20c#d?e'f"  # all of which mean something in an address
    folder.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for variable in store.PATIENCE:
        monkeypatch.setenv(variable, "1")  # the user's own word counts, and shortens the tests
    monkeypatch.setattr(store, "LIMIT", 2.0)
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local store with a run in it: MLflow takes a second to make one."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(file.parent))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        log()
    return file


def log(steps: int = 2) -> float:
    """A run with metrics; the seconds that it took."""
    start = time.monotonic()
    with runs.track(SETTINGS, "toy", {"a": {"b": 1}}, {"stage": "train"}) as run:
        for step in range(steps):
            run.metrics({"loss": 1.0 / (step + 1), "val_auc": float("nan"), "max": float("inf")}, step)
    return time.monotonic() - start


def test_a_local_store_keeps_the_run_and_says_what_it_is(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mlflow import MlflowClient

    log()
    assert "failed" not in capsys.readouterr().err and (root / "mlflow.db").is_file()
    (root / "mlflow.db").rename(root.parent / "plain.db")
    client = MlflowClient(f"sqlite:///{root.parent / 'plain.db'}")
    experiment = client.get_experiment_by_name("toys")
    assert experiment.tags[store.KIND] == store.CUSTOM_MODELS
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.data.params == {"a.b": "1"} and run.data.metrics == {"loss": 0.5}
    old = client.create_experiment("of an older version")
    assert store._experiment(client, "of an older version", None) == old
    assert client.get_experiment(old).tags[store.KIND] == store.CUSTOM_MODELS


@pytest.mark.parametrize("accepts", [False, True])
def test_a_server_that_is_down_or_silent_costs_seconds_and_is_told(
    accepts: bool, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if accepts:
            server.listen()
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.replace("//", "//me:secret@"))
        assert log(steps=200) < PATIENT
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and f"{uri} {'says nothing for 1 s' if accepts else 'is not there'}" in told[0]
    assert not (root / "mlflow.db.lock").exists()  # nobody else waits meanwhile


class Server(BaseHTTPRequestHandler):
    """As much of MLflow's as a run needs; `dead` never answers."""

    dead = threading.Event()
    batches: list[Any] = []  # noqa: RUF012

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.dead.is_set():
            time.sleep(20)
        run = {"info": {"run_id": "r", "run_uuid": "r", "experiment_id": "1", "status": "RUNNING"}, "data": {}}
        answers = {"create": {"run": run}, "get-by-name": {"experiment": {"experiment_id": "1", "name": "toys"}}}
        name = self.path.partition("?")[0].split("/")[-1]
        if name == "log-batch":
            self.batches.append(json.loads(body))
        data = json.dumps(answers.get(name, {})).encode()
        with suppress(ConnectionError):  # who gave up does not listen any more, and a later test reads what is said
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    do_GET = do_POST = answer

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def uri() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    Server.dead.clear()
    Server.batches.clear()


def test_a_server_that_dies_in_the_middle_costs_one_call(
    uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with runs.track(SETTINGS, "toy", {"a": 1}, {}) as run:
        run.metrics({"loss": 1.0}, 1)
        assert Server.batches[-1]["metrics"][0]["value"] == 1.0
        Server.dead.set()
        start = time.monotonic()
        for step in range(200):
            run.metrics({"loss": 1.0}, step)
    assert time.monotonic() - start < PATIENT
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "the stage goes on without it" in told[0]


def test_who_waits_for_the_local_stores_lock_does_not_wait_for_ever(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "LOCKED", 0.1)
    with FileLock(root / "mlflow.db.lock"):
        log()
    assert "goes on without it" in capsys.readouterr().err


def test_a_local_store_whose_making_was_killed_is_made_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """MLflow cannot go on from some of its tables. What a kill leaves is the first of them, and a journal."""
    from mlflow.store.db import utils

    file = root.parent / "killed.db"
    part, left = file.with_name("killed.db.part"), root.parent / "left"

    def killed(engine: object) -> None:
        assert not file.exists()
        left.write_bytes(part.read_bytes())
        raise InterruptedError("killed")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    with monkeypatch.context() as patch:
        patch.setattr(utils, "_upgrade_db", killed)
        log()
    assert "killed" in capsys.readouterr().err and not file.exists()
    left.rename(part)
    part.with_name(f"{part.name}-journal").write_bytes(b"\xd9\xd5\x05\xf9 \xa1c\xd7" + bytes(504))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}?timeout=20")  # as in a new process: no open connection
    log()
    assert not capsys.readouterr().err
    with closing(sqlite3.connect(file)) as made:
        assert made.execute("select status from runs").fetchall() == [("FINISHED",)]


def test_a_store_that_another_program_left_half_made_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(root.parent / "half.db")) as half:
        half.execute("create table experiment_tags (id integer)")  # one that MLflow makes later than others
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root.parent / 'half.db'}")
    log()
    (line,) = capsys.readouterr().err.splitlines()
    assert "goes on without it" in line and "half.db was not made, or upgraded, to its end: move that file away" in line


@pytest.mark.parametrize("begun", [False, True])
def test_a_locked_local_store_costs_one_line(
    begun: bool, root: Path, written: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As by another program that holds it open. MLflow's patience of 20 seconds (a pragma) is cut short here."""
    text = sqlalchemy.sql.text
    monkeypatch.setattr(sqlalchemy.sql, "text", lambda words: text(str(words).replace("= 20000", "= 50")))
    file = Path(shutil.copy(written, root.parent / "plain.db"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}?timeout=0.05")
    log()
    holder = sqlite3.connect(file)
    capfd.readouterr()
    if begun:
        with runs.track(SETTINGS, "toy", {}, {}) as run:
            holder.execute("BEGIN EXCLUSIVE")
            run.metrics({"loss": 1.0})
    else:
        holder.execute("BEGIN EXCLUSIVE")
        log()
    holder.close()
    (line,) = capfd.readouterr().err.splitlines()
    assert "the stage goes on without it" in line and "database is locked" in line
