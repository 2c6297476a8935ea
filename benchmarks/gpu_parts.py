"""The parts of benchmarks.gpu, each a generator of rows of its table, so that a part cut short keeps what it has."""

import itertools
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import made_up, side_by_side
from benchmarks.losses import backward, both_forms
from benchmarks.measuring import Clocked, Timing, alternate
from pipeline.detectors.backbones.features import Features
from pipeline.detectors.backbones.registry import build
from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.multiview import MultiViewAttention
from pipeline.losses.slices import DISTANCES
from pipeline.training.trainer import Trainer

Row = dict[str, Any]
EPOCH = 92_160 // 144  # batches an epoch of a task of FaceForensics++
EPOCHS = 32  # at most


@dataclass(frozen=True)
class Setup:
    """Sizes of everything: the paper's, or tiny ones that prove the benchmark on a laptop."""

    device: str
    tiny: bool = False
    light: bool = False

    def pick(self, paper: Any, tiny: Any) -> Any:
        return tiny if self.tiny else paper

    @property
    def small(self) -> "Setup":
        """The same with a small network, whose steps are many short kernels: MobileNetV2 as the sample trains it."""
        return replace(self, light=True)

    @property
    def backbone(self) -> str:
        return "mobilenet_v2" if self.light else self.pick("resnet50", "mobilenet_v2")

    @property
    def size(self) -> int:
        return self.pick(112 if self.light else 128, 32)

    @property
    def batch(self) -> int:
        return self.pick(32 if self.light else 144, 4)

    @property
    def counts(self) -> dict[str, int]:
        return self.pick({"warm": 8, "blocks": 5, "steps": 6}, {"warm": 1, "blocks": 2, "steps": 1})


@dataclass(frozen=True)
class Precision:
    """How a step computes. repeatable: deterministic kernels, as trainings run; else cuDNN chooses by trial."""

    name: str
    amp: str = "off"
    tf32: bool = False
    channels_last: bool = False
    repeatable: bool = True

    @contextmanager
    def on(self) -> Iterator[None]:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.tf32
        torch.use_deterministic_algorithms(self.repeatable, warn_only=True)
        torch.backends.cudnn.benchmark = not self.repeatable
        torch.utils.deterministic.fill_uninitialized_memory = False  # as seed_everything sets it for trainings
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.backends.cudnn.benchmark = False

    def autocast(self, device: str) -> torch.autocast:
        return torch.autocast(device, torch.bfloat16, enabled=self.amp == "bf16")


FP32 = Precision("fp32")
TF32 = Precision("tf32", tf32=True)
BF16 = Precision("bf16", "bf16", tf32=True)
BEST = Precision("bf16, channels last", "bf16", tf32=True, channels_last=True)
FREE = Precision("bf16, channels last, kernels by trial", "bf16", True, True, repeatable=False)
COMPILED = Precision("bf16, channels last, compiled", "bf16", True, True)


# ------------------------------------------------------------------------------------------------ what the card can do
@cache
def peak(setup: Setup, amp: str, tf32: bool) -> tuple[float, float]:
    """TFLOP/s of the fastest of some large 3x3 convolutions (channels last), and of a matrix product."""
    dtype = torch.bfloat16 if amp == "bf16" else torch.float32
    # Full float32 has no fast kernels for channels last, and trying them all out takes minutes.
    exact = dtype == torch.float32 and not tf32
    layout = torch.contiguous_format if exact else torch.channels_last
    with Precision("peak", amp, tf32, True, repeatable=exact).on(), torch.no_grad():
        found = []
        shapes = setup.pick([(144, 256, 32), (144, 512, 16), (144, 512, 32)], [(2, 8, 8)])
        for batch, channels, side in shapes[:1] if exact else shapes:
            x = torch.randn(batch, channels, side, side, device=setup.device, dtype=dtype)
            w = torch.randn(channels, channels, 3, 3, device=setup.device, dtype=dtype)
            x, w = (t.contiguous(memory_format=layout) for t in (x, w))
            call = lambda x=x, w=w: torch.conv2d(x, w, padding=1)  # noqa: E731
            (timing,) = alternate([call], 5, setup.device, inner=3)
            found.append(2 * batch * side**2 * channels**2 * 9 / timing.median / 1e12)
        n = setup.pick(8192, 64)
        a, b = torch.randn(2, n, n, device=setup.device, dtype=dtype)
        (timing,) = alternate([lambda: a @ b], 5, setup.device, inner=3)
    return max(found), 2 * n**3 / timing.median / 1e12


