"""Where torch computes on machines whose GPU it cannot use; torch's answers there are put in its mouth."""

import warnings
from collections.abc import Iterator

import pytest
import torch

from pipeline.detectors import device

OLD = (
    "CUDA initialization: The NVIDIA driver on your system is too old (found version 12040). Please update your GPU "
    "driver by downloading and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx "
    "(Triggered internally at /pytorch/c10/cuda/CUDAFunctions.cpp:119.)"
)


@pytest.fixture(autouse=True)
def nothing_told_yet() -> Iterator[None]:
    device._tell.cache_clear()
    yield
    device._tell.cache_clear()


def seen(monkeypatch: pytest.MonkeyPatch, *errors: str) -> None:
    """GPUs that torch sees: computing on one raises this error, or none."""

    def ones(count: int, device: str) -> torch.Tensor:
        if error := errors[int(device.removeprefix("cuda:"))]:
            raise RuntimeError(error)
        return torch.zeros(count)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(errors))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Tesla P100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (6, 0))
    monkeypatch.setattr(torch, "ones", ones)


def test_a_driver_that_is_too_old_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def is_available() -> bool:
        warnings.warn(OLD, UserWarning, stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    cause = "The NVIDIA driver on your system is too old (found version 12040)."
    assert device.unusable() == [cause]
    assert [device.device().type for _ in range(2)] == ["cpu", "cpu"]
    (line,) = capsys.readouterr().err.splitlines()
    assert cause in line and "docs/scaling.md" in line


def test_a_gpu_without_kernels_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen(monkeypatch, "CUDA error: no kernel image is available for execution on the device", "")
    assert device.unusable() == ["Tesla P100, compute capability 6.0: not built for it", ""]
    assert device.device().type == "cpu"  # it takes the first, as a stage that was given one GPU
    assert "Tesla P100" in capsys.readouterr().err


def test_a_gpu_that_works_is_taken_in_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen(monkeypatch, "", "is not looked at, for that would take its memory")
    assert device.device().type == "cuda"
    assert not capsys.readouterr().err


def test_a_busy_gpu_is_an_error_and_no_reason_to_train_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    seen(monkeypatch, "CUDA out of memory. Tried to allocate 2.00 MiB.")
    with pytest.raises(RuntimeError, match="out of memory"):
        device.device()


def test_a_seed_makes_the_draws_and_the_kernels_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """New tensors are not filled for it: that takes a tenth of a step's time."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    with torch.random.fork_rng(devices=[]):
        try:
            device.seed_everything(7)
            first = torch.rand(3)
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled()
            assert not torch.backends.cudnn.benchmark
            assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
            device.seed_everything(7)
            assert torch.equal(torch.rand(3), first)
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
