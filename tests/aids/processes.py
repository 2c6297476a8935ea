"""What processes do: the ffmpegs that a stage starts, who is alive. Stages and workers load it: it stays light."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def noting(notes: Path, hold: int = 0) -> type[subprocess.Popen]:
    """A Popen that notes each ffmpeg started for a video's pixels: once a video and quality, after the probes.

    hold: whoever starts one more than so many waits beside it, to be killed there; 0: nobody does.
    """

    class Noted(subprocess.Popen):
        def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
            super().__init__(args, *rest, **options)
            if isinstance(args, list) and "framecrc" not in args and "-map" in args:
                with notes.open("ab") as file:
                    file.write(os.fsencode(args[args.index("-i") + 1].split("/")[-1] + "\n"))
                    file.flush()
                    own = notes.read_bytes()[: file.tell()].count(b"\n")  # others may have noted theirs since
                if hold and own > hold:
                    time.sleep(600)

    return Noted


def noted(root: Path) -> list[str]:
    return (root / "work.txt").read_text().split()


def wait_until(condition: Callable[[], bool], seconds: float = 600) -> None:
    """Long only where it fails: a machine with much else to do starts processes slowly, in minutes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and waits to be collected does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # gone meanwhile, or a system without /proc
        return not Path("/proc/self").exists()
