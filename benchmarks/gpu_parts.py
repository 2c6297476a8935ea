"""The parts of benchmarks.gpu, each a generator of rows of its table, so that a part cut short keeps what it has."""

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import made_up, side_by_side
from benchmarks.gpu_launches import launches
from benchmarks.gpu_setup import (
    BEST,
    EPOCH,
    EPOCHS,
    FP32,
    Row,
    Setup,
    memory_held,
    reset,
)
from benchmarks.gpu_steps import compiled, kernels, peaks, steps
from benchmarks.losses import both_forms
from benchmarks.measuring import Clocked, alternate
from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.multiview import MultiViewAttention
from pipeline.losses.slices import DISTANCES
from pipeline.training.trainer import Trainer


def losses(setup: Setup) -> Iterator[Row]:
    """Each multi-view distance against its loop form, forward and backward on float32 features, channels last."""
    batch = setup.batch
    student, teacher = made_up.features(batch, setup.device, True, _shapes(setup))
    labels = torch.arange(batch, device=setup.device) % 2
    for kind in DISTANCES:
        reset(setup.device)
        ours, loop = alternate(both_forms(kind, student, teacher, labels), 5, setup.device)
        yield {
            "distance": kind,
            "ours ms": ours.milliseconds(),
            "loop ms": loop.milliseconds(),
            "loop / ours": loop.median / ours.median,
        }


def _shapes(setup: Setup) -> Sequence[tuple[int, int, int]]:
    return setup.pick(made_up.SHAPES, ((8, 8, 8), (16, 4, 4), (32, 2, 2), (64, 1, 1)))


# ------------------------------------------------------------------------------------------------ loader
def loading(setup: Setup) -> Iterator[Row]:
    """The loader alone, the step alone on resident batches, and both together; pairs of crops, ADD in bf16."""
    from pipeline.loading.loader import TrainingLoader

    frames = setup.pick(2048, 16)
    recipe = made_up.recipe("add", amp="bf16", channels_last=True)
    with tempfile.TemporaryDirectory() as folder:
        folders = made_up.shards(Path(folder), frames, setup.size + setup.pick(0, 8))
        started = time.perf_counter()
        loader = TrainingLoader(
            folders,
            buckets=["train"],
            qualities=["raw", made_up.QUALITY],
            image_size=setup.size,
            batch_size=setup.batch,
            flip=0.5,
            seed=0,
            device=torch.device(setup.device),
        )
        epochs = lambda: itertools.chain.from_iterable(loader.epoch(n) for n in itertools.count())  # noqa: E731
        next(epochs())
        filled = time.perf_counter() - started
        alone = Clocked(epochs, device=setup.device, **setup.counts)
        for _ in alone.epoch(0):
            pass
        with BEST.on():
            kept = list(itertools.islice(epochs(), 4))
            sources = (epochs, lambda: itertools.cycle(kept))
            whole, bare = (
                made_up.training(
                    made_up.task("add", setup.backbone, made_up.some(epochs)),
                    recipe,
                    source,
                    setup.device,
                    **setup.counts,
                )
                for source in sources
            )
    yield {
        "crops": 2 * frames,
        "decoded crops/s": 2 * frames / filled,
        "loader ms": alone.timing.milliseconds(),
        "step ms": bare.milliseconds(),
        "step / loader": bare.median / alone.timing.median,
        "loop ms": whole.milliseconds(),
        "loop / step": whole.median / bare.median,
    }


# ------------------------------------------------------------------------------------------------ agreement
def agreement(setup: Setup) -> Iterator[Row]:
    """Losses and ten steps of ADD, on the device against on the CPU in float32; and bf16 against float32 there."""
    with FP32.on():
        for name, loss in {
            "frequency": FrequencyAttention,
            **{f"multiview {kind}": (lambda kind=kind: MultiViewAttention(kind)) for kind in DISTANCES},
        }.items():
            device, cpu = (_loss_and_slope(setup, loss(), place) for place in (setup.device, "cpu"))
            yield {
                "what": f"{name}, float32",
                "largest relative difference of the losses": _apart(device[0], cpu[0]),
                "of gradients or weights": _apart(device[1], cpu[1]),
            }
        runs = {
            "the CPU": _ten_steps(setup, "cpu", "off"),
            "float32": _ten_steps(setup, setup.device, "off"),
            "bf16": _ten_steps(setup, setup.device, "bf16"),
        }
    for name, other in (("float32", "the CPU"), ("float32", "float32"), ("bf16", "float32")):
        one = _ten_steps(setup, setup.device, "off") if name == other else runs[name]
        differences = [abs(a - b) / abs(b) for a, b in zip(one[0], runs[other][0], strict=True)]
        yield {
            "what": f"ten steps of ADD in {name} against {'itself, again' if name == other else other}",
            "largest relative difference of the losses": max(differences),
            "of gradients or weights": _apart(one[1], runs[other][1]),
            "losses at steps 1, 2, 10": [differences[i] for i in (0, 1, 9)],
        }


