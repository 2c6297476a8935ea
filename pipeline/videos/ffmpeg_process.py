"""ffmpeg as a process: how it is started, stopped, and what it complains about."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg

from pipeline.work import disk
from pipeline.work.errors import VideoError


@cache
def executable() -> str:
    """The static ffmpeg with libx264 that imageio-ffmpeg brings."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def command(output: Any) -> list[str]:
    """The arguments that run one of ffmpeg-python's outputs, without a shell."""
    arguments = ffmpeg.compile(output.global_args("-nostdin"), cmd=executable(), overwrite_output=True)
    return [str(part) for part in arguments]


def finish(output: Any) -> None:
    """Run ffmpeg to its end. Raises: VideoError with its first complaint where it fails."""
    with running(output):
        pass


def url(path: Path) -> str:
    """A file as ffmpeg names it."""
    return f"file:{path}"  # or a colon in a name would start a protocol


def source(path: Path, **options: Any) -> Any:
    """A video as one of ffmpeg-python's inputs, read by one thread."""
    # A playlist among the videos must not make ffmpeg open addresses.
    return ffmpeg.input(url(path), protocol_whitelist="file,pipe", threads=1, **options)


@contextmanager
def running(
    output: Any, stdin: int = subprocess.DEVNULL, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ffmpeg; stop it where the caller leaves early.

    Raises: VideoError with its first complaint where it fails; UserError where the disk is full.
    """
    with tempfile.TemporaryFile() as errors:
        arguments = command(output.global_args("-loglevel", "error"))
        process = subprocess.Popen(arguments, stdin=stdin, stdout=stdout, stderr=errors)
        left_early = True
        try:
            yield process
            left_early = False
        except BrokenPipeError:  # ffmpeg ended first: its own message says why
            left_early = False
        finally:
            if left_early:
                process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
            status = process.wait()
        if status != 0:
            errors.seek(0)
            log = errors.read().decode(errors="replace")
            if told := disk.full_in(log):
                raise told
            complaint = first_complaint(log)
            raise VideoError(f"ffmpeg: {complaint or f'exit status {status}'}")


def first_complaint(log: str) -> str:
    """The first line of ffmpeg's log without its tags, whose addresses differ from run to run."""
    return re.sub(r"\[[^]]*\]\s*", "", log.strip().partition("\n")[0]).strip()
