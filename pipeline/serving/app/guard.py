"""What stands before gradio: who may ask, for what, and how much may be sent.

A page of another site that is open in the same browser can send requests to this machine, and by DNS rebinding even
under a name of its own; gradio also brings routes that this page does not use (proxying, reading files, editing code).
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# What the page asks for. `queue` starts and follows the work, `heartbeat` tells that a tab is open.
USED = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)/?|/(static|assets|svelte)/.+|"
    r"/gradio_api/(upload|upload_progress|queue/join|queue/data|heartbeat/\w+|startup-events|info|theme\.css|cancel|reset)/?"
)
# gradio's own page needs scripts within it, and eval for its templates; from outside comes nothing.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
MB = 2**20
FORM = 100_000  # bytes of an upload beside its file: the form's own lines


class Guard:
    """An ASGI application around another. hosts: the names and addresses that it may be called by, IPv6 in brackets;
    largest: bytes of the largest file."""

    def __init__(self, app: App, hosts: Iterable[str], largest: int) -> None:
        self.app, self.hosts, self.largest = app, {host.lower() for host in hosts}, largest

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no WebSocket is used; closing it unanswered refuses it
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if (refused := refusal(scope["method"], scope["path"], headers, self.hosts, self.largest)) is not None:
            await _answer(send, *refused)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                kept = [pair for pair in message["headers"] if pair[0].decode().lower() not in HEADERS]
                message["headers"] = [*kept, *ours]
            await send(message)

        await self.app(scope, receive, secured)


def refusal(
    method: str, path: str, headers: MutableMapping[str, str], hosts: Collection[str], largest: int
) -> tuple[int, str] | None:
    """The status and the reason with which a request is refused; None: it may pass. headers: by their small names."""
    host = headers.get("host", "")
    if _name(host) not in hosts:
        return 421, "this page is not served under that name"
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return 403, "another site's request"
    # What opens the page, such as a link elsewhere, may come from anywhere.
    opening = method == "GET" and path == "/" and headers.get("sec-fetch-mode") == "navigate"
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not opening:
        return 403, "another site's request"
    if not USED.fullmatch(path):
        return 404, "not a part of this page"
    if method in ("POST", "PUT", "PATCH"):
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            return 411, "the size must be told"
        if int(length) > largest + FORM:
            return 413, f"larger than {largest // MB} MB"
    return None


def _name(host: str) -> str:
    """Without the port."""
    return re.sub(r":\d*$", "", host).lower()


async def _answer(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{reason}\n".encode()})
