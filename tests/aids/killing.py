"""`dvc repro` in a clone, killed with SIGKILL at chosen moments and started again until it is through."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import psutil
import yaml

Victim = Literal["stage", "worker", "dvc", "everything"]
VICTIMS: tuple[Victim, ...] = ("stage", "worker", "dvc", "everything")
REPRO = (sys.executable, "-m", "dvc", "repro")
BEGINS = re.compile(r"Running stage '(.*)':")
FREED = 20.0  # seconds until what a killed process leaves behind has ended too


@dataclass(frozen=True)
class Moment:
    """When a stage is hit, as a share of the time that it takes undisturbed, and what of it is killed: the process of
    the stage with all that it started, one process that it started, dvc alone, or all of them at once."""

    stage: str
    share: float
    victim: Victim


def draw(seconds: Mapping[str, float], count: int, seed: int) -> list[Moment]:
    """One moment in a stage of every kind, the others in any, in the order of the stages; victims in turn."""
    chance = random.Random(seed)
    kinds: dict[str, list[str]] = {}
    for stage in seconds:
        kinds.setdefault(stage.partition("@")[0], []).append(stage)
    chosen = [chance.choice(stages) for stages in kinds.values()][:count]
    chosen += chance.choices(list(seconds), k=count - len(chosen))
    chosen.sort(key=list(seconds).index)
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(count)]
    chance.shuffle(victims)
    drawn = [Moment(stage, chance.random(), victim) for stage, victim in zip(chosen, victims, strict=True)]
    # A stage goes on after the loss of a worker: of several moments in one stage these come last.
    return sorted(drawn, key=lambda one: (chosen.index(one.stage), one.victim == "worker"))


def repro(folder: Path, command: Sequence[str] = REPRO) -> dict[str, float]:
    """Run the pipeline undisturbed; the seconds that each stage took, in the order of running."""
    process = _start(folder, command)
    seconds: dict[str, float] = {}
    stage, since, said = "", time.monotonic(), []
    for line in _lines(process):
        said.append(line)
        if begun := BEGINS.search(line):
            seconds |= {stage: time.monotonic() - since} if stage else {}
            stage, since = begun[1], time.monotonic()
    assert process.wait() == 0, "".join(said)[-4000:]
    return seconds | {stage: time.monotonic() - since}


def disturbed(
    folder: Path, moments: Sequence[Moment], seconds: Mapping[str, float], command: Sequence[str] = REPRO
) -> list[str]:
    """Run the pipeline to its end, killed at each of the moments; a line on each tells what was hit.

    Whatever fails for another reason, or goes on after its dvc was killed, is an AssertionError.
    """
    left, told = list(moments), []
    while True:
        process, hit, said = _start(folder, command), False, []
        for line in _lines(process):
            said.append(line)
            begun = BEGINS.search(line)
            if begun and left and begun[1] == left[0].stage:
                moment = left.pop(0)
                time.sleep(moment.share * seconds[moment.stage])
                what = _kill(process, moment)
                told.append(f"{moment.stage} at {moment.share:.0%}: {what}")
                print(told[-1], flush=True)
                hit = hit or not what.startswith("worker")
        if process.wait() == 0:
            assert not left, f"never reached: {left}"
            return told
        if not hit and "./dvc.lock' " in "".join(said) and "tore" not in told[-1]:
            # dvc writes its lock in place: docs/promises.md says what to do where a kill tore it
            subprocess.run(["git", "checkout", "--quiet", "dvc.lock"], cwd=folder, check=True)
            told[-1] += ", which tore dvc.lock"
            print(told[-1], flush=True)
            continue
        assert hit, "".join(said)[-4000:]


def outs(folder: Path) -> dict[str, str]:
    """The hash of all that each stage left, by its path, as dvc.lock has it."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}


def _start(folder: Path, command: Sequence[str]) -> subprocess.Popen[str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_"))}
    env = own | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return iter(process.stdout.readline, "")


def _kill(process: subprocess.Popen[str], moment: Moment) -> str:
    """Returns what was killed, which is dvc where the stage has ended meanwhile."""
    dvc = psutil.Process(process.pid)
    below = dvc.children(recursive=True)
    stage = next((one for one in below if _is_stage(one)), None)
    workers = [one for one in _children(stage) if "resource_tracker" not in _words(one)]
    if moment.victim == "everything":
        os.killpg(process.pid, signal.SIGKILL)
        what = "everything"
    elif moment.victim == "dvc" or stage is None:
        dvc.kill()
        what = "dvc" if stage is not None else "dvc, after its stage"
    elif moment.victim == "worker" and workers:
        victim = workers[int(moment.share * len(workers))]
        what = f"worker ({'ffmpeg' if 'ffmpeg' in _words(victim) else 'python'})"
        victim.kill()
        return what
    else:
        for one in (stage, *_children(stage)):
            _end(one)
        return "stage"
    _, there = psutil.wait_procs(below, timeout=FREED)
    assert not there, f"{moment}: {[_words(one) for one in there]} went on without dvc"
    return what


def _is_stage(process: psutil.Process) -> bool:
    """Not the shell that dvc starts it by: some shells stay, and the stage would be taken for its own worker."""
    words = _arguments(process)
    return any(flag == "-m" and module.startswith("stages.") for flag, module in pairwise(words))


def _words(process: psutil.Process) -> str:
    return " ".join(_arguments(process))


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _children(process: psutil.Process | None) -> list[psutil.Process]:
    try:
        return process.children(recursive=True) if process is not None else []
    except psutil.Error:
        return []


def _end(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()
