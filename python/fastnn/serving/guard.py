"""What stands before the routes: token, size, time and number of requests. Plain ASGI.

Depends on `counts`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fastnn.base.arguments import as_number
from fastnn.serving.counts import Counts

__all__ = ["Guard", "Limits"]

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ROUTES = ("/predict", "/health", "/schema", "/metrics", "/docs", "/openapi.json")


@dataclass(frozen=True)
class Limits:
    """What a service takes.

    Args:
        max_body: Bytes of a request's body.
        max_rows: Rows of a request.
        max_seconds: Seconds for a body to arrive, and again for its answer.
        max_underway: Requests at the same time; more are told to come again.

    Raises:
        ValueError: A limit is not positive.

    Example:
        >>> fastnn.serving.Limits(max_rows=100).max_rows
        100
    """

    max_body: int = 10 << 20
    max_rows: int = 4096
    max_seconds: float = 30.0
    max_underway: int = 1024

    def __post_init__(self) -> None:
        for field in fields(self):
            value = as_number(getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            whole = field.name != "max_seconds"
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or (
                not 0 < value < float("inf")
            ):  # fmt: skip
                raise ValueError(
                    f"{field.name} is {value!r}, wanted a positive "
                    f"{'whole ' if whole else ''}number\n  hint: {field.name}={field.default}"
                )


class Guard:
    """Refuses requests before their bodies are read or their JSON is looked at, and answers those
    for predictions.
    """

    app: Any
    limits: Limits
    counts: Counts

    def __init__(
        self,
        app: Any,
        limits: Limits,
        token: str | None,
        counts: Counts,
        answer: Callable[[bytes], Awaitable[tuple[int, bytes]]],
    ) -> None:
        self.app, self.limits, self.counts, self._answer = app, limits, counts, answer
        self._wanted = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, path = time.perf_counter(), _path(scope)
        status = 500
        answered = False

        async def noting(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
            await send(message)

        self.counts.underway += 1
        try:
            refused = self._refused(scope, path)
            body = b""
            if refused is None:
                try:
                    async with asyncio.timeout(self.limits.max_seconds):
                        body = await self._body(receive)
                except TimeoutError:
                    text = f"the body did not arrive within {self.limits.max_seconds:g} seconds"
                    refused = (408, text, "send it at once")
                except _TooLarge:
                    refused = self._too_large()
                except _Gone:
                    status = 499
                    return
            if refused is not None:
                await _refuse(noting, *refused)
                return
            if path == "/predict" and scope["method"] == "POST":
                # Half of such a request's time would go to finding its route and parameters.
                await _respond(noting, *await self._answer(body))
                return
            given = False

            async def whole() -> Message:
                nonlocal given
                if given:
                    return await receive()
                given = True
                return {"type": "http.request", "body": body, "more_body": False}

            await self.app(scope, whole, noting)
        except Exception:
            if not answered:
                await _refuse(noting, 500, "an error of the server", "its log says what happened")
            raise
        finally:
            self.counts.underway -= 1
            route = path if path in _ROUTES else "other"
            self.counts.answered(route, status, time.perf_counter() - start)

    def _too_large(self) -> tuple[int, str, str]:
        text = f"the body has more than {self.limits.max_body} bytes"
        return 413, text, "send the rows in several requests"

    def _refused(self, scope: Any, path: str) -> tuple[int, str, str] | None:
        """Why a request is not read at all."""
        headers = dict(scope["headers"])
        if self._wanted is not None and path != "/health":
            given = headers.get(b"authorization", b"")
            # Takes as long for a near miss as for any other; the scheme's case does not matter.
            scheme, _, secret = given.partition(b" ")
            shown = b"Bearer " + secret.strip() if scheme.lower() == b"bearer" else given
            if not hmac.compare_digest(shown, self._wanted):
                return 401, "this service asks for a token", "send Authorization: Bearer <token>"
        if self.counts.underway > self.limits.max_underway:
            return 503, f"{self.counts.underway - 1} requests are under way", "ask again later"
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length) > self.limits.max_body):
            return self._too_large()
        return None

    async def _body(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            part = message.get("body", b"")
            size += len(part)
            if size > self.limits.max_body:
                raise _TooLarge
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


def _path(scope: Any) -> str:
    """The path within the app, which may be mounted below another one."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(root + "/") else path


class _TooLarge(Exception):
    pass


class _Gone(Exception):
    pass


async def _refuse(send: Send, status: int, error: str, hint: str) -> None:
    more = []
    if status == 401:
        more.append((b"www-authenticate", b"Bearer"))
    if status == 503:
        more.append((b"retry-after", b"1"))
    if status in (408, 413):
        more.append((b"connection", b"close"))
    body = json.dumps({"error": error, "hint": hint}, ensure_ascii=False).encode()
    await _respond(send, status, body, more)


async def _respond(
    send: Send, status: int, body: bytes, more: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    length = (b"content-length", b"%d" % len(body))
    headers = [(b"content-type", b"application/json"), length, *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
