"""What a GPU gives the trainings: one command, one GPU, at most 8 minutes, one JSON and a table. Run from the root:

    python -m benchmarks.gpu                                # writes gpu.json and gpu.md here
    python -m benchmarks.gpu --out FOLDER --seconds 300     # less time: what does not fit is said
    python -m benchmarks.gpu --parts steps losses           # some of it
    python -m benchmarks.gpu --tiny --device cpu            # the same on a CPU with tiny sizes: proves the benchmark

Parts, the most important first, all on made-up data and random weights, without network:
    peaks      the card's own: large convolutions and matrix products
    steps      ResNet-50 at 128 px, batch 144: plain step, teacher, ADD step and losses by precision
    losses     the multi-view losses against their loop form
    loading    the loader against the step, and the whole loop against the step alone
    agreement  losses and ten training steps: device against CPU, a second run, bf16
    tests      the tests marked gpu
    methods    a step, an epoch and a training of each method of Table 1
    kernels    what the device runs in a step of ADD
    launches   how many kernels each loss is, and whether they or the processor take its time
    together   1, 2 and 4 trainings at a time
    compiled   the step under torch.compile
A part that fails or takes too long is noted with its error, and the others go on.
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_parts import PARTS
from benchmarks.gpu_setup import Row, Setup

LEAST = 10.0  # seconds that a part is started with


def _work(setup: Setup, names: Sequence[str], link: Connection) -> None:
    """In a process of its own, which can be stopped: the rows of each part as they come, then how it ended."""
    os.setsid()
    if setup.device == "cpu":
        torch.set_num_threads(1)  # beside other work threads that wait for each other would stand still
    for name in names:
        error = None
        try:
            for row in PARTS[name][0](setup):
                link.send((name, "row", row))
        except Exception as caught:
            traceback.print_exc()
            error = f"{type(caught).__name__}: {caught}"
        link.send((name, "end", error))
        if error and "CUDA" in error:
            return  # what a CUDA error leaves behind would fail the next part: it gets a new process


def measure(setup: Setup, names: Sequence[str], seconds: float, keep: Any) -> dict[str, Any]:
    """The parts within the seconds. keep: called with all results so far whenever a part has ended."""
    results: dict[str, Any] = {name: {"rows": [], "seconds": 0.0} for name in names}
    deadline = time.monotonic() + seconds
    left = list(names)
    while left:
        if deadline - time.monotonic() < LEAST:
            for name in left:
                results[name]["error"] = "not started: no time left (--seconds)"
            break
        left = _some(setup, left, deadline, results, keep)
    keep(results)
    return results


def _some(setup: Setup, names: list[str], deadline: float, results: dict[str, Any], keep: Any) -> list[str]:
    """Start a process for the parts; return those that are left when it ends, or is stopped."""
    link, far = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(setup, names, far))
    process.start()
    far.close()
    left = list(names)
    try:
        while left:
            started, result = time.monotonic(), results[left[0]]
            end = min(deadline, started + PARTS[left[0]][1])
            print(f"{left[0]} ...", file=sys.stderr, flush=True)
            ended = False
            while not ended:
                if not link.poll(max(end - time.monotonic(), 0)):
                    result["error"] = f"stopped after {time.monotonic() - started:.0f} s"
                    break
                try:
                    _, kind, found = link.recv()
                except EOFError:
                    process.join(5)
                    result["error"] = f"its process ended with status {process.exitcode}"
                    break
                if kind == "row":
                    result["rows"].append(found)
                else:
                    ended = True
                    if found:
                        result["error"] = found
            result["seconds"] = round(time.monotonic() - started, 1)
            left.pop(0)
            keep(results)
            if not ended or ("CUDA" in result.get("error", "")):
                break
    finally:
        _stop(process)
    return left


def _stop(process: Any) -> None:
    """The process with all that it started."""
    process.join(0 if process.is_alive() else 5)
    if process.is_alive():
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
    process.join(10)


def machine(device: str) -> Row:
    card = torch.cuda.get_device_properties(0) if device == "cuda" else None
    return {
        "device": card.name if card else f"CPU ({platform.machine()})",
        "memory GiB": card.total_memory / 2**30 if card else float("nan"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def table(rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(name, "")) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_cell(one) for one in value)
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value).replace("|", "/").replace("\n", " ")


def page(about: Row, results: dict[str, Any], tiny: bool) -> str:
    text = [f"# {about['device']}", table([about])]
    if tiny:
        text.append("Tiny sizes: these numbers say nothing about speed.")
    for name, result in results.items():
        doc = (PARTS[name][0].__doc__ or "").strip().split("\n")[0]
        text.append(f"## {name}\n{doc}")
        if result["rows"]:
            text.append(table(result["rows"]))
        if "error" in result:
            text.append(f"Failed: {_cell(result['error'])}")
    return "\n\n".join(text) + "\n"


def _plain(value: Any) -> Any:
    """JSON has no nan."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(), help="folder of gpu.json and gpu.md")
    parser.add_argument("--seconds", type=float, default=480.0, help="for all parts together")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes")
    chosen = parser.parse_args(arguments)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; --tiny --device cpu proves the benchmark without one")
    about = machine(chosen.device)
    chosen.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    def keep(results: dict[str, Any]) -> None:
        about["seconds"] = round(time.monotonic() - started, 1)
        whole = {"machine": about, "tiny": chosen.tiny, "parts": results}
        (chosen.out / "gpu.json").write_text(json.dumps(_plain(whole), indent=1) + "\n")
        (chosen.out / "gpu.md").write_text(page(about, results, chosen.tiny))

    results = measure(Setup(chosen.device, chosen.tiny), chosen.parts, chosen.seconds, keep)
    print((chosen.out / "gpu.md").read_text())
    return int(any("error" in result for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
