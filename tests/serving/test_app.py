"""The HTTP app: what it answers, what it refuses, and that it stays up meanwhile."""

import asyncio
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the `serve` extra")
pytest.importorskip("uvicorn", reason="needs the `serve` extra")

import fastapi
import uvicorn

import fastnn
from fastnn import layers
from fastnn.serving import Limits, create_app


def net(seed=0, width=4):
    fastnn.utils.set_random_seed(seed)
    return fastnn.Sequential([fastnn.Input((width,)), layers.Dense(16, "relu"), layers.Dense(2)])


class Service:
    """An app behind a real server on a free port."""

    def __init__(self, model, app=None, **more):
        self.app = create_app(model, **more) if app is None else app
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        config = uvicorn.Config(self.app, log_level="critical", timeout_keep_alive=5)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)

    def __enter__(self):
        self.thread.start()
        until = time.monotonic() + 60
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.01)
        assert self.server.started
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(60)
        self.socket.close()

    def ask(self, path="/predict", body=None, headers=(), method=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = json.dumps(body) if isinstance(body, dict) else body
            connection.request(method or ("GET" if body is None else "POST"), path, data,
                               dict(headers))  # fmt: skip
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def model():
    return net()


@pytest.fixture(scope="module")
def service(model):
    with Service(model, limits=Limits(max_body=100_000, max_rows=50)) as running:
        yield running


def test_outputs_are_those_of_predict(service, model, rng):
    x = rng.normal(size=(7, 4)).astype("float32")
    for body in ({"inputs": x.tolist()}, {"inputs": {model.input_names[0]: x.tolist()}}):
        status, text = service.ask(body=body)
        assert status == 200, text
        found = np.array(json.loads(text)["outputs"], "float32")
        assert (found == model.predict(x, verbose=0)).all()
    status, text = service.ask(body={"inputs": [[1, 2, 3, 4]]})  # whole numbers are numbers
    assert status == 200


def test_the_schema_says_what_to_send(service):
    status, text = service.ask("/schema")
    found = json.loads(text)
    assert status == 200
    assert found["inputs"][0]["shape"] == [None, 4]
    assert found["outputs"][0]["shape"] == [None, 2]
    assert found["max_rows"] == 50
    status, text = service.ask("/openapi.json")
    body = json.loads(text)["paths"]["/predict"]["post"]["requestBody"]
    assert "inputs" in body["content"]["application/json"]["schema"]["properties"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("", 400, "not JSON"),
        ("{", 400, "not JSON"),
        (b"\xff\xfe\x00", 400, "not JSON"),
        ('{"inputs": [[NaN, 1, 2, 3]]}', 400, "NaN is not JSON"),
        ('{"inputs": [[1e999, 1, 2, 3]]}', 422, "inf at position (0, 0)"),
        ('{"inputs": [[1e300, 1, 2, 3]]}', 422, "beyond float32"),
        ('{"inputs": [[null, 1, 2, 3]]}', 422, "null"),
        ('{"inputs": [["1", "2", "3", "4"]]}', 422, "text"),
        ('{"inputs": "text"}', 422, "no list of rows"),
        ('{"inputs": [1, 2, 3, 4]}', 422, "shape (4,)"),
        ('{"inputs": [[1, 2, 3]]}', 422, "shape (1, 3)"),
        ('{"inputs": [[1, 2, 3, 4], [1]]}', 422, "different lengths"),
        ('{"inputs": []}', 422, "0 rows"),
        ('{"inputs": [[[[[1]]]]]}', 422, "shape"),
        ('{"inputs": {"x": [[1, 2, 3, 4]]}}', 422, "lacks"),
        ('{"rows": [[1, 2, 3, 4]]}', 422, "keys"),
        ("[]", 422, "no object"),
        ('{"inputs": {"x": [[1, 2, 3, 4]], "x": [[0, 0, 0, 0]]}}', 400, "'x' is given twice"),
        ("[" * 50_000, 400, "nested"),
        (json.dumps({"inputs": [[0.0] * 4] * 51}), 413, "51 rows"),
        (json.dumps({"inputs": [[123456789012345678901234567890, 1, 2, 3]]}), 422, "number"),
    ],
)
def test_bad_bodies_are_refused_by_name(service, body, status, words):
    got, text = service.ask(body=body)
    found = json.loads(text)
    assert (got, words in found["error"]) == (status, True), found
    assert found["hint"]
    assert service.ask("/health")[0] == 200