def peaks(setup: Setup) -> Iterator[Row]:
    """The fastest of some large 3x3 convolutions (kernels by trial but in fp32), and a large matrix product."""
    for precision in (BF16, TF32, FP32):
        convolution, product = peak(setup, precision.amp, precision.tf32)
        yield {"precision": precision.name, "convolutions TFLOP/s": convolution, "matrix products TFLOP/s": product}


# ------------------------------------------------------------------------------------------------ one step
@cache
def step_flops(backbone: str, size: int) -> float:
    """Floating-point operations of a plain training step, forward and backward, an image."""
    network, images = build(backbone).to("meta"), torch.empty(4, 3, size, size, device="meta")
    with FlopCounterMode(display=False) as counter:
        network(images).logits.sum().backward()
    return counter.get_total_flops() / 4


def step(setup: Setup, precision: Precision) -> Row:
    """Plain step, teacher's forward pass and ADD step in one precision, and the losses' share."""
    device = setup.device
    source = made_up.resident(setup.batch, setup.size, device)
    with precision.on():
        timings, memory = [], 0.0
        for method in (setup.backbone, "add"):
            task = made_up.task(method, setup.backbone, made_up.some(source))
            recipe = made_up.recipe(method, amp=precision.amp, channels_last=precision.channels_last)
            _reset(device)
            timings.append(made_up.training(task, recipe, source, device, **setup.counts))
            memory = _memory(device)
        plain, add = timings
        student, teacher = task.student, task.teacher
        batch = next(source())
        (looking,) = alternate([lambda: _look(teacher, batch, precision, device)], 5, device, inner=3)
        losses = _losses(student, teacher, batch, precision, device)
    rate = step_flops(setup.backbone, setup.size) * setup.batch / plain.median / 1e12
    return {
        "network": f"{setup.backbone}, {setup.size} px, batch {setup.batch}",
        "precision": precision.name,
        "plain step ms": plain.milliseconds(),
        "images/s": setup.batch / plain.median,
        "TFLOP/s": rate,
        "share of convolutions' peak": rate / peak(setup, precision.amp, precision.tf32)[0],
        "teacher ms": 1e3 * looking.median,
        "ADD step ms": add.milliseconds(),
        "ADD images/s": setup.batch / add.median,
        "ADD / (plain + teacher)": add.median / (plain.median + looking.median),
        "losses ms": losses.milliseconds(),
        "losses / ADD step": losses.median / add.median,
        "ADD memory GiB": memory,
    }


def _look(teacher: nn.Module, batch: Any, precision: Precision, device: str) -> Features:
    with torch.no_grad(), precision.autocast(device):
        found: Features = teacher(batch.images["raw"])
    return found


def _losses(student: nn.Module, teacher: nn.Module, batch: Any, precision: Precision, device: str) -> Timing:
    """L_FR + L_MV forward and backward to the features, on features as the step has them."""
    theirs = _look(teacher, batch, precision, device)
    with precision.autocast(device):
        seen = student(batch.images[made_up.QUALITY])
    ours = Features(tuple(stage.detach().requires_grad_() for stage in seen.stages), *seen[1:])
    del seen
    frequency, multiview = FrequencyAttention(), MultiViewAttention()

    def side() -> None:
        with precision.autocast(device):
            found = frequency(ours, theirs, batch.labels).losses | multiview(ours, theirs, batch.labels).losses
        backward(found, ours)

    (timing,) = alternate([side], 5, device, inner=3)
    return timing


def _waits(setup: Setup) -> float:
    """How often a step of ADD waits for the device: by torch's own warnings, with those of the ends taken off."""

    def count(steps: int) -> int:
        recipe, source = made_up.recipe("add", amp="bf16"), made_up.resident(setup.batch, setup.size, setup.device)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            made_up.training(
                made_up.task("add", setup.backbone, made_up.some(source)), recipe, source, setup.device, 0, 1, steps
            )
        return sum("synchronizing" in str(one.message) for one in told)

    torch.cuda.set_sync_debug_mode("warn")
    try:
        return (count(6) - count(2)) / 4
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _compile(task: nn.Module, setup: Setup, mode: str) -> None:
    options = {"mode": mode} if not setup.tiny else {"backend": "eager"}
    for name in ("student", "teacher"):
        if network := getattr(task, name, None):
            network.compile(**options)


