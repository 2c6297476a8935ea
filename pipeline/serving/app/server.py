"""The server that the page comes from: gradio's application behind what keeps others out, on a socket already open."""

import socket
import sys
from pathlib import Path

import uvicorn

from pipeline.serving.app.clips import clips
from pipeline.serving.app.detectors import Detectors
from pipeline.serving.app.guard import Guard
from pipeline.serving.app.interface import build

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def serve(listening: socket.socket, host: str, detectors: Detectors, videos: Path, largest: int) -> None:
    """Serve until interrupted. host: what it listens on; videos: the run's, by set; largest: bytes of an upload."""
    name = f"[{host}]" if ":" in host else host
    page = build(detectors, clips(videos, detectors.tests), largest)
    guarded = Guard(page, {*LOOPBACK, name}, largest)
    print(f"http://{name}:{listening.getsockname()[1]}/ (end with Ctrl+C)", flush=True)
    if name not in LOOPBACK:
        print("beware: whoever reaches this address can use the page; it asks for no password", file=sys.stderr)
    uvicorn.Server(uvicorn.Config(guarded, log_level="warning", lifespan="on")).run(sockets=[listening])
