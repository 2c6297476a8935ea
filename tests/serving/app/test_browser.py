"""The page in a browser: dropped, judged, compared, removed; nothing asked of any other machine."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.aids.shipping import Run
from tests.serving.app.conftest import beside_a_baseline

pytest.importorskip("gradio", reason="gradio is not installed (make app)")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make app)")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PATIENCE = 300_000  # ms: a busy machine's


@dataclass
class Served:
    """process: the command's; folder: where its dropped files go, in a folder of its own."""

    address: str
    process: subprocess.Popen[str]
    folder: Path

    def dropped(self) -> list[Path]:
        """The files that hold something: gradio leaves empty ones beside them."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path.stat().st_size]


@pytest.fixture(scope="module")
def served(shipped_backbone: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """In a process of its own, to which the toys are not known."""
    folder = tmp_path_factory.mktemp("temporary")
    both = beside_a_baseline(shipped_backbone, tmp_path_factory.mktemp("export"))
    models = [word for path in both for word in ("--model", str(path))]
    more = ["--clips", str(shipped_backbone.root / "data/raw"), "--port", "0", "--largest", "1", "--threads", "1"]
    command = [sys.executable, "-m", "pipeline.serving", "app", *models, *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(folder)}) as run:
        assert run.stdout is not None
        said = run.stdout.readline()
        assert said.startswith("http://127.0.0.1:"), said
        yield Served(said.split()[0], run, folder)
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 0
    assert not list(folder.iterdir())


@pytest.fixture
def page(served: Served) -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        asked: list[str] = []
        refused: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: "Content Security" in message.text and refused.append(message.text))
        page.goto(served.address)
        page.get_by_text("Is this face forged?").wait_for()
        yield page
        browser.close()
    own = urlsplit(served.address).netloc
    assert {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))} == {own}
    assert refused == []


def until(true: Any) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + PATIENCE / 1000
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.2)
    return bool(found)


def test_a_dropped_file_is_judged_compared_and_removed(page: Any, served: Served, shipped: Run, tmp_path: Path) -> None:
    page.set_input_files("input[type=file]", shipped.video("v0", "c40"))
    verdict = page.frame_locator("iframe[title^='verdict']")
    assert verdict.locator(".verdict").inner_text() in ("Fake", "Real", "Undecided")
    assert verdict.locator("figure").count() == 6 and len(served.dropped()) == 1
    page.get_by_role("tab", name="Compressed").click()
    page.get_by_role("button", name="Compare").click()
    compared = page.frame_locator("iframe[title*='three compressions']")
    assert compared.locator("thead th").first.inner_text().startswith("raw")
    assert compared.locator("tbody td").count() == 9
    page.get_by_role("tab", name="Verdict").click()
    page.get_by_label("Clear").click()
    assert until(lambda: not served.dropped())
    (tmp_path / "text.mp4").write_text("not a video\n" * 9)
    page.set_input_files("input[type=file]", tmp_path / "text.mp4")
    line = page.locator(".failed")
    line.wait_for()
    assert line.inner_text().startswith("text.mp4 cannot be judged: ") and "\n" not in line.inner_text()
    page.goto("about:blank")
    assert until(lambda: not served.dropped())


def test_a_clip_of_the_run_and_a_file_too_large(page: Any, served: Served, tmp_path: Path) -> None:
    page.get_by_label("or a clip of the run").click()
    page.get_by_role("option", name="v0: faceswap").click()
    page.get_by_text("This clip is fake (faceswap)").wait_for()
    page.set_viewport_size({"width": 400, "height": 800})
    inner = page.locator("iframe").bounding_box()
    assert inner["x"] >= 0 and inner["x"] + inner["width"] <= 400 and inner["height"] > 600
    (tmp_path / "large.mp4").write_bytes(bytes(2 * 2**20))
    page.set_input_files("input[type=file]", tmp_path / "large.mp4")
    page.get_by_text("exceed the maximum allowed size of 1").wait_for()
    assert not served.dropped()


def test_others_are_kept_out(served: Served) -> None:
    own = urlsplit(served.address).netloc

    def ask(method: str, path: str, body: bytes | None = None, **headers: str) -> int:
        connection = http.client.HTTPConnection(own, timeout=60)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse().status

    assert ask("GET", "/") == 200
    assert ask("GET", "/", Host="evil.example") == 421
    assert ask("POST", "/gradio_api/upload", b"x", Origin="https://evil.example") == 403
    assert ask("POST", "/gradio_api/upload", Content_Length=str(3 * 2**20)) == 413
    assert ask("GET", "/gradio_api/file=/etc/passwd") == 404
