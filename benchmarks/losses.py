"""What the two distillation losses cost, against the loop form and against a training step. Run from the root:

    python -m benchmarks.losses                                   # CPU, one thread, B = 16: a few minutes
    python -m benchmarks.losses --batch 144 --device cuda --amp
    python -m benchmarks.losses --amp --channels-last --threads 2

Features are ResNet-50's at 128 px, all losses forward and backward with the layer weights of the released code.
1. Each multi-view distance against its loop form (tests/aids/loop_multiview.py), the same directions and partners.
2. L_FR + L_MV against a step of teacher forward, student forward and backward, on the step's own features.
Both sides of a comparison alternate in one process; the table gives median (least..most) seconds on the clock, the
median of the processor's own seconds, and the ratio of the latter on a CPU (other work cannot blur it), of the former
on a GPU. Memory: the most held at once and the largest single tensor, over the features of student and teacher.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.made_up import features
from benchmarks.measuring import alternate, settle
from pipeline.detectors.backbones.features import Features
from pipeline.detectors.backbones.registry import build
from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.multiview import MultiViewAttention
from pipeline.losses.slices import DISTANCES, Distance
from pipeline.work.memory import keep_freed
from tests.aids import loop_multiview


def memory(side: Callable[[], None], device: str) -> tuple[int, int]:
    """Bytes that the side holds at its peak beyond what was there before, and bytes of its largest tensor."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities, profile_memory=True) as recorded:
        side()
        settle(device)
    result = recorded.profiler.kineto_results if recorded.profiler else None
    events = [e for e in result.events() if e.name() == "[memory]" and e.device_type().name.lower() == device]
    held = peak = largest = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak, largest = max(peak, held), max(largest, event.nbytes())
    return peak, largest


def backward(losses: dict[str, Tensor], student: Features) -> None:
    torch.autograd.grad(torch.stack(list(losses.values())).sum(), student.stages, allow_unused=True)


def report_memory(name: str, side: Callable[[], None], student: Features, device: str) -> None:
    features = 2 * sum(stage.numel() * stage.element_size() for stage in student.stages[1:])
    largest_feature = max(stage.numel() * 4 for stage in student.stages[1:])
    peak, largest = memory(side, device)
    print(
        f"{name:<28} peak {peak / 2**20:8.1f} MiB = {peak / features:.2f} x the features (stages 2-4, both); "
        f"largest tensor {largest / 2**20:7.1f} MiB = {largest / largest_feature:.2f} x a float32 feature"
    )


def _both_ways(loss: MultiViewAttention, student: Features, teacher: Features, labels: Tensor) -> None:
    backward(loss(student, teacher, labels).losses, student)


def both_forms(kind: str, student: Features, teacher: Features, labels: Tensor) -> list[Callable[[], None]]:
    """A multi-view loss forward and backward, ours and in loop form, with the same directions and partners."""

    def looped(*arguments) -> Tensor:  # type: ignore[no-untyped-def]
        return loop_multiview.distances(kind, *arguments)

    fast, slow = MultiViewAttention(kind), MultiViewAttention(kind)
    loop: Distance = looped
    slow.slice_distances = loop
    return [partial(_both_ways, form, student, teacher, labels) for form in (fast, slow)]


def distances(
    kinds: Sequence[str], student: Features, teacher: Features, labels: Tensor, repeats: int, device: str
) -> None:
    print(f"\nmulti-view loss, {'clock s: median (least..most)':>36} {'processor s':>11}")
    for kind in kinds:
        sides = both_forms(kind, student, teacher, labels)
        ours, theirs = alternate(sides, repeats, device)
        print(f"{kind:<16} ours {ours}\n{'':<16} loop {theirs}   {theirs.cost(device) / ours.cost(device):.1f} x")
        for name, side in zip(("ours", "loop"), sides, strict=True):
            report_memory(f"{kind} {name}", side, student, device)


def step(
    kinds: Sequence[str], batch: int, labels: Tensor, repeats: int, device: str, amp: bool, channels_last: bool
) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    networks = [build("resnet50").to(device, memory_format=layout) for _ in range(2)]
    student, teacher = networks[0].train(), networks[1].eval()
    images = torch.randn(batch, 3, 128, 128, device=device).contiguous(memory_format=layout)
    kept: list[Features] = []

    def train() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=amp):
            with torch.no_grad():
                theirs = teacher(images)
            ours = student(images)
            loss = torch.nn.functional.cross_entropy(ours.logits.float(), labels)
        student.zero_grad()
        loss.backward()
        kept[:] = [Features(tuple(s.detach().requires_grad_() for s in ours.stages), *ours[1:]), theirs]

    def distil() -> None:
        backward(frequency(*kept, labels).losses | multiview(*kept, labels).losses, kept[0])

    def frequency_only() -> None:
        backward(frequency(*kept, labels).losses, kept[0])

    for kind in kinds:
        frequency, multiview = FrequencyAttention(), MultiViewAttention(kind)
        whole, both, alone = alternate([train, distil, frequency_only], repeats, device)
        print(f"\nstep of ResNet-50, {'amp bf16' if amp else 'float32'}{', channels last' if channels_last else ''}")
        print(f"{'step':<26} {whole}")
        print(f"{f'L_FR + L_MV ({kind})':<26} {both}   {both.cost(device) / whole.cost(device):.1%} of the step")
        print(f"{'L_FR alone':<26} {alone}   {alone.cost(device) / whole.cost(device):.1%}")
    report_memory("L_FR", frequency_only, kept[0], device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--amp", action="store_true", help="bf16 autocast in the step")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--kinds", nargs="+", choices=list(DISTANCES), default=list(DISTANCES))
    parser.add_argument("--only", choices=("distances", "step"), help="one of the two comparisons")
    chosen = parser.parse_args()
    keep_freed()  # as stages do
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    labels = torch.arange(chosen.batch, device=chosen.device) % 2
    print(f"torch {torch.__version__}, {chosen.device}, {chosen.threads} threads, B = {chosen.batch}")
    if chosen.only != "step":
        student, teacher = features(chosen.batch, chosen.device, chosen.channels_last)
        distances(chosen.kinds, student, teacher, labels, chosen.repeats, chosen.device)
        del student, teacher
    if chosen.only != "distances":
        step(chosen.kinds, chosen.batch, labels, chosen.repeats, chosen.device, chosen.amp, chosen.channels_last)


if __name__ == "__main__":
    main()
