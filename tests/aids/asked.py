"""What ffmpeg says of a video's packets is asked once a process for the same bytes: most tests look at the same clips.

A start of ffmpeg takes longer than the look itself, and the tests would start it thirteen hundred times for these.
What is read out of its words, and what else is seen in the file, is done anew each time.
"""

import hashlib
from pathlib import Path
from typing import Any

from pipeline.videos.ffmpeg_process import ask, command

NAME = "file:"


class Asked:
    """In the place of the `ask` with which `probe` asks."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, ...], tuple[str, str]] = {}

    def __call__(self, output: Any) -> tuple[str, str]:
        arguments = command(output)
        name = arguments[arguments.index("-i") + 1]
        path = Path(name.removeprefix(NAME))
        if not path.is_file():  # such as a pipe, which would be read here alone
            return ask(output)
        # ffmpeg goes by the name's ending too, and its words hold the whole name.
        ending = Path(path.name.removesuffix(".part")).suffix  # of ours, which are MP4 before they are whole too
        about = [ending if part == name else part for part in arguments]
        key = (*about, hashlib.sha256(path.read_bytes()).hexdigest())
        if key not in self.known:
            packets, log = ask(output)
            self.known[key] = packets, log.replace(name, NAME)
        packets, log = self.known[key]
        return packets, log.replace(NAME, name)
