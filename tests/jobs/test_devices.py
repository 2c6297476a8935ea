"""The list of GPUs: from what nvidia-smi prints and what CUDA_VISIBLE_DEVICES leaves."""

import importlib
import inspect
import json
import os
import runpy
import sys

import pytest
import torch

from pipeline.jobs import devices
from pipeline.jobs.devices import chosen, parse

TWO = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-c6d4b1d1-61b0-4f1c-9a7e-0b8d3c9e2f10)
"""
DIVIDED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 3g.20gb     Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-c6d4b1d1-61b0-4f1c-9a7e-0b8d3c9e2f10)
"""
FIRST, SECOND = "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77", "GPU-c6d4b1d1-61b0-4f1c-9a7e-0b8d3c9e2f10"
PARTS = ["MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb"]


def test_every_gpu_by_its_uuid() -> None:
    assert chosen(parse(TWO), None) == [FIRST, SECOND]


def test_a_gpu_divided_by_mig_is_its_parts() -> None:
    assert chosen(parse(DIVIDED), None) == [*PARTS, SECOND]


@pytest.mark.parametrize(
    ("visible", "left"),
    [
        ("1", ["1"]),
        ("1, 0", ["1", "0"]),
        ("GPU-c6d4", ["GPU-c6d4"]),  # CUDA takes the start of a UUID
        (PARTS[1], [PARTS[1]]),
        ("MIG-GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77/1/0", ["MIG-GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77/1/0"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0,7,1", ["0"]),  # for CUDA the first wrong one ends the list
        ("GPU-dead,0", []),
    ],
)
def test_what_is_set_is_respected(visible: str, left: list[str]) -> None:
    assert chosen(parse(DIVIDED), visible) == left


def test_no_gpu() -> None:
    assert chosen(parse("No devices were found\n"), None) == [] == chosen([], "0")


def answers(monkeypatch: pytest.MonkeyPatch, causes: list[str]) -> None:
    """Two GPUs by nvidia-smi, of which a torch started for it says this, if it was shown both."""
    saying = f"import os; print({json.dumps(causes)!r} if os.environ['CUDA_VISIBLE_DEVICES'].count(',') else 'no')"
    monkeypatch.setattr(devices, "TORCH", (sys.executable, "-c", saying))
    monkeypatch.setattr(devices, "DRIVERS", ("/",))
    ask = devices._answer
    monkeypatch.setattr(devices, "_answer", lambda *command, **variables: (
        TWO if command[0] == "nvidia-smi" else ask(*command, **variables)
    ))  # fmt: skip
    monkeypatch.setenv(devices.VISIBLE, "0,1")


def test_gpus_that_torch_cannot_use_get_no_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, ["Tesla P100, compute capability 6.0: not built for it", ""])
    assert devices.gpus() == ["1"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "GPU 0" in line and "Tesla P100" in line


@pytest.mark.parametrize("causes", [["The NVIDIA driver is too old"], []])
def test_where_torch_can_use_none_the_stages_do_not_see_them_either(
    causes: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, causes)
    assert devices.gpus() == []
    assert os.environ[devices.VISIBLE] == ""
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_one_answer_of_torch_is_that_of_all_parts_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA shows a process one MIG device."""
    answers(monkeypatch, [""])
    assert devices.gpus() == ["0", "1"]


def test_a_torch_that_does_not_start_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage will say why."""
    answers(monkeypatch, [])
    monkeypatch.setattr(devices, "TORCH", (sys.executable, "-c", "raise SystemExit('no torch')"))
    assert devices.gpus() == ["0", "1"] and os.environ[devices.VISIBLE] == "0,1"


@pytest.mark.parametrize(("visible", "found"), [(None, ["0", "1"]), ("b, a, -1", ["b", "a"])])
def test_without_nvidia_smi_torch_counts(
    visible: str | None, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, ["", ""])
    torch_says = devices._answer  # nvidia-smi by `answers`, the rest in truth
    monkeypatch.setattr(devices, "_answer", lambda *command, **variables: (
        None if command[0] == "nvidia-smi" else
        "2\n" if "device_count" in command[-1] else torch_says(*command, **variables)
    ))  # fmt: skip
    monkeypatch.delenv(devices.VISIBLE)
    if visible is not None:
        monkeypatch.setenv(devices.VISIBLE, visible)
    assert devices.gpus() == found


def test_a_machine_without_a_driver_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "DRIVERS", ("/no/such/driver",))
    monkeypatch.setattr(devices, "_answer", lambda *command: pytest.fail("asked"))
    assert devices.gpus() == []


@pytest.mark.parametrize("command", [["/no/such/program"], ["false"], ["sleep", "600"]])
def test_a_program_that_is_missing_fails_or_sleeps_has_no_answer(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "SECONDS", 0.2)
    assert devices._answer(*command) is None


def test_the_program_that_asks_torch_answers(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(inspect.getfile(importlib.import_module(devices.TORCH[-1])), run_name="__main__")
    assert len(json.loads(capsys.readouterr().out)) == torch.cuda.device_count()
