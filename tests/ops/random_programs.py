"""Random programs with state over open sizes, called again and again; a program of its own too.

`python tests/ops/random_programs.py FIRST COUNT` checks the programs of COUNT seeds from FIRST on
and prints what disagrees. A program is drawn as steps between values of a few kinds, each step one
function that NumPy in float64 computes as well. It has inputs, variables of floats, integers and
truth values, storage types, loops that capture values, windows at places known at run time only,
outputs that are inputs, and at times a thousand steps.

`check` traces it as a function that updates the variables and one that only reads them, and calls
both in turns with rows from none to many, while variables are assigned, and from another thread.
Each call is compared from the state that it began with, so one fault is not the next call's.
"""

import sys
import threading

import numpy as np

import fastnn
from fastnn import _core, ops
from fastnn.ops import rounds

K = 5
ROWS = (0, 1, 2, 3, 7, 64, 300)
#: Shape and type by kind; "n" is the open size.
KINDS = {
    "rows": (("n", K), "float32"), "line": (("n",), "float32"), "k": ((K,), "float32"),
    "square": ((K, K), "float32"), "number": ((), "float32"), "ints": (("n",), "int32"),
    "few": ((K,), "int32"), "place": ((), "int32"), "masks": (("n", K), "bool"),
    "mask": (("n",), "bool"), "flags": ((K,), "bool"), "halves": ((K, K), "bfloat16"),
    "bytes": (("n", K), "int8"),
}  # fmt: skip
STATES = ("k", "square", "number", "few", "place", "flags")
FLOATS = ("rows", "line", "k", "square", "number")


