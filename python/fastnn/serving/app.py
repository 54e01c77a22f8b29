"""An HTTP app around a `Predictor`: FastAPI, run by uvicorn (extra `[serve]`).

Depends on `predictor`, `guard`, `counts`; FastAPI and uvicorn are imported when used.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fastnn.base import tree
from fastnn.base.arguments import hints_arguments
from fastnn.base.json_keys import single_keys
from fastnn.errors import DataError, FastnnError, ShapeError, hint_of, told as _text
from fastnn.serving.counts import Counts
from fastnn.serving.guard import Guard, Limits
from fastnn.serving.predictor import Port, Predictor

__all__ = ["create_app", "serve"]

#: Hosts that only programs of the same machine reach.
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

#: What JSON calls the types of inputs; all others are whole numbers.
_JSON_TYPES = {"float32": "number", "string": "string", "bool": "boolean"}

#: Bodies up to this long are read as JSON at once, longer ones beside the event loop.
_SHORT = 16 << 10

#: Seconds that a server which shuts down waits for a run that nobody waits for any more.
_PATIENCE = 5.0


def _needed() -> Any:
    try:
        import fastapi
    except ImportError:
        raise ImportError(
            "serving needs FastAPI and uvicorn, which are not installed\n"
            '  hint: pip install "fastnn-rs[serve]"'
        ) from None
    return fastapi


@hints_arguments
def create_app(
    model: Any,
    *,
    token: str | None = None,
    limits: Limits | None = None,
    max_delay: float = 0.0,
    max_batch_size: int = 256,
    watch: float = 2.0,
) -> Any:
    """A FastAPI app that answers with a model's predictions.

    `POST /predict` takes `{"inputs": rows}`, or `{"inputs": {name: rows}}` for several inputs, and
    gives `{"outputs": rows}`. `GET /schema` names inputs and outputs, `/health` says what is
    served, `/metrics` counts in Prometheus's format, `/docs` describes all of it. What is wrong
    with a request is answered with a status of 4xx and `{"error": …, "hint": …}`.

    Args:
        model: The path of a saved model, a model, or a `Predictor`.
        token: Where given, requests other than `/health` need `Authorization: Bearer <token>`;
            it is compared in constant time.
        limits: Sizes, times and counts of requests; None: `Limits()`.
        max_delay: Seconds that a request waits at most for others to join its batch; 0 joins only
            what comes while another batch runs.
        max_batch_size: Rows of one run.
        watch: Every how many seconds the model's file is looked at; a new one is served once it
            was read whole, a broken one is not. 0: never. An app that is mounted below another one
            is not told that the server starts, so there call `reload` of a `Predictor` yourself.

    Returns:
        A `fastapi.FastAPI`, for uvicorn or any other server of ASGI.

    Raises:
        ImportError: FastAPI is not installed.
        FileNotFoundError: There is no such file.
        ValueError: The token is empty.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)])
        >>> app = fastnn.serving.create_app(model, token="a long secret")
        >>> app.title
        'fastnn'
    """
    fastapi = _needed()
    if token is not None and not token.strip():
        raise ValueError("the token is empty\n  hint: token=None asks for none")
    limits = limits or Limits()
    if isinstance(model, Predictor):
        predictor = model
    else:
        predictor = Predictor(model, max_delay=max_delay, max_batch_size=max_batch_size)
    served = _Serving(predictor, limits)

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        watching = None
        if watch > 0 and predictor.path is not None:
            watching = asyncio.create_task(served.watch(watch))
        try:
            yield
        finally:
            if watching is not None:
                watching.cancel()
            served.close()

    app = fastapi.FastAPI(title="fastnn", version=_version(), lifespan=lifespan)
    app.state.serving = served
    answer = fastapi.responses.Response

    def as_json(value: Any, status: int = 200) -> Any:
        return answer(json.dumps(value), status, media_type="application/json")

    async def health() -> Any:
        return as_json(served.health())

    async def schema() -> Any:
        return as_json(served.schema())

    async def metrics() -> Any:
        text = served.counts.text(predictor.batches)
        return answer(text, media_type="text/plain; version=0.0.4")

    async def predict(request: Any) -> Any:
        status, body = await served.answer(await request.body())
        return answer(body, status, media_type="application/json")

    app.get("/health", summary="What is served")(health)
    app.get("/schema", summary="Inputs and outputs of the model")(schema)
    app.get("/metrics", summary="Counters in Prometheus's text format")(metrics)
    # FastAPI reads annotations; that of an extra cannot stand at the top of this file.
    predict.__annotations__["request"] = fastapi.Request
    app.post("/predict", summary="Predictions for rows", openapi_extra=served.described())(predict)
    # The guard answers these requests itself; the route describes them, and serves mounted apps.
    app.add_middleware(
        Guard, limits=limits, token=token, counts=served.counts, answer=served.answer
    )
    return app


def _version() -> str:
    from fastnn import _core

    return str(_core.info()["version"])


class _Refused(Exception):
    """A request that cannot be answered, and its status."""

    def __init__(self, status: int, error: str, hint: str) -> None:
        super().__init__(error)
        self.status, self.error, self.hint = status, error, hint


class _Serving:
    """What the routes share: the predictor, counters, and when its file was read."""

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits, self.counts = predictor, limits, Counts()
        self._pool: ThreadPoolExecutor | None = None
        self._loaded = time.time()
        self._stamp = _stamp(predictor.path)
        self._trouble: str | None = None

    @property
    def _beside(self) -> ThreadPoolExecutor:
        """Threads for work that would hold up the event loop, from their first use to `close`."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(2, thread_name_prefix="fastnn-json")
        return self._pool

    def close(self) -> None:
        """Ends all threads, one in a long run after it; later requests start others."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        self.predictor.rest(_PATIENCE)

    def health(self) -> dict[str, Any]:
        """What is served, since when, and whether a newer file was refused."""
        return {
            "status": "ok",
            "fastnn": _version(),
            "model": None if self.predictor.path is None else os.path.basename(self.predictor.path),
            "loaded_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._loaded)),
            "refused_file": self._trouble,
        }

    def schema(self) -> dict[str, Any]:
        """Inputs and outputs, and the limits of a request."""
        ports = {
            "inputs": [_shown(p) for p in self.predictor.inputs],
            "outputs": [_shown(p) for p in self.predictor.outputs],
        }
        return ports | {"max_rows": self.limits.max_rows, "max_body_bytes": self.limits.max_body}

    def described(self) -> dict[str, Any]:
        """The body of `/predict` as OpenAPI has it."""

        def rows(port: Port) -> dict[str, Any]:
            inner: dict[str, Any] = {"type": _JSON_TYPES.get(port.dtype, "integer")}
            for size in reversed(port.shape):
                inner = {"type": "array", "items": inner}
                if size is not None:
                    inner |= {"minItems": size, "maxItems": size}
            return inner

        ports = self.predictor.inputs
        by_name: dict[str, Any] = {
            "type": "object",
            "properties": {p.name: rows(p) for p in ports},
            "required": [p.name for p in ports],
        }
        inputs = {"oneOf": [rows(ports[0]), by_name]} if len(ports) == 1 else by_name
        body = {"type": "object", "properties": {"inputs": inputs}, "required": ["inputs"]}
        return {
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}}
        }

    async def answer(self, body: bytes) -> tuple[int, bytes]:
        """The status and the JSON for the body of a request."""
        try:
            loop = asyncio.get_running_loop()
            if len(body) <= _SHORT:
                inputs = self._inputs(body)
                asked = self.predictor.submit(inputs)
            else:
                inputs = await loop.run_in_executor(self._beside, self._inputs, body)
                asked = await loop.run_in_executor(self._beside, self.predictor.submit, inputs)
            if asked.done():
                outputs = asked.result()
            else:
                waiting = asyncio.wrap_future(asked)
                outputs = await asyncio.wait_for(waiting, self.limits.max_seconds)
            flat = tree.flatten(outputs)
            cells = sum(a.size for a in flat)
            self.counts.rows += len(flat[0])
            if cells > _SHORT // 8:
                return 200, await loop.run_in_executor(self._beside, _as_body, outputs)
            return 200, _as_body(outputs)
        except _Refused as error:
            return error.status, refusal(error.error, error.hint)
        except (DataError, ShapeError) as error:
            return 422, refusal(*told(error))
        except TimeoutError:
            text = f"no answer within {self.limits.max_seconds:g} seconds"
            return 503, refusal(text, "send fewer rows, or ask again later")

    def _inputs(self, body: bytes) -> Any:
        """The inputs in a body: arrays whose numbers are finite."""
        try:
            whole = _decoder.decode(body.decode())
        except RecursionError:
            raise _Refused(400, "the JSON is nested too deeply", "send rows of numbers") from None
        except (ValueError, UnicodeDecodeError) as error:
            text = f"the body is not JSON: {error}"
            raise _Refused(400, text, 'send {"inputs": [[…], …]}') from None
        if not isinstance(whole, dict) or set(whole) != {"inputs"}:
            got = f"the keys {sorted(whole)[:5]}" if isinstance(whole, dict) else "no object"
            raise _Refused(422, f"the body has {got}", 'send {"inputs": [[…], …]}')
        given = whole["inputs"]
        ports = {p.name: p for p in self.predictor.inputs}
        if isinstance(given, dict):
            arrays: Any = {k: self._rows(v, k, ports) for k, v in given.items()}
            return arrays
        if len(ports) > 1:
            text = f"the model takes {len(ports)} inputs: {', '.join(ports)}"
            raise _Refused(422, text, 'send {"inputs": {name: rows, …}}')
        return self._rows(given, next(iter(ports)), ports)

    def _rows(self, given: Any, name: str, ports: dict[str, Port]) -> Any:
        if not isinstance(given, list):
            raise _Refused(422, f"{name} is no list of rows", 'send {"inputs": [[…], …]}')
        if not 1 <= len(given) <= self.limits.max_rows:
            text = f"{name} has {len(given)} rows, wanted 1 to {self.limits.max_rows}"
            raise _Refused(422 if not given else 413, text, "send the rows in several requests")
        with np.errstate(over="ignore"):
            try:
                array = np.asarray(given)
            except (ValueError, OverflowError):
                text = f"the rows of {name} have different lengths"
                raise _Refused(422, text, "each row needs all columns") from None
        if array.dtype.kind == "U" and not _is_all_text(given):
            text = f"{name} holds texts and what is no text"
            raise _Refused(422, text, "send either numbers or texts")
        if array.dtype.kind == "O":  # null, or whole numbers beyond 64 bits
            text = f"{name} holds null, or what is no number"
            raise _Refused(422, text, "fill in missing values before asking")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            text = f"{name} holds {array[at]} at position {at}"
            raise _Refused(422, text, "send finite numbers")
        port = ports.get(name)
        if array.dtype.kind == "i" and port is not None and port.dtype == "float32":
            array = array.astype(np.float64)
        return array

    async def watch(self, seconds: float) -> None:
        """Serves a new file once it is whole; a file that is not is told of, once."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(seconds)
            stamp = _stamp(self.predictor.path)
            if stamp is None or stamp == self._stamp:
                continue
            self._stamp = stamp
            try:
                await loop.run_in_executor(self._beside, self.predictor.reload)
            except (FastnnError, OSError, ValueError) as error:
                # Whoever asks for the health needs no token: the folder is not for them.
                folder = os.path.join(os.path.dirname(self.predictor.path or ""), "")
                self._trouble = told(error)[0].replace(folder, "")
                self.counts.refused_files += 1
                print(f"fastnn serve: the old model stays: {error}", file=sys.stderr, flush=True)
            else:
                self._trouble, self._loaded = None, time.time()
                self.counts.reloads += 1