def _loss_and_slope(setup: Setup, loss: nn.Module, device: str) -> tuple[Tensor, Tensor]:
    student, teacher = made_up.features(setup.pick(16, 4), device, True, _shapes(setup))
    found = loss(student, teacher, (torch.arange(len(student.logits)) % 2).to(device))
    values = torch.stack(list(found.losses.values()))
    slopes = torch.autograd.grad(values.sum(), student.stages, allow_unused=True)
    return values.detach().cpu(), torch.cat([slope.flatten().cpu() for slope in slopes if slope is not None])


def _apart(one: Tensor, other: Tensor) -> float:
    """|one - other| / |other|, in the Euclidean norm."""
    return float((one.double() - other.double()).norm() / other.double().norm())


def _ten_steps(setup: Setup, device: str, amp: str) -> tuple[list[float], Tensor]:
    """The loss at each of ten steps, and the weights after them; of a network without dropout, whose draws differ."""
    rows: list[dict[str, float]] = []
    torch.manual_seed(0)
    source = made_up.resident(setup.pick(16, 4), setup.pick(64, 32), device)
    task = made_up.task("add", "resnet18", made_up.some(source))
    loader = Clocked(source, 0, 1, 10, device)
    recipe = made_up.recipe("add", amp=amp, validations_per_epoch=10)
    Trainer(task, recipe, loader, torch.device(device)).run(None, made_up.Nowhere(), rows.append, "ten")  # type: ignore[arg-type]
    weights = torch.cat([p.detach().flatten().float().cpu() for p in task.student.parameters()])
    return [row["train_loss"] for row in rows], weights


# ------------------------------------------------------------------------------------------------ the rest
def tests(setup: Setup) -> Iterator[Row]:
    """The tests marked gpu; skipped where there is none."""
    root = Path(__file__).parents[1]
    files = sorted(str(path) for path in (root / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text())
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "gpu", "-rf", *files]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    yield {"files": len(files), "exit status": done.returncode, "outcome": lines[-1] if lines else done.stderr[-500:]}
    for line in failed:
        yield {"files": "", "exit status": "", "outcome": line}


def methods(setup: Setup) -> Iterator[Row]:
    """Each method of Table 1 by its own recipe (bf16, channels last)."""
    distilled = ["add", "fitnet", "at", "nl", "warm_start"]
    names = [setup.backbone, *distilled, "xception", "inception_resnet_v1", "f3net"]
    source = made_up.resident(setup.batch, setup.size, setup.device)
    for method in setup.pick(names, names[:3]):
        reset(setup.device)
        task = made_up.task(
            method, method if method in made_up.paper().baselines else setup.backbone, made_up.some(source)
        )
        with BEST.on():
            timing = made_up.training(task, made_up.recipe(method), source, setup.device, **setup.counts)
        yield {
            "method": method,
            "step ms": timing.milliseconds(),
            "images/s": setup.batch / timing.median,
            f"epoch of {EPOCH} steps s": EPOCH * timing.median,
            f"{EPOCHS} epochs h": EPOCHS * EPOCH * timing.median / 3600,
            "memory GiB": memory_held(setup.device),
        }
        del task


def together(setup: Setup) -> Iterator[Row]:
    """How many trainings of ADD side by side pay, each a process of its own on the one device."""
    loads = setup.pick(
        {"mobilenet_v2": (112, 32, "off"), "resnet50": (128, 144, "bf16")}, {"mobilenet_v2": (32, 4, "off")}
    )
    reset(setup.device)
    counts, seconds = setup.pick((1, 2, 4), (1, 2)), setup.pick(5.0, 0.5)
    yield from side_by_side.measure(setup.device, loads, counts, seconds)


# In the order of their importance: name -> (the part, the most seconds that it may take)
PARTS: dict[str, tuple[Callable[[Setup], Iterator[Row]], float]] = {
    "peaks": (peaks, 40),
    "steps": (steps, 120),
    "losses": (losses, 60),
    "loading": (loading, 80),
    "agreement": (agreement, 60),
    "tests": (tests, 90),
    "methods": (methods, 120),
    "kernels": (kernels, 60),
    "launches": (launches, 60),
    "together": (together, 120),
    "compiled": (compiled, 200),
}