def steps(setup: Setup) -> Iterator[Row]:
    """Training steps on resident batches by precision: median (least..most) of blocks of steps."""
    for precision in setup.pick((BEST, FP32, TF32, BF16, FREE), (FP32, BEST)):
        yield step(setup, precision)
    for precision in setup.pick((FP32, BEST), ()):
        yield step(setup.small, precision)
    if setup.device == "cuda":
        yield {"network": "waits for the device in a step of ADD", "plain step ms": _waits(setup)}


def compiled(setup: Setup) -> Iterator[Row]:
    """The plain step and the ADD step, bf16 and channels last, with the networks under torch.compile."""
    source = made_up.resident(setup.batch, setup.size, setup.device)
    for mode, method in itertools.product(("reduce-overhead", "default"), (setup.backbone, "add")):
        started = time.perf_counter()
        task = made_up.task(method, setup.backbone, made_up.some(source))
        _compile(task, setup, mode)
        recipe = made_up.recipe(method, amp="bf16", channels_last=True)
        with COMPILED.on():
            timing = made_up.training(task, recipe, source, setup.device, **setup.counts)
        yield {
            "mode": mode,
            "step": "plain" if method == setup.backbone else "ADD",
            "ms": timing.milliseconds(),
            "images/s": setup.batch / timing.median,
            "with compilation s": time.perf_counter() - started,
        }


# ------------------------------------------------------------------------------------------------ losses
def losses(setup: Setup) -> Iterator[Row]:
    """Each multi-view distance against its loop form, forward and backward on float32 features, channels last."""
    batch = setup.batch
    student, teacher = made_up.features(batch, setup.device, True, _shapes(setup))
    labels = torch.arange(batch, device=setup.device) % 2
    for kind in DISTANCES:
        _reset(setup.device)
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
        _reset(setup.device)
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
            "memory GiB": _memory(setup.device),
        }
        del task


def _watched(source: Callable[[], Iterator[Any]], recorded: profile, warm: int) -> Iterator[Any]:
    """The batches; the profiler starts after the first ones, in which much is made once."""
    for index, batch in enumerate(source()):
        if index == warm:
            recorded.start()
        yield batch


def kernels(setup: Setup) -> Iterator[Row]:
    """What the device runs in a step of ADD by the profiler: how much, and what takes longest."""
    steps = 3
    for load in (setup, setup.small):
        source = made_up.resident(load.batch, load.size, load.device)
        task, recipe = made_up.task("add", load.backbone, made_up.some(source)), made_up.recipe("add")
        recorded = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
        with BEST.on():
            watched = partial(_watched, source, recorded, warm := 3)
            timing = made_up.training(task, recipe, watched, load.device, warm, 1, steps)
            recorded.stop()
        on_gpu = load.device == "cuda"
        kind = "CUDA" if on_gpu else "CPU"
        found = [event for event in recorded.key_averages() if event.device_type.name == kind]
        spent = {event.key: (event.self_device_time_total if on_gpu else event.self_cpu_time_total) for event in found}
        counts = {event.key: event.count for event in found}
        yield {
            "network": load.backbone,
            "what": f"all, in a step of {1e3 * timing.median:.3g} ms under the profiler",
            "calls a step": sum(counts.values()) / steps,
            "ms a step": sum(spent.values()) / steps / 1e3,
        }
        for name in sorted(spent, key=lambda name: -spent[name])[: setup.pick(14, 3)]:
            yield {
                "network": load.backbone,
                "what": name[:90],
                "calls a step": counts[name] / steps,
                "ms a step": spent[name] / steps / 1e3,
            }


def together(setup: Setup) -> Iterator[Row]:
    """How many trainings of ADD side by side pay, each a process of its own on the one device."""
    loads = setup.pick(
        {"mobilenet_v2": (112, 32, "off"), "resnet50": (128, 144, "bf16")}, {"mobilenet_v2": (32, 4, "off")}
    )
    _reset(setup.device)
    counts, seconds = setup.pick((1, 2, 4), (1, 2)), setup.pick(5.0, 0.5)
    yield from side_by_side.measure(setup.device, loads, counts, seconds)


def _reset(device: str) -> None:
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _memory(device: str) -> float:
    """GiB that torch held at most since the last reset; nan on a CPU."""
    return torch.cuda.max_memory_reserved() / 2**30 if device == "cuda" else float("nan")


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
    "together": (together, 120),
    "compiled": (compiled, 200),
}
