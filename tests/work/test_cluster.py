"""Per-video work on a real Ray cluster of two local nodes, one of which is lost on the way."""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.faces.detection import detect_set
from pipeline.faces.sampled import Search
from pipeline.videos.compression import compress
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.videos.sampling import sample
from pipeline.work.errors import UserError
from pipeline.work.parallel import Rejected, map_videos
from pipeline.work.resume import Scratch
from tests.aids.clips import faces, raw_set
from tests.aids.halving import half
from tests.aids.processes import wait_until
from tests.aids.started import ROOT, hashes


def test_two_nodes_give_the_bytes_of_one_core(cluster: Any, tmp_path: Path) -> None:
    results = list(map_videos(half, range(8), what="halve", workers=cluster.address))
    assert results == [Rejected(3, "three is odd") if n == 3 else n / 2 for n in range(8)]
    with pytest.raises(UserError, match=r"params\.yaml: too large"):
        list(map_videos(half, [1, 100], what="halve", workers=cluster.address))
    raw = raw_set(tmp_path / "original", {name: {} for name in "abcd"}, frames=4, shown=faces)
    assert compress(raw, tmp_path / "one", 23, "c23", workers=1) == (4, 0)
    assert compress(raw, tmp_path / "two", 23, "c23", workers=cluster.address) == (4, 0)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    frames = sample("original", read_manifest(raw), read_rejected(raw), 3, 0)
    assert detect_set(raw, frames, tmp_path / "1", Search(400, 1.3), workers=1)[:2] == (12, 12)
    assert detect_set(raw, frames, tmp_path / "2", Search(400, 1.3), workers=cluster.address)[:2] == (12, 12)
    assert hashes(tmp_path / "1") == hashes(tmp_path / "2")


def test_a_lost_node_costs_its_videos_in_flight(cluster: Any, tmp_path: Path) -> None:
    lost = next(iter(cluster.worker_nodes))
    with Scratch("wait", tmp_path, {}, []) as scratch:
        work = partial(slow, notes=tmp_path)
        results = map_videos(work, list(range(12)), what="wait", workers=cluster.address, keep=scratch)
        first = next(results)
        wait_until(lambda: [node for _, node in begun(tmp_path)].count(lost.node_id) == 2)
        cluster.remove_node(lost, allow_graceful=False)  # its one core is at its second video
        assert [first, *results] == [number * number for number in range(12)]
    [*_, in_flight] = [number for number, node in begun(tmp_path) if node == lost.node_id]
    assert sorted(number for number, _ in begun(tmp_path)) == sorted([*range(12), in_flight])


def test_without_ray_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"Ray is not installed: install the extra"):
        list(map_videos(half, [1], what="halve", workers="auto"))


def test_no_cluster_at_the_address() -> None:
    pytest.importorskip("ray", reason="ray, the extra `cluster`, is not installed")
    code = (
        "from pipeline.work.parallel import map_videos\nfrom tests.aids.halving import half\n"
        "list(map_videos(half, [1], what='halve', workers='auto'))"
    )
    command = [sys.executable, "-c", code]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert "no Ray cluster answers at auto" in result.stderr.splitlines()[-1]


def slow(number: int, notes: Path) -> int:
    import ray

    with (notes / "begun.txt").open("a") as file:
        file.write(f"{number} {ray.get_runtime_context().get_node_id()}\n")
    time.sleep(1)
    return number * number


def begun(notes: Path) -> list[tuple[int, str]]:
    """Which video was begun on which node, in order."""
    path = notes / "begun.txt"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [(int(number), node) for number, node in lines]
