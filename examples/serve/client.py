"""Serves a model that knows digits, and asks it: rows in, class probabilities out.

`python client.py` starts a server of its own; `python client.py URL [TOKEN]` asks one that runs.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

import fastnn
from fastnn import layers


def ask(url: str, route: str, rows: np.ndarray | None = None, token: str | None = None) -> dict:
    """What a service answers: to a question about rows, or to `GET` without rows."""
    body = None if rows is None else json.dumps({"inputs": rows.tolist()}).encode()
    request = urllib.request.Request(f"{url}/{route}", body)
    request.add_header("Content-Type", "application/json")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:  # says what was wrong with the request
        told = json.load(error)
        raise ValueError(f"{error.code}: {told['error']}\n  hint: {told['hint']}") from None


def train(path: Path) -> fastnn.Model:
    """A small model of the digits that ship with fastnn, saved."""
    (x, y), _ = fastnn.datasets.digits.load_data()
    fastnn.utils.set_random_seed(0)
    model = fastnn.Sequential(
        [
            fastnn.Input((8, 8)),
            layers.Rescaling(1 / 16),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=10, verbose=0)
    model.save(path)
    return model


def wait_for(url: str, server: subprocess.Popen, seconds: float = 60) -> None:
    """Returns once the service answers."""
    until = time.monotonic() + seconds
    while True:
        try:
            ask(url, "health")
            return
        except urllib.error.URLError:
            if time.monotonic() > until or server.poll() is not None:
                raise
            time.sleep(0.05)


def main(port: int = 8017) -> float:
    """Trains, serves, asks and compares; gives the accuracy of the answers."""
    _, (x, y) = fastnn.datasets.digits.load_data()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "digits.safetensors")
        model = train(path)
        command = [sys.executable, "-m", "fastnn", "serve", str(path), "--port", str(port)]
        server = subprocess.Popen(command)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, server)
            print(ask(url, "schema"))
            found = np.array(ask(url, "predict", x[:100])["outputs"], "float32")
        finally:
            server.terminate()
            server.wait(60)
    assert (found == model.predict(x[:100], verbose=0)).all()  # bit for bit
    accuracy = float(np.mean(found.argmax(axis=1) == y[:100]))
    print(f"{accuracy:.0%} of 100 digits are right")
    return accuracy


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _, (images, _) = fastnn.datasets.digits.load_data()
        print(ask(sys.argv[1], "predict", images[:1], *sys.argv[2:3]))
    else:
        main()
