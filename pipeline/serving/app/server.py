"""The server that the page comes from: gradio's application behind what keeps others out, on a socket already open."""

import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvicorn

from pipeline.serving.app.clips import clips
from pipeline.serving.app.detectors import Detectors
from pipeline.serving.app.guard import MB, Guard
from pipeline.serving.app.interface import build

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def serve(listening: socket.socket, host: str, detectors: Detectors, videos: Path, largest: int) -> None:
    """Serve until interrupted. host: what it listens on; videos: the run's, by set; largest: MB of an upload."""
    name = f"[{host}]" if ":" in host else host
    page = build(detectors, clips(videos, detectors.tests), largest * MB)
    guarded = Guard(page, {*LOOPBACK, name}, largest * MB)
    print(f"http://{name}:{listening.getsockname()[1]}/ (end with Ctrl+C)", flush=True)
    if name not in LOOPBACK:
        print("beware: whoever reaches this address can use the page; it asks for no password", file=sys.stderr)
    # uvicorn ends gracefully and then raises the signal again, which must not end the process before it has cleaned up.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(guarded, log_level="warning", lifespan="on")).run(sockets=[listening])