class Real:
    """What `fastnn.ops` has and NumPy has not under that name, in float64."""

    def __init__(self, real):
        self.real = real

    def __getattr__(self, name):
        return getattr(np, name)

    def constant(self, x):
        return wide(x, self.real)

    def cast(self, x, dtype):
        return x.astype({"int32": np.int64, "bool": np.bool_}.get(dtype, self.real))

    def softmax(self, x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def one_hot(self, x, count):
        return np.eye(count, dtype=self.real)[x]

    def read(self, x, at, size):
        at = np.clip(at + len(x) if at < 0 else at, 0, len(x) - size)
        return x[at : at + size]

    def write(self, x, part, at):
        at = np.clip(at + len(x) if at < 0 else at, 0, len(x) - len(part))
        return np.concatenate([x[:at], part, x[at + len(part) :]])

    def scan(self, f, carry, xs, reverse):
        out = np.zeros_like(xs)
        for i in range(len(xs))[:: -1 if reverse else 1]:
            carry, out[i] = f(carry, xs[i])
        return carry, out


class Traced:
    """The same names of `fastnn.ops`."""

    def __getattr__(self, name):
        return getattr(ops, name)

    def constant(self, x):
        return _core.tensor(x)

    def read(self, x, at, size):
        return _core.ops.dynamic_slice(x, ops.reshape(at, (1,)), axes=0, sizes=size)

    def write(self, x, part, at):
        return _core.ops.update_slice(x, part, ops.reshape(at, (1,)), axes=0)

    def scan(self, f, carry, xs, reverse):
        return ops.scan(f, carry, xs, reverse=reverse)


def column(m, x):
    """A line as one column of rows."""
    return m.expand_dims(x, -1)


def normal(m, x):
    """Rows of mean 0."""
    spread = m.sqrt(m.var(x, axis=-1, keepdims=True) + 0.1)
    return (x - m.mean(x, axis=-1, keepdims=True)) / spread


#: Functions of a module of names and of values, the kinds these have, and the kind of the result.
#: "f" stands for one kind of floats.
STEPS = [
    *[(f, ("f",), "f") for f in (
        lambda m, a: m.tanh(a), lambda m, a: m.sin(a), lambda m, a: m.maximum(a, 0.0),
        lambda m, a: m.abs(a), lambda m, a: 1 / (1 + a * a), lambda m, a: m.exp(-a * a),
        lambda m, a: -a, lambda m, a: a * 0.5 + 0.25, lambda m, a: m.sin(a) * a,
    )],
    *[(f, ("f", "f"), "f") for f in (
        lambda m, a, b: (a + b) * 0.5, lambda m, a, b: (a - b) * 0.5, lambda m, a, b: a * m.sin(b),
        lambda m, a, b: m.maximum(a, b), lambda m, a, b: m.minimum(a, b),
        lambda m, a, b: 0.5 * a / (1.5 + m.sin(b)),
    )],
    (lambda m, a, b, c: a * m.sin(b) * 0.5 + c * 0.5, ("f", "f", "f"), "f"),
    (lambda m, a, b: (a + b) * 0.5, ("rows", "k"), "rows"),
    (lambda m, a, b: a * m.sin(b), ("rows", "number"), "rows"),
    (lambda m, a, b: a * m.sin(column(m, b)), ("rows", "line"), "rows"),
    (lambda m, a, b: column(m, a) * m.sin(b), ("line", "k"), "rows"),
    (lambda m, a, b: a * m.sin(b), ("square", "k"), "square"),
    (lambda m, a, b: (a + b) * 0.5, ("square", "number"), "square"),
    (lambda m, a, b: (a - b) * 0.5, ("k", "number"), "k"),
    (lambda m, a, b: (a - b) * 0.5, ("line", "number"), "line"),
    (lambda m, a: m.tanh(m.sum(a, axis=0) * 0.1), ("rows",), "k"),
    (lambda m, a: m.max(a, axis=-1), ("rows",), "line"),
    (lambda m, a: m.mean(a, axis=-1), ("rows",), "line"),
    (lambda m, a: m.cumsum(a, axis=-1) * 0.3, ("rows",), "rows"),
    (lambda m, a: m.tanh(m.cumsum(a, axis=0) * 0.1), ("line",), "line"),
    (lambda m, a: m.tanh(m.sum(a) * 0.1), ("line",), "number"),
    (lambda m, a: m.mean(a, axis=0), ("square",), "k"),
    (lambda m, a: m.sum(a) * 0.2, ("k",), "number"),
    (lambda m, a: m.min(a), ("square",), "number"),
    (lambda m, a, b: m.matmul(a, b) * 0.3, ("rows", "square"), "rows"),
    (lambda m, a, b, c: m.maximum(m.matmul(a, b) * 0.3 + c, 0.0), ("rows", "square", "k"), "rows"),
    (lambda m, a, b: m.matmul(a, b) * 0.3, ("square", "square"), "square"),
    (lambda m, a, b: m.matmul(a, b) * 0.3, ("rows", "k"), "line"),
    (lambda m, a, b: m.matmul(a, b) * 0.3, ("square", "k"), "k"),
    (lambda m, a, b: m.tanh(m.matmul(m.transpose(a), b) * 0.1), ("rows", "rows"), "square"),
    (lambda m, a: m.transpose(a), ("square",), "square"),
    (lambda m, a: m.softmax(a), ("rows",), "rows"),
    (lambda m, a: normal(m, a), ("rows",), "rows"),
    (lambda m, a: m.concatenate(m.split(a, [2], axis=-1)[::-1], axis=-1), ("rows",), "rows"),
    (lambda m, a: m.sort(a, axis=-1), ("rows",), "rows"),
    (lambda m, a: m.flip(a, axis=0), ("rows",), "rows"),
    (lambda m, a: m.roll(a, 2, axis=-1), ("rows",), "rows"),
    (lambda m, a, b: m.concatenate([a, b], axis=-1)[:, 3 : 3 + K], ("rows", "rows"), "rows"),
    (lambda m, a, b: m.concatenate([a, b])[2 : 2 + K], ("k", "k"), "k"),
    (lambda m, a: m.reshape(m.sin(m.reshape(a, (-1,))), (-1, K)), ("rows",), "rows"),
    # Chosen by integers and truth values.
    (lambda m, c, a, b: m.where(c, a, b), ("masks", "rows", "rows"), "rows"),
    (lambda m, c, a, b: m.where(column(m, c), a, b), ("mask", "rows", "rows"), "rows"),
    (lambda m, c, a, b: m.where(c, a, b), ("mask", "line", "line"), "line"),
    (lambda m, c, a, b: m.where(c, a, b), ("flags", "square", "square"), "square"),
    (lambda m, c, a, b: m.where(c, a, b), ("mask", "ints", "ints"), "ints"),
    (lambda m, a, i: m.take(a, m.mod(i, K), axis=0), ("k", "ints"), "line"),
    (lambda m, a, i: m.take(a, m.mod(i, K), axis=0), ("square", "ints"), "rows"),
    (lambda m, a, i: m.take(a, m.mod(i, K), axis=0), ("square", "few"), "square"),
    (lambda m, i: m.one_hot(m.mod(i, K), K), ("ints",), "rows"),
    (lambda m, i: m.cast(i, "float32") * 0.02, ("ints",), "line"),
    (lambda m, i: m.cast(m.cast(i, "bfloat16"), "float32") * 0.02, ("few",), "k"),
    (lambda m, i: m.cast(i, "float32") * 0.02, ("place",), "number"),
    (lambda m, c: m.cast(c, "float32"), ("masks",), "rows"),
    (lambda m, c: m.cast(c, "float32"), ("flags",), "k"),
    (lambda m, a: m.cast(a, "float32") * 0.01, ("bytes",), "rows"),
    (lambda m, a: m.cast(a, "float32"), ("halves",), "square"),
    (lambda m, a, b: m.matmul(a, m.cast(b, "float32")) * 0.3, ("rows", "halves"), "rows"),
    # Windows.
    (lambda m, x, i: m.write(x, m.sin(m.read(x, i, 2)), i), ("k", "place"), "k"),
    (lambda m, x, i, j: m.write(x, m.read(x, i, 2), j), ("square", "place", "place"), "square"),
    (lambda m, x, y, i: m.write(x, m.read(y, i, 3), i), ("few", "few", "place"), "few"),
    (lambda m, x, y, i: m.write(x, m.reshape(y, (1, K)), i), ("square", "k", "place"), "square"),
    (lambda m, x, y, i: m.write(x, m.reshape(y, (1,)), i), ("k", "number", "place"), "k"),
    (lambda m, x, i: m.reshape(m.read(x, i, 1), (K,)), ("square", "place"), "k"),
    # Integers and truth values.
    *[(lambda m, a: m.mod(a * 3 + 1, 97), (kind,), kind) for kind in ("ints", "few", "place")],
    *[(lambda m, a, b: m.mod(a * b - a, 97), (kind,) * 2, kind) for kind in ("ints", "few")],
    *[(lambda m, a, b: m.maximum(a, b), (kind,) * 2, kind) for kind in ("ints", "few", "place")],
    (lambda m, a: m.mod(m.sum(a), 13) - 4, ("ints",), "place"),
    (lambda m, a: m.sum(a) // 7, ("few",), "place"),
    (lambda m, a, i: m.take(a, m.mod(i, K), axis=0), ("few", "ints"), "ints"),
    (lambda m, a, b: column(m, a) > b, ("ints", "few"), "masks"),
    (lambda m, a, b: a > b, ("ints", "place"), "mask"),
    (lambda m, a, b: a >= b, ("few", "place"), "flags"),
    *[(lambda m, a: m.logical_not(a), (kind,), kind) for kind in ("masks", "mask", "flags")],
    *[(lambda m, a, b: m.logical_xor(a, b), (kind,) * 2, kind) for kind in ("masks", "flags")],
    (lambda m, a, b: m.logical_and(a, b), ("masks", "flags"), "masks"),
    (lambda m, a: m.any(a, axis=-1), ("masks",), "mask"),
    (lambda m, a: m.all(a, axis=0), ("masks",), "flags"),
]  # fmt: skip
#: Steps of a round, whose carry and slice are of kind "k".
INNER = [s for s in STEPS if {*s[1], s[2]} <= {"f", "k", "square", "number", "place"}]


class Program:
    """Kinds of leaves, steps, what is given, and what the variables become."""

    def __init__(self, seed):
        self.rng = rng = np.random.default_rng(seed)
        self.inputs = ["rows", "ints", *self.some([*KINDS], 0, 5)]
        self.states = self.some(STATES, 0, 6)
        leaves = [*self.inputs, *self.states]
        leaves += [kind for kind in KINDS if kind not in leaves]
        self.inputs += leaves[len(self.inputs) + len(self.states) :]
        fixed = self.some(STATES, 0, 4)
        self.constants = [self.array(kind, 0) for kind in fixed]
        self.kinds = [*self.inputs, *self.states, *fixed]
        self.leaves = len(self.inputs) + len(self.states)
        self.long = rng.random() < 0.02
        count = int(rng.integers(1000, 1300) if self.long else rng.integers(4, 45))
        self.steps = self.draw(STEPS, self.kinds, count, loops=True)
        last = [i for i in range(len(self.kinds)) if i >= len(self.kinds) - 6]
        self.given = [
            *last,
            *(int(i) for i in rng.integers(0, len(self.kinds), rng.integers(0, 7))),
        ]
        self.next = {}
        for at, kind in enumerate(self.states, len(self.inputs)):
            if rng.random() < 0.8:
                self.next[at] = self.place(self.kinds, kind, 12)

    def some(self, kinds, low, high):
        return [str(kind) for kind in self.rng.choice(kinds, int(self.rng.integers(low, high)))]

    def place(self, kinds, kind, near=8):
        """A value of this kind, of those that came last more often."""
        found = [i for i, other in enumerate(kinds) if other == kind]
        if self.rng.random() < 0.7:
            found = found[-near:]
        return int(self.rng.choice(found))

    def draw(self, table, kinds, count, loops=False):
        """`count` steps that read values of `kinds`, to which their results are added."""
        steps = []
        while len(steps) < count:
            if loops and self.rng.random() < 0.04:
                steps += self.loop(kinds)
                continue
            f, wanted, result = table[self.rng.integers(len(table))]
            some = str(self.rng.choice(FLOATS if loops else ("k", "square", "number")))
            real = [some if kind == "f" else kind for kind in wanted]
            steps.append((f, [self.place(kinds, kind) for kind in real]))
            kinds.append(some if result == "f" else result)
        return steps

    def loop(self, kinds):
        """A loop over rows that captures other values: its last carry, and its rows."""
        inner = ["k", "k", "square", "number", "place"]
        at = [self.place(kinds, kind) for kind in ("k", "rows", "square", "number", "place")]
        body = self.draw(INNER, inner, int(self.rng.integers(1, 8)))
        ends = [self.place(inner, "k", 3) for _ in range(2)]
        reverse = bool(self.rng.random() < 0.4)

        def run(m, carry, xs, *shared):
            def turn(c, x):
                pool = [c, x, *shared]
                for f, where in body:
                    pool.append(f(m, *(pool[i] for i in where)))
                return tuple(pool[i] for i in ends)

            return m.scan(turn, carry, xs, reverse)

        kinds += ["pair", "k", "rows"]
        pair = len(kinds) - 3
        return [
            (run, at),
            (lambda m, a: a[0], [pair]),
            (lambda m, a: a[1], [pair]),
        ]

    def values(self, m, leaves):
        pool = [*leaves, *(m.constant(a) for a in self.constants)]
        for f, at in self.steps:
            pool.append(f(m, *(pool[i] for i in at)))
        return pool

    def results(self, m, leaves):
        """What is given, and the new values of variables by their place."""
        pool = self.values(m, leaves)
        given = [pool[i] for i in self.given if self.kinds[i] != "pair"]
        return given, {at: pool[new] for at, new in self.next.items()}

    def array(self, kind, n):
        shape, dtype = KINDS[kind]
        shape = tuple(n if d == "n" else d for d in shape)
        if dtype == "bool":
            return self.rng.random(shape) < 0.5
        if dtype.startswith("int"):
            return np.asarray(self.rng.integers(-9, 90, shape), dtype)
        if dtype == "bfloat16":  # numbers that it holds
            return (np.round(self.rng.normal(size=shape) * 16) / 16).astype(np.float32)
        return np.asarray(self.rng.normal(size=shape), np.float32)


def wide(array, real=np.float64):
    """As the oracle computes with it."""
    kind = array.dtype.kind
    return array.astype({"f": real, "i": np.int64, "b": np.bool_}[kind])


def arrays(results):
    return [np.asarray(y.numpy()) for y in (results if isinstance(results, tuple) else (results,))]


def fault(got, wanted, rough):
    """What is wrong with `got`; `rough` is what NumPy computes in float32."""
    if got.shape != wanted.shape or got.dtype.kind != wanted.dtype.kind:
        return f"{got.dtype}{got.shape} instead of {wanted.dtype}{wanted.shape}"
    if got.dtype.kind != "f":
        return (
            None
            if np.array_equal(got, wanted)
            else f"{got.ravel()[:4]}, wanted {wanted.ravel()[:4]}"
        )
    if not got.size:
        return None
    room = 2e-4 * (1 + np.abs(wanted).max()) + 50 * np.abs(rough - wanted).max()
    off = np.abs(got - wanted)
    if (off <= room).all():
        return None
    at = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
    return f"{got.flat[at]!r} at {at}, wanted {wanted.flat[at]!r}"


class Compiled:
    """A program as functions of its inputs: one that updates the variables, and one that reads."""

    def __init__(self, program):
        self.program = p = program
        n = _core.placeholder(("n",)).shape[0]
        sizes = lambda kind: tuple(n if d == "n" else d for d in KINDS[kind][0])  # noqa: E731
        self.variables = [_core.Variable(p.array(kind, 0)) for kind in p.states]
        self.feeds = [_core.placeholder(sizes(kind), KINDS[kind][1]) for kind in p.inputs]
        leaves = [*self.feeds, *(v.traced() for v in self.variables)]
        given, new = p.results(Traced(), leaves)
        updates = [(self.variables[at - len(p.inputs)], y) for at, y in new.items()]
        self.step = _core.Function(self.feeds, given, updates)
        self.read = _core.Function(self.feeds, given)
        self.slopes = self.by = None
        floats = [y for y in given if y.dtype == "float32"]
        by = [i for i, kind in enumerate(p.kinds[: p.leaves]) if KINDS[kind][1] == "float32"]
        if floats and not p.long:
            total = sum((ops.sum(ops.sin(y)) for y in floats[1:]), ops.sum(ops.sin(floats[0])))
            self.by = by
            self.slopes = _core.Function(
                self.feeds, _core.gradients(total, [leaves[i] for i in by])
            )

    def tensors(self, given):
        """Arguments of a call."""
        kinds = self.program.inputs
        return [
            ops.cast(a, "bfloat16") if kind == "halves" else a
            for kind, a in zip(kinds, given, strict=True)
        ]

    def state(self):
        return [np.array(v.numpy()) for v in self.variables]


def oracle(program, leaves, real=np.float64):
    with np.errstate(all="ignore"):
        return program.results(Real(real), [wide(a, real) for a in leaves])


def compare(program, what, got, leaves, states=None):
    """Faults of results against the oracle's for these inputs and variables."""
    (wanted, new), (rough, rough_new) = (
        oracle(program, leaves, r) for r in (np.float64, np.float32)
    )
    places = [i for i in program.given if program.kinds[i] != "pair"]
    faults = [
        f"{what}: output {k} (value {places[k]}): {f}"
        for k, (y, x, r) in enumerate(zip(got, wanted, rough, strict=True))
        if (f := fault(y, x, r))
    ]
    if states is not None:
        for at, old in enumerate(leaves[len(program.inputs) :]):
            place = at + len(program.inputs)
            x, r = new.get(place, wide(old)), rough_new.get(place, wide(old))
            if f := fault(states[at], x, r):
                faults.append(f"{what}: new state {at}: {f}")
    return faults


def slope_faults(traced, given, state, n):
    """Gradients along a direction against central differences in float64."""
    p = traced.program
    leaves = [wide(a) for a in (*given, *state)]
    along = {i: p.rng.normal(size=leaves[i].shape) for i in traced.by}

    def loss(h):
        moved = [a + h * along[i] if i in along else a for i, a in enumerate(leaves)]
        floats = [y for y in oracle(p, moved)[0] if y.dtype.kind == "f"]
        return sum(np.sin(y).sum() for y in floats)

    got = arrays(traced.slopes(*traced.tensors(given)))
    parts = [wide(y) * along[i] for y, i in zip(got, traced.by, strict=True)]
    ours, weight = (sum(f(x).sum() for x in parts) for f in (np.asarray, np.abs))
    h, centre = 1e-5, loss(0.0)
    up, down = (loss(h) - centre) / h, (centre - loss(-h)) / h
    finer = (loss(h / 8) - loss(-h / 8)) / (h / 4)
    wanted, room = (up + down) / 2, 1e-3 * (1 + abs(weight))
    if abs(up - down) > room or abs(wanted - finer) > room:
        return []  # near a kink
    if not abs(ours - wanted) <= 1e-2 * abs(wanted) + 5 * room:
        return [f"slope of {n} rows: {ours!r}, differences say {wanted!r}"]
    return []


def beside_faults(traced):
    """Calls that read from another thread while this one updates: each is of one moment."""
    p, found, states = traced.program, [], [traced.state()]
    given = [p.array(kind, 7) for kind in p.inputs]
    tensors, over = traced.tensors(given), threading.Event()

    def read():
        while not over.is_set() and len(found) < 30:
            found.append(arrays(traced.read(*tensors)))

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(6):
        traced.step(*tensors)
        states.append(traced.state())
    over.set()
    thread.join()
    faults = []
    for got in found:
        every = [compare(p, "beside training", got, [*given, *state]) for state in states]
        if all(every):
            faults.append(f"of no moment: {every[0][0]}")
    return faults[:2]


def check(seed):
    """What is wrong with the program of this seed; nothing where all agrees."""
    program = Program(seed)
    rng, few = program.rng, rounds.FEW_ROUNDS
    if rng.random() < 0.7:
        rounds.FEW_ROUNDS = -1  # short loops stay loops
    try:
        traced = Compiled(program)
    finally:
        rounds.FEW_ROUNDS = few
    faults = []
    for turn in range(3 if program.long else 7):
        n = int(rng.choice(ROWS)) if rng.random() < 0.97 else 20_000
        given = [program.array(kind, n) for kind in program.inputs]
        kept = [np.array(a) for a in given]
        tensors = traced.tensors(given)
        for v, kind in zip(traced.variables, program.states, strict=True):
            if rng.random() < 0.3:
                v.assign(program.array(kind, 0))
        state = traced.state()
        leaves = [*given, *state]
        what = f"turn {turn}, {n} rows"
        if rng.random() < 0.5:
            got = arrays(traced.read(*tensors))
            faults += compare(program, f"{what}, read", got, leaves)
        if traced.slopes and n < 100 and rng.random() < 0.3:
            faults += slope_faults(traced, given, state, n)
        if not all(map(np.array_equal, traced.state(), state)):
            faults.append(f"{what}: reading wrote a variable")
        got = arrays(traced.step(*tensors))
        if not all(map(np.array_equal, given, kept)):
            faults.append(f"{what}: an input was written")
        faults += compare(program, f"{what}, step", got, leaves, traced.state())
    if program.next and not program.long and rng.random() < 0.3:
        faults += beside_faults(traced)
    return faults


if __name__ == "__main__":
    first, count = (int(a) for a in sys.argv[1:3])
    bad = {}
    for seed in range(first, first + count):
        try:
            found = check(seed)
        except fastnn.errors.FastnnError as error:
            found = [f"{type(error).__name__}: {error}"]
        if found:
            bad[seed] = found
            print(seed, *found[:3], sep="\n   ", flush=True)
    print(f"{count} programs, {len(bad)} disagree")
