"""Trains on ranks, an epoch for every line that rank 0 reads: `mlp_ranks` in rivals/fastnn.py."""

import json
import pathlib
import sys
import time

import fastnn as nn

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from rivals import data, fastnn as ours

nn.distributed.init(threads=1)
from mpi4py import MPI  # noqa: E402  as `init` has set it up

told = json.loads(sys.argv[1])
x, y = data.training_set(told["sizes"], told["samples"])
model = ours.build(told["sizes"])
model.compile("adam", "sparse_categorical_crossentropy")
first = nn.distributed.rank() == 0


def told_to_go() -> bool:
    """Whether another epoch is wanted; those who wait leave the processors to the rivals."""
    line = sys.stdin.readline() if first else None
    ready = MPI.COMM_WORLD.Ibarrier()
    while not ready.Test():
        time.sleep(0.0005)
    return bool(nn.distributed.broadcast(line))


while told_to_go():
    loss = model.fit(x, y, batch_size=told["batch"], epochs=1, verbose=0).history["loss"][-1]
    if first:
        print(loss, flush=True)
