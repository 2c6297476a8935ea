"""Work for the workers of `map_videos`: numbers to halve, some of which end badly. They load it: it must stay light."""

import os
import signal
import time
from pathlib import Path

from pipeline.work.errors import UserError, VideoError
from tests.aids.processes import alive, wait_until


def half(number: int, stumble: int = -1) -> float:
    if number == 3:
        raise VideoError("three is odd")
    if number == stumble:
        raise Stumble(number, "and", "fell")
    if number == 100:
        raise UserError("params.yaml: too large")
    return number / 2


class Stumble(Exception):
    """Does not unpickle: its constructor wants more than its message."""

    def __init__(self, number: int, then: str, what: str) -> None:
        super().__init__(f"{number} {then} {what}")


def deadly(number: int, notes: Path, crowd: int = 0, gate: str = "") -> float:
    """Ends its process: at 5, once there is a file `gate`; at any where more than `crowd` are at work at once."""
    if number == 5:
        wait_until(lambda: (notes / gate).exists())
        os.kill(os.getpid(), signal.SIGKILL)
    if crowd:
        (notes / f"{os.getpid()}.at").touch()
        time.sleep(0.2)
        if sum(alive(int(path.stem)) for path in notes.glob("*.at")) > crowd:
            os.kill(os.getpid(), signal.SIGKILL)
    return number / 2


def idle(number: int, notes: Path) -> int:
    """The number of this process; of two side by side the one that gets 0 has waited for work when the other ends."""
    (notes / str(number)).touch()
    wait_until(lambda: len(list(notes.iterdir())) == 2)
    time.sleep(number * 0.5)
    return os.getpid()


def gated(number: int, notes: Path) -> int:
    """Says that it has begun, waits for the file `go` if it is 1, and says that it is done."""
    (notes / f"{number}.begun").touch()
    wait_until(lambda: number != 1 or (notes / "go").exists())
    (notes / f"{number}.done").touch()
    return number