def _is_all_text(given: Any) -> bool:
    """Whether nested lists hold texts alone, which NumPy makes of numbers beside them."""
    if isinstance(given, list):
        return all(map(_is_all_text, given))
    return isinstance(given, str)


def _no_constant(name: str) -> Any:
    raise _Refused(400, f"the body is not JSON: {name} is not JSON", "send finite numbers alone")


def _twice(key: str) -> Exception:
    return _Refused(400, f"the key {key!r} is given twice", "give each input once")


_decoder = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=single_keys(_twice))


def _stamp(path: str | None) -> tuple[int, int, int] | None:
    """Another one for another file; None where there is none."""
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _shown(port: Port) -> dict[str, Any]:
    return {"name": port.name, "shape": list(port.shape), "dtype": port.dtype}


def _as_body(outputs: Any) -> bytes:
    """Outputs as JSON; infinities and NaN, which JSON has not, are null."""

    def rows(array: Any) -> Any:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            cells = array.astype(object)
            cells[~np.isfinite(array)] = None
            return cells.tolist()
        return array.tolist()

    return json.dumps({"outputs": tree.map_structure(rows, outputs)}).encode()


def told(error: Exception) -> tuple[str, str]:
    """The text of an error and its hint."""
    return _text(error), hint_of(error) or ""


