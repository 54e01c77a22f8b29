"""Random loops: the row `scan` against the same rounds written out; a program of its own too.

`python tests/ops/random_scans.py FIRST COUNT` checks the loops of COUNT seeds from FIRST on and
prints what disagrees. Values, gradients and second derivatives are compared, and bits on 1, 2 and 3
threads.
"""

import sys

import numpy as np

import fastnn
from fastnn import ops
from fastnn.ops import rounds


def inner(a, b):
    """A loop in the loop; its round reads a value of the round around it."""
    rows = ops.concatenate([b] * 6)[:6]
    return ops.scan(lambda c, r: (ops.tanh(c + r * ops.mean(a)), c * r), ops.mean(a, 0), rows)


#: What a round is made of: a function, the kinds of its operands, the kind of its result. A matrix
#: has a row per example ("rows"), or is square; "any" is a float of any kind, which the result has.
OPS = [
    (ops.tanh, ["any"], "any"),
    (ops.sin, ["any"], "any"),
    (ops.relu, ["any"], "any"),
    (lambda x: ops.softmax(x) * 2.0, ["rows"], "rows"),
    (lambda x, y: (x + y) * 0.5, ["any", "same"], "any"),
    (lambda x, y: ops.tanh(x * y), ["any", "same"], "any"),
    (lambda x, y: x - 0.3 * y, ["rows", "row"], "rows"),
    (ops.maximum, ["rows", "one"], "rows"),
    (lambda x, w: ops.matmul(x, w) * 0.4, ["rows", "square"], "rows"),
    (lambda x, w: ops.tanh(ops.matmul(x, w)), ["rows", "square"], "rows"),
    (lambda x, y: ops.matmul(ops.transpose(x), y) * 0.2, ["rows", "rows"], "square"),
    (lambda x, y, z: ops.where(x > 0.1, y, z), ["rows", "rows", "rows"], "rows"),
    (lambda x: ops.mean(x, 0), ["rows"], "row"),
    (lambda x: ops.mean(x * x), ["any"], "one"),
    (lambda n: n + 1, ["count"], "count"),
    (lambda n: ops.sin(ops.cast(n, "float32")), ["count"], "one"),
    (lambda x: ops.sort(x, axis=-1), ["rows"], "rows"),
    (lambda x: ops.top_k(ops.transpose(x), 1)[0][:, 0], ["rows"], "row"),
    (lambda x: ops.cast(ops.argmax(x[0]), "int32"), ["rows"], "count"),
    (lambda x, y: inner(x, y)[0], ["rows", "rows"], "row"),
    (lambda x, y: ops.tanh(ops.sum(inner(x, y)[1], 0)), ["rows", "rows"], "row"),
]


