"""Who may ask the page for what: names, other sites, routes, sizes."""

import asyncio
from typing import Any

import pytest

from pipeline.serving.app.guard import Guard, refusal

HOSTS = ("127.0.0.1", "localhost", "[::1]")
OWN = {"host": "localhost:7860"}
SENT = OWN | {"origin": "http://localhost:7860", "sec-fetch-site": "same-origin", "content-length": "10"}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", OWN),
        ("GET", "/", {"host": "[::1]:7860"}),
        ("GET", "/", {"host": "LOCALHOST"}),
        ("GET", "/assets/index.js", OWN | {"sec-fetch-site": "same-origin"}),
        ("GET", "/", OWN | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),  # a link elsewhere
        ("POST", "/gradio_api/upload", SENT),
        ("GET", "/gradio_api/heartbeat/abc123", OWN),
    ],
)
def test_the_page_and_what_it_asks_for_pass(method: str, path: str, headers: dict[str, str]) -> None:
    assert refusal(method, path, headers, HOSTS, 100) is None


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {"host": "evil.example:7860"}, 421),  # DNS rebinding: the name is theirs, the address ours
        ("GET", "/", {"host": "127.0.0.1.evil.example"}, 421),
        ("GET", "/", {"host": "localhost@evil.example"}, 421),
        ("GET", "/", {}, 421),
        ("POST", "/gradio_api/upload", SENT | {"origin": "https://evil.example"}, 403),
        ("POST", "/gradio_api/upload", SENT | {"origin": "null"}, 403),
        ("POST", "/gradio_api/upload", SENT | {"origin": "http://localhost:9999"}, 403),
        ("POST", "/gradio_api/queue/join", SENT | {"sec-fetch-site": "cross-site"}, 403),
        ("GET", "/config", OWN | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ("GET", "/gradio_api/file=/etc/passwd", OWN, 404),
        ("GET", "/gradio_api/proxy=https://evil.example/", OWN, 404),
        ("POST", "/gradio_api/vibe-edit", SENT, 404),
        ("GET", "/gradio_api/heartbeat/../file=x", OWN, 404),
        ("POST", "/gradio_api/upload", SENT | {"content-length": "1000000"}, 413),
        ("POST", "/gradio_api/upload", SENT | {"content-length": "-1"}, 411),
        ("POST", "/gradio_api/upload", {name: SENT[name] for name in ("host", "origin")}, 411),  # in chunks
    ],
)
def test_the_rest_is_refused(method: str, path: str, headers: dict[str, str], status: int) -> None:
    found = refusal(method, path, headers, HOSTS, 100)
    assert found is not None and found[0] == status


def ask(headers: dict[str, str]) -> tuple[int, dict[str, str], list[str]]:
    """(status, headers, the paths that came through) of a GET."""
    came, sent = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        came.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Security-Policy", b"none")]})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(Guard(app, HOSTS, 100)({"type": "http", "method": "GET", "path": "/", "headers": raw}, receive, send))
    start = sent[0]
    return start["status"], {name.decode().lower(): value.decode() for name, value in start["headers"]}, came


def test_nothing_of_the_page_comes_from_outside_or_is_shown_in_anothers_frame() -> None:
    status, headers, came = ask({"Host": "localhost:7860"})
    policy = headers["content-security-policy"]
    assert status == 200 and came == ["/"] and "http" not in policy and "*" not in policy
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy


def test_what_is_refused_reaches_nothing() -> None:
    assert ask({"Host": "evil.example"})[::2] == (421, [])
