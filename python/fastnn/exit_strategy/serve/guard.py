"""What stands before the form: only this machine's own pages may read or change it. Plain ASGI.

A page of another site can make a browser send requests here, and can name this machine by a domain
of its own; so the host that is asked for, the origin and a secret of the form are looked at.
Standard library only.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "MAX_BODY", "Guard", "is_token"]

#: Hosts that only programs of this machine reach.
LOOPBACK = ("127.0.0.1", "localhost", "::1")

#: Bytes of a posted form; the largest cap table is a small part of it.
MAX_BODY = 1 << 20

_HEADERS = (
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
     b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
)  # fmt: skip

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Guard:
    """Refuses requests that do not come from this machine's own pages."""

    def __init__(self, app: Any, port: int | None) -> None:
        self.app, self.port = app, port

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is not None:
            await _refuse(send, *refused)
            return

        async def sealed(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(name, value) for name, value in _HEADERS if name not in given]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await self.app(scope, receive, sealed)

    def _refused(self, scope: Any) -> tuple[int, str] | None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or not self._is_here(f"//{_words(hosts[0])}"):
            return 403, "this page is for this machine: ask for 127.0.0.1 or localhost"
        site = headers.get(b"sec-fetch-site", [b"none"])[-1]
        reading = scope["method"] in ("GET", "HEAD")
        if site in (b"cross-site", b"same-site") and not reading:
            return 403, "a page of another site may not change this company"
        for origin in headers.get(b"origin", []):
            if not self._is_here(_words(origin)):
                return 403, "a page of another site may not ask here"
        length = headers.get(b"content-length", [b"0"])[-1]
        if not length.isdigit() or int(length) > MAX_BODY:
            return 413, f"the form has more than {MAX_BODY:,} bytes"
        return None

    def _is_here(self, address: str) -> bool:
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port
        except ValueError:
            return False
        plain = parts.scheme in ("", "http") and not parts.username and not parts.path
        known = self.port is None or (80 if port is None else port) == self.port
        return plain and known and host in LOOPBACK


def is_token(given: str, wanted: str) -> bool:
    """Compare a form's secret in constant time."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def _words(raw: bytes) -> str:
    return raw.decode("latin-1")


async def _refuse(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"),
               (b"content-length", b"%d" % len(body)), *_HEADERS]  # fmt: skip
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
