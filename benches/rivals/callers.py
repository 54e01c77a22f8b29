"""Callers of a model: threads that ask in turn, and clients of an HTTP server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PROGRAMS = Path(__file__).parents[1] / "programs"


def from_threads(ask: Callable[[], Any], callers: int, calls: int) -> Callable[[], None]:
    """Asks so many times in all, from as many threads, which stay between calls."""
    if callers == 1:

        def alone() -> None:
            for _ in range(calls):
                ask()

        return alone
    begin, end = threading.Barrier(callers + 1), threading.Barrier(callers + 1)

    def work() -> None:
        while True:
            begin.wait()
            for _ in range(calls // callers):
                ask()
            end.wait()

    for _ in range(callers):
        threading.Thread(target=work, daemon=True).start()

    def call() -> None:
        begin.wait()
        end.wait()

    return call


def end_with_parent() -> None:
    """Ends this process when the one that holds its standard input does."""

    def watch() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


class Clients:
    """Clients of a server that a program of `benches/programs` runs: each connection has a request
    under way all the time.

    A call makes `requests` of them; `samples` holds how long each one took.
    """

    def __init__(
        self, program: str, model: Path, row: list[float], connections: int, requests: int
    ):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.server = subprocess.Popen(
            [sys.executable, _PROGRAMS / program, model, str(port)],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        body = json.dumps({"inputs": [row]}).encode()
        self._wait(port, body)
        head = (
            f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json"
            f"\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.request, self.requests = head.encode() + body, requests
        self.samples: deque[float] = deque(maxlen=100_000)
        self.port, self.connections = port, connections

    def _wait(self, port: int, body: bytes) -> None:
        """Until the server gives a right answer."""
        until = time.monotonic() + 60
        while True:
            if self.server.poll() is not None:
                raise RuntimeError(self.server.stderr.read()[-500:])
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                client.request("POST", "/predict", body, {"Content-Type": "application/json"})
                answer = client.getresponse()
                assert answer.status == 200, answer.read()
                assert len(json.loads(answer.read())["outputs"]) == 1
                return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            finally:
                client.close()

    def __call__(self) -> None:
        # New connections: servers close those that were idle between two calls.
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
            for _ in range(self.connections):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", self.port)))
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                answer = _Answer(client)
                selector.register(client, selectors.EVENT_READ, answer)
                answer.ask(self.request)
            asked, done = self.connections, 0
            while done < asked:
                for key, _ in selector.select():
                    seconds = key.data.take()
                    if seconds is None:
                        continue
                    self.samples.append(seconds)
                    done += 1
                    if asked < self.requests:
                        key.data.ask(self.request)
                        asked += 1


class _Answer:
    """What a connection waits for."""

    def __init__(self, client: socket.socket) -> None:
        self.client, self.since, self.got = client, 0.0, b""

    def ask(self, request: bytes) -> None:
        self.got, self.since = b"", time.perf_counter()
        self.client.sendall(request)

    def take(self) -> float | None:
        """Takes what has come; the seconds since the request once the answer is whole."""
        part = self.client.recv(1 << 16)
        if not part:
            raise ConnectionError("the server has closed a connection")
        self.got += part
        head, found, body = self.got.partition(b"\r\n\r\n")
        if not found:
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(self.got.decode()[:300])
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        return time.perf_counter() - self.since if len(body) >= length else None