class Loop:
    """A random round: a straight-line program over carries, slices and captured values."""

    def __init__(self, seed):
        self.rng = rng = np.random.default_rng(seed)
        rows, d = int(rng.choice((1, 2, 3, 17))), int(rng.choice((1, 2, 4, 5, 16)))
        self.shapes = {"rows": (rows, d), "row": (d,), "one": (), "count": (), "square": (d, d)}
        self.length = int(rng.choice((0, 1, 2, 5, 6, 9)))
        self.reverse = bool(rng.random() < 0.4)
        kinds = ["rows", "rows", "row", "one", "count"]
        self.carries = ["rows", *rng.choice(kinds, rng.integers(0, 3))]
        self.slices = list(rng.choice(kinds, rng.integers(0, 4)))
        self.shared = ["square", "square", "rows", "row", "one", "count"]
        kinds = [*self.carries, *self.slices, *self.shared]
        self.steps = []
        for _ in range(int(rng.integers(2, 14))):
            function, wanted, result = OPS[rng.integers(len(OPS))]
            some = rng.choice([kind for kind in kinds if kind != "count"])
            real = [some if kind in ("any", "same") else kind for kind in wanted]
            self.steps.append((function, [self.one(kinds, kind) for kind in real]))
            kinds.append(some if result == "any" else result)
        self.next = [self.one(kinds, kind) for kind in self.carries]
        self.given = [int(i) for i in rng.integers(0, len(kinds), rng.integers(0, 4))]
        self.first = [self.array(kind) for kind in self.carries]
        self.arrays = [self.array(kind, self.length) for kind in self.slices]
        self.values = [self.array(kind) for kind in self.shared]

    def array(self, kind, *length):
        shape = (*length, *self.shapes[kind])
        if kind == "count":
            return self.rng.integers(-3, 4, shape).astype(np.int32)
        return (self.rng.normal(size=shape) * 0.7).astype(np.float32)

    def one(self, kinds, kind):
        """The place of a value of this kind, one of the last if there are several."""
        fitting = [i for i, other in enumerate(kinds) if other == kind]
        return fitting[-1 - int(self.rng.integers(min(3, len(fitting))))]

    def run(self, carries, arrays, values, **how):
        def f(carry, x):
            pool = [*carry, *x, *values]
            for function, at in self.steps:
                pool.append(function(*(pool[i] for i in at)))
            return [pool[i] for i in self.next], [pool[i] for i in self.given] or None

        how |= {"reverse": self.reverse, "length": self.length}
        return ops.scan(f, list(carries), list(arrays), **how)

    def results(self, given, unroll):
        """What the loop gives, a scalar of it, gradients of that and gradients of their squares."""
        split = np.cumsum([len(self.first), len(self.arrays)])
        places = [i for i, a in enumerate(given) if a.dtype == np.float32]

        def outputs(*floats):
            whole = list(given)
            for i, value in zip(places, floats, strict=True):
                whole[i] = value
            parts = whole[: split[0]], whole[split[0] : split[1]], whole[split[1] :]
            carry, ys = self.run(*parts, **({"unroll": True} if unroll else {}))
            return [*carry, *(ys or [])]

        def loss(*floats):
            found = [x for x in outputs(*floats) if x.dtype == "float32"]
            return sum(
                (ops.sum(ops.sin(x) * ops.cos(x + 0.5)) for x in found), ops.sum(found[0]) * 0.5
            )

        every = tuple(range(len(places)))

        def slopes(*floats):
            grads = fastnn.grad(loss, argnums=every)(*floats)
            return sum(ops.sum(g * g) for g in grads)

        floats = [given[i] for i in places]
        firsts = fastnn.grad(loss, argnums=every)(*floats)
        seconds = fastnn.grad(slopes, argnums=every)(*floats)
        return [np.asarray(x) for x in (*outputs(*floats), *firsts, *seconds)]


def check(seed):
    """What is wrong with the loop of this seed; nothing where all agrees."""
    loop = Loop(seed)
    given = [*loop.first, *loop.arrays, *loop.values]
    wanted = loop.results(given, unroll=True)
    threads, few, all_bits = fastnn.get_num_threads(), rounds.FEW_ROUNDS, []
    try:
        rounds.FEW_ROUNDS = -1  # short loops too
        for n in (1, 2, 3):
            fastnn.set_num_threads(n)
            got = loop.results(given, unroll=False)
            all_bits.append([x.tobytes() for x in got])
    finally:
        rounds.FEW_ROUNDS = few
        fastnn.set_num_threads(threads)
    same = all(bits == all_bits[0] for bits in all_bits)
    faults = [] if same else ["bits depend on the number of threads"]
    for k, (a, b) in enumerate(zip(got, wanted, strict=True)):
        scale = np.abs(b).max(initial=0.0) + 1.0
        alike = a.shape == b.shape and a.dtype == b.dtype
        if not alike or not np.allclose(a, b, rtol=2e-3, atol=2e-4 * scale):
            faults.append(f"result {k}: {a.ravel()[:4]}, wanted {b.ravel()[:4]}")
    return faults


if __name__ == "__main__":
    first, count = (int(a) for a in sys.argv[1:3])
    bad = {seed: faults for seed in range(first, first + count) if (faults := check(seed))}
    print(f"{count} loops, {len(bad)} disagree")
    for seed, faults in bad.items():
        print(seed, faults)
