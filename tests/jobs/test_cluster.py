"""Trainings as tasks of a real Ray cluster of two local nodes, one of which is lost on the way."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from pipeline.jobs.machine import find
from pipeline.jobs.reproduce import reproduce
from pipeline.jobs.scheduling import Machine
from pipeline.params.schema import load
from tests.aids.processes import wait_until
from tests.aids.started import ROOT
from tests.aids.toy_training import EPOCHS, ROWS

STAGES = """
stages:
  train:
    matrix: {name: [a, b, alone]}
    meta: {uses: device}
    cmd: python -m tests.aids.toy_training --name ${item.name} --seconds 0.5 --out models/${item.name}
    outs: ["models/${item.name}"]
"""


def test_a_lost_nodes_training_goes_on_elsewhere_and_dvc_has_its_records(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, monkeypatch, cluster.address)
    machine = find(load(), jobs=1)
    assert machine == Machine(1, (None, None))  # a training to each node's core
    status: list[int] = []
    run = threading.Thread(target=lambda: status.append(reproduce(machine)))
    run.start()
    lost = next(iter(cluster.worker_nodes))
    wait_until(lambda: len(notes("row", lost.node_id)) >= 3 and len({note.node for note in notes("row")}) == 2)
    name = notes("row", lost.node_id)[0].name
    cluster.remove_node(lost, allow_graceful=False)
    run.join()
    assert status == [0]

    first, *later = [note for note in notes("from") if note.name == name]
    assert first.step == 0 and first.node == lost.node_id
    assert later[0].step >= 2 and later[0].node != lost.node_id  # a checkpoint was written after every row
    weights = {path.read_bytes() for path in tmp_path.glob("models/*/model.safetensors")}
    assert len(list(tmp_path.glob("models/*"))) == 3 and len(weights) == 1  # the same bits as those left in peace
    assert max(note.step for note in notes("row")) == EPOCHS * ROWS
    done = subprocess.run([sys.executable, "-m", "dvc", "status", "--json"], capture_output=True, check=True)
    assert done.stdout.strip() == b"{}"


class Note(NamedTuple):
    name: str
    node: str
    what: str
    step: int


def notes(what: str, node: str | None = None) -> list[Note]:
    """What the trainings have noted, in order."""
    path = Path("notes.txt")
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    found = [Note(name, where, kind, int(step)) for name, where, kind, step in lines]
    return [note for note in found if note.what == what and node in (None, note.node)]


def project(folder: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """A repository of toy trainings, entered."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for room in ("pipeline", "stages", "tests"):
        (folder / room).symlink_to(ROOT / room)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump(params | {"cluster": {"address": address}}))
    (folder / "dvc.yaml").write_text(STAGES)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], check=True)
