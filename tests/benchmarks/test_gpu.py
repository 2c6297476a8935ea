"""The GPU benchmark on a CPU with tiny sizes: its parts measure, its files say what they found, and what failed."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_parts import PARTS
from benchmarks.gpu_setup import Row, Setup
from benchmarks.launches import LOSSES


def rows(part: str) -> list[Row]:
    return list(PARTS[part][0](Setup("cpu", tiny=True)))


def test_losses_are_held_against_their_loop_form() -> None:
    found = rows("losses")
    assert {row["distance"] for row in found} == {"histogram", "wasserstein", "released"}
    assert all(row["loop / ours"] > 0 for row in found)


def test_kernels_of_each_loss_are_told() -> None:
    found = rows("launches")
    assert len(found) == 8 and {row["loss"] for row in found} == set(LOSSES)
    assert all(row["kernels"] > 50 and 0 < row["operations counted without a device"] < 400 for row in found)
    assert all(row["their share of the time"] > 0 for row in found)


def test_the_loader_is_held_against_the_step() -> None:
    (found,) = rows("loading")
    assert found["crops"] == 32 and found["step / loader"] > 1 and found["loop / step"] > 0


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    assert gpu.main(["--tiny", "--device", "cpu", "--out", str(tmp_path), "--seconds", "1", "--parts", "peaks"]) == 1
    found: dict[str, Any] = json.loads((tmp_path / "gpu.json").read_text())
    assert "no time left" in found["parts"]["peaks"]["error"]
    assert "Failed: not started" in (tmp_path / "gpu.md").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine whose parts fail")
def test_a_part_that_fails_is_noted_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    forks = multiprocessing.get_context("fork")  # without a GPU a part may start from here, where torch is loaded
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: forks)
    kept: list[int] = []
    results = gpu.measure(Setup("cuda", tiny=True), ["peaks", "losses"], 900, lambda found: kept.append(len(found)))
    assert all("CUDA" in part["error"] or "NVIDIA" in part["error"] for part in results.values())
    assert len(kept) == 3