def test_large_bodies_are_refused_unread(service):
    status, text = service.ask(body=b"x" * 100_001)
    assert status == 413
    assert b"100000 bytes" in text
    # A length of 100 MB is refused before anything of it is sent, ...
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as s:
        s.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n")
        assert b" 413 " in s.recv(4096)
    # ... and so is a body without a length, as soon as it is too long.
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as s:
        s.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = b""
        try:
            for _ in range(100):
                s.sendall(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
        except OSError:
            pass  # it hung up on us
        with_answer = True
        try:
            answer = s.recv(4096)
        except OSError:
            with_answer = False
        assert not with_answer or b" 413 " in answer
    assert service.ask("/health")[0] == 200


def test_two_hundred_at_once_get_their_own_answers(service, model, rng):
    x = rng.normal(size=(200, 4)).astype("float32")
    wanted = model.predict(x, verbose=0)
    before = service.app  # the same service
    answers: list = [None] * 200
    gate = threading.Barrier(200)

    def ask(at):
        gate.wait(60)
        answers[at] = service.ask(body={"inputs": x[at : at + 1].tolist()})

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(200)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    assert before is service.app
    assert [a[0] for a in answers] == [200] * 200
    found = np.array([json.loads(a[1])["outputs"][0] for a in answers], "float32")
    assert (found == wanted).all()


def test_a_slow_client_delays_nobody_and_is_let_go(model):
    with Service(model, limits=Limits(max_seconds=2)) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=60) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
            for _ in range(20):
                assert running.ask(body={"inputs": [[1, 2, 3, 4]]})[0] == 200
            assert b" 408 " in slow.recv(4096)
        # One that goes away in the middle is forgotten.
        with socket.create_connection(("127.0.0.1", running.port), timeout=60) as gone:
            gone.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if b"fastnn_requests_underway 1\n" in running.ask("/metrics")[1]:
                break
        else:
            pytest.fail("a client that went away is still counted")


def test_more_than_the_limit_are_told_to_come_again(model):
    with Service(model, limits=Limits(max_underway=2, max_seconds=20)) as running:
        held = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        for s in held:
            s.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        until = time.monotonic() + 15
        while time.monotonic() < until and running.ask("/schema")[0] != 503:
            time.sleep(0.01)
        assert running.ask("/schema")[0] == 503
        for s in held:
            s.close()
        while time.monotonic() < until and running.ask("/schema")[0] != 200:
            time.sleep(0.01)
        assert running.ask("/schema")[0] == 200


def test_an_answer_that_takes_too_long_is_given_up(model, monkeypatch):
    import concurrent.futures

    with Service(model, limits=Limits(max_seconds=0.2)) as running:
        never = concurrent.futures.Future()
        monkeypatch.setattr(fastnn.Predictor, "submit", lambda self, x: never)
        status, text = running.ask(body={"inputs": [[1, 2, 3, 4]]})
        assert (status, b"no answer within 0.2 seconds" in text) == (503, True)


def test_a_token_is_asked_for_and_compared_in_constant_time(model, monkeypatch):
    from fastnn.serving import guard

    compared = []
    real = guard.hmac.compare_digest
    monkeypatch.setattr(
        guard.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b)
    )
    body = {"inputs": [[1, 2, 3, 4]]}
    with Service(model, token="a long secret") as running:
        assert running.ask("/health")[0] == 200
        for wrong in ({}, {"Authorization": "Bearer a long secreT"},
                      {"Authorization": "Bearer"}, {"Authorization": "a long secret"},
                      {"Authorization": "Basic YTpi"}):  # fmt: skip
            for path, data in (("/predict", body), ("/schema", None), ("/metrics", None),
                               ("/docs", None), ("/openapi.json", None)):  # fmt: skip
                assert running.ask(path, data, wrong)[0] == 401
        assert running.ask(body=body, headers={"Authorization": "Bearer a long secret"})[0] == 200
        assert running.ask(body=body, headers={"authorization": "bearer a long secret"})[0] == 200
    assert len(compared) == 27
    with pytest.raises(ValueError, match="token is empty"):
        create_app(model, token=" ")


