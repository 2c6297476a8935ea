"""MLflow's registry: an exported detector is a version there, and its server answers on the loopback."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from pipeline.serving.export.exporting import registered
from pipeline.serving.networks import load
from pipeline.serving.shipped import read
from tests.aids.shipping import Run
from tests.serving.conftest import needs_onnx

PATIENCE = 600  # seconds until the server must answer; it takes a few


@needs_onnx
@pytest.mark.slow
def test_a_registered_detector_is_served(
    shipped_backbone: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    named = shipped_backbone.params.export.model_copy(update={"registered_as": "detector"})
    folder = shipped_backbone.detectors / "c40"
    address = registered(folder, shipped_backbone.params.model_copy(update={"export": named}))
    assert address == "models:/detector-c40/1"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", address, "--env-manager", "local"]
    # As in an activated environment: MLflow starts uvicorn by its name.
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen([*command, "-h", "127.0.0.1", "-p", str(port)], env={**os.environ, "PATH": paths})
    try:
        images = np.random.default_rng(0).uniform(-1, 1, (2, 3, 40, 40)).astype(np.float32)
        found = np.array(_ask(port, {"inputs": images.tolist()})["predictions"]["probability"])
    finally:
        server.terminate()
        server.wait(30)
    networks = load(folder, read(folder), onnx=True)
    assert found == pytest.approx(networks.session.run(None, {"images": images})[0], abs=1e-5)  # type: ignore[attr-defined]


def _ask(port: int, body: object) -> dict[str, dict[str, list[list[float]]]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(1)