def refusal(error: str, hint: str) -> bytes:
    """The body that says what is wrong."""
    return json.dumps({"error": error, "hint": hint}, ensure_ascii=False).encode()


def serve(
    model: Any, *, host: str = "127.0.0.1", port: int = 8000, token: str | None = None, **more: Any
) -> None:
    """Serves a model over HTTP until it is interrupted.

    Args:
        model: The path of a saved model, or a model.
        host: The address it listens at: by default the machine itself alone.
        port: The port.
        token: A secret that requests must carry; ask for one wherever others reach the port.
        **more: Further arguments of `create_app`.

    Raises:
        ImportError: FastAPI or uvicorn is not installed.

    Example:
        >>> fastnn.serving.serve("model.safetensors", port=8001)  # doctest: +SKIP
    """
    run(create_app(model, token=token, **more), host, port, token, more.get("limits") or Limits())


def run(app: Any, host: str, port: int, token: str | None, limits: Limits) -> None:
    """Runs an app of `create_app` until it is interrupted."""
    import uvicorn

    if host not in _LOOPBACK and token is None:
        print(
            f"fastnn serve: anyone who reaches {host}:{port} may ask this model\n"
            "  hint: --token-file FILE asks for a secret; --host 127.0.0.1 serves this machine",
            file=sys.stderr,
        )
    try:
        uvicorn.run(
            app,
            host=host,
            port=port,
            log_level="warning",
            timeout_keep_alive=5,
            h11_max_incomplete_event_size=16 << 10,
            timeout_graceful_shutdown=int(limits.max_seconds) + 1,
            server_header=False,
        )
    finally:  # also where a second interrupt lets uvicorn skip the app's own shutdown
        app.state.serving.close()