def test_an_app_below_another_one_answers_counts_and_asks_for_its_token(model, rng):
    x = rng.normal(size=(2, 4)).astype("float32")
    body, token = {"inputs": x.tolist()}, {"Authorization": "Bearer a long secret"}
    with fastnn.Predictor(model, max_delay=0) as predictor:
        outer = fastapi.FastAPI()
        outer.mount("/nets/digits", create_app(predictor, token="a long secret"))
        with Service(model, app=outer) as running:
            status, answer = running.ask("/nets/digits/predict", body, token)
            assert status == 200
            found = np.array(json.loads(answer)["outputs"], "float32")
            assert (found == model.predict(x, verbose=0)).all()
            assert running.ask("/nets/digits/predict", body)[0] == 401
            assert running.ask("/nets/digits/health")[0] == 200
            assert running.ask("/nets/digits/predict", None, token)[0] == 405
            counts = running.ask("/nets/digits/metrics", None, token)[1].decode()
    assert 'route="/predict",status="200"} 1' in counts
    assert 'route="/health",status="200"} 1' in counts


def test_a_new_file_is_served_and_a_broken_one_is_not(tmp_path, rng):
    path = tmp_path / "m.safetensors"
    net(0).save(path)
    x = rng.normal(size=(2, 4)).astype("float32")

    def outputs(running):
        status, text = running.ask(body={"inputs": x.tolist()})
        assert status == 200
        return np.array(json.loads(text)["outputs"], "float32")

    def until(running, condition):
        end = time.monotonic() + 60
        while time.monotonic() < end and not condition(json.loads(running.ask("/health")[1])):
            time.sleep(0.02)
        return json.loads(running.ask("/health")[1])

    with Service(path, watch=0.05) as running:
        assert (outputs(running) == net(0).predict(x, verbose=0)).all()
        new = net(1)
        new.save(path)
        end = time.monotonic() + 60
        while time.monotonic() < end and b"reloads_total 1\n" not in running.ask("/metrics")[1]:
            time.sleep(0.02)
        assert (outputs(running) == new.predict(x, verbose=0)).all()
        broken = tmp_path / "broken"
        broken.write_bytes(b"half a file")
        os.replace(broken, path)
        refused = until(running, lambda h: h["refused_file"])["refused_file"]
        assert refused.startswith("m.safetensors: ")
        assert str(tmp_path) not in refused
        assert (outputs(running) == new.predict(x, verbose=0)).all()
        net(2, width=5).save(path)
        assert (
            "takes"
            in until(running, lambda h: "takes" in (h["refused_file"] or ""))["refused_file"]
        )
        assert (outputs(running) == new.predict(x, verbose=0)).all()
        last = net(3)
        last.save(path)
        assert until(running, lambda h: h["refused_file"] is None)["refused_file"] is None
        assert (outputs(running) == last.predict(x, verbose=0)).all()


@pytest.fixture
def threads():
    """Names of fastnn's threads that were started since."""
    before = set(threading.enumerate())
    return lambda: [
        t.name for t in threading.enumerate() if t.name.startswith("fastnn-") and t not in before
    ]


LONG = {"inputs": [[0.125, 1.0, 2.0, 3.0]] * 2000}  # long enough to be read beside the event loop


def test_no_thread_outlives_a_server_and_the_app_can_be_started_again(model, threads):
    predictor = fastnn.Predictor(model, max_delay=0)
    for served in (model, predictor, predictor):
        with Service(served) as running:
            assert running.ask(body=LONG)[0] == 200
            assert {n[:11] for n in threads()} == {"fastnn-join", "fastnn-json"}
        assert threads() == []
    assert predictor.batches == 2
    assert predictor.predict(np.ones((3, 4))).shape == (3, 2)  # its owner may go on with it
    assert predictor.batches == 3
    predictor.close()
    assert threads() == []


def test_no_thread_outlives_an_app_whose_server_fails_or_that_never_answered(model, threads):
    app = create_app(model)
    assert threads() == []  # none before there is work

    async def failing():
        async with app.router.lifespan_context(app):
            served = app.state.serving
            assert (await served.answer(json.dumps(LONG).encode()))[0] == 200
            assert threads() != []
            raise KeyError("the server")

    for _ in range(2):
        with pytest.raises(KeyError, match="the server"):
            asyncio.run(failing())
        assert threads() == []


