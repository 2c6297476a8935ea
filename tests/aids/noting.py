"""What a stage works at, by the ffmpegs that it starts. A stage loads this as Python starts: it must stay light."""

import subprocess
import time
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
                with notes.open("a") as file:
                    file.write(args[args.index("-i") + 1].split("/")[-1] + "\n")
                if hold and len(notes.read_text().split()) > hold:
                    time.sleep(600)

    return Noted


def noted(root: Path) -> list[str]:
    return (root / "work.txt").read_text().split()