def test_no_thread_outlives_serve_when_its_server_is_killed_in_the_middle(
    model, threads, monkeypatch
):
    def run(app, **_):
        asyncio.run(app.state.serving.answer(json.dumps(LONG).encode()))
        assert threads() != []
        raise KeyboardInterrupt  # without the shutdown of the app

    monkeypatch.setattr(uvicorn, "run", run)
    with pytest.raises(KeyboardInterrupt):
        fastnn.serving.serve(model)
    assert threads() == []


def test_counters_count(model):
    with Service(model) as running:
        for _ in range(3):
            running.ask(body={"inputs": [[1, 2, 3, 4]] * 2})
        running.ask(body="{")
        running.ask("/secret-path-of-a-scanner")
        text = running.ask("/metrics")[1].decode()
        assert 'fastnn_requests_total{route="/predict",status="200"} 3\n' in text
        assert 'fastnn_requests_total{route="/predict",status="400"} 1\n' in text
        assert 'fastnn_requests_total{route="other",status="404"} 1\n' in text
        assert "fastnn_rows_total 6\n" in text
        assert 'fastnn_predict_seconds_bucket{le="+Inf"} 4\n' in text
        assert "scanner" not in text


def test_outputs_that_are_not_finite_are_null(tmp_path):
    model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[3e38]], "float32")])
    with Service(model) as running:
        status, text = running.ask(body={"inputs": [[3e38], [0]]})
        assert (status, json.loads(text)["outputs"]) == (200, [[None], [0.0]])


@pytest.mark.parametrize(
    "more",
    [{"max_body": 0}, {"max_rows": 1.5}, {"max_seconds": -1}, {"max_seconds": float("inf")}],
)
def test_limits_out_of_range_are_refused(more):
    with pytest.raises(ValueError, match=next(iter(more))):
        Limits(**more)


def test_the_command_serves_this_machine_alone_and_ends_on_interrupt(tmp_path):
    path = tmp_path / "m.safetensors"
    net().save(path)
    (tmp_path / "token").write_text("secret\n")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-m", "fastnn", "serve", str(path), "--port", str(port)]
    running = subprocess.Popen(
        [*command, "--token-file", str(tmp_path / "token")], stderr=subprocess.PIPE, text=True
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request("POST", "/predict", '{"inputs": [[1, 2, 3, 4]]}',
                                   {"Authorization": "Bearer secret"})  # fmt: skip
                assert connection.getresponse().status == 200
                connection.close()
                break
            except OSError:
                assert time.monotonic() < until
                assert running.poll() is None
                time.sleep(0.05)
        listening = {
            line.split()[1]
            for table in ("/proc/net/tcp", "/proc/net/tcp6")
            if os.path.exists(table)
            for line in Path(table).read_text().splitlines()[1:]
            if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
        }
        assert listening <= {f"0100007F:{port:04X}"}
    finally:
        running.send_signal(2)
        running.communicate(timeout=60)
    done = subprocess.run([*command[:-3], str(tmp_path / "none")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "none" in done.stderr


def test_the_command_says_that_it_serves_once_the_model_is_read(run_python, tmp_path):
    answer = run_python(
        "import sys\n"
        "from fastnn import cli\n"
        "sys.stderr = sys.stdout\n"
        f"print(cli.main(['serve', {str(tmp_path / 'none.safetensors')!r}]))\n"
    )
    assert "no file" in answer
    assert answer.split()[-1] == "1"
    assert "serving" not in answer


def test_texts_are_looked_up_by_the_model_that_is_served(tmp_path):
    fastnn.utils.set_random_seed(3)
    first = layers.StringLookup(vocabulary=["x", "y"])
    model = fastnn.Sequential(
        [fastnn.Input((2,), dtype="string"), first, layers.Embedding(5, 3), layers.Flatten()]
    )
    model.save(tmp_path / "m.safetensors")
    rows = [["x", "?"], ["1", "y"]]
    with Service(tmp_path / "m.safetensors") as service:
        status, text = service.ask(body={"inputs": rows})
        wanted = model.predict(np.array(rows), verbose=0)
        assert (status, json.loads(text)["outputs"]) == (200, wanted.tolist())
        port = json.loads(service.ask("/schema")[1])["inputs"][0]
        assert (port["shape"], port["dtype"]) == ([None, 2], "string")
        assert b'"string"' in service.ask("/openapi.json")[1]
        for bad in ([["x", 1]], [[1, 2]], [["x"]], [[None, "x"]]):
            status, text = service.ask(body={"inputs": bad})
            assert status == 422
            assert json.loads(text)["hint"]
