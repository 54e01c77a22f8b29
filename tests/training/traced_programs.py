"""Training steps drawn at random: statements over a pool of vectors, and changes between calls.

A program is plain data, so it can be run again and again: traced, run eagerly by `compile`, and as
plain calls. Every vector has `WIDTH` elements and is kept within -1 and 1.
"""

import numpy as np

import fastnn
from fastnn import layers, ops

WIDTH = 3

#: Statements by name: functions of (model, pool, x, numbers) that give a new vector.
STATEMENTS = {}
#: What is done to a model between two calls: functions of (model, generator).
CHANGES = {}


def statement(f):
    STATEMENTS[f.__name__] = f
    return f


def change(f):
    CHANGES[f.__name__] = f
    return f


def pick(items, number):
    return items[number % len(items)]


def bounded(x):
    return ops.tanh(ops.where(ops.isfinite(x), x, 0.0))


# ---- what a step says ----------------------------------------------------------------------------


@statement
def read(model, pool, x, n):
    return pick(model.vectors, n[0]).value + 0.0


@statement
def read_as_operand(model, pool, x, n):
    return pick(pool, n[1]) * pick(model.vectors, n[0])


@statement
def view(model, pool, x, n):
    value = pick(model.vectors, n[0]).value
    return pick(
        [
            lambda: ops.reshape(ops.expand_dims(value, 0), (-1,)),
            lambda: ops.concatenate([value[1:], value[:1]]),
            lambda: ops.squeeze(ops.transpose(ops.reshape(value, (1, WIDTH))), 1),
            lambda: ops.broadcast_to(value[0], (WIDTH,)),
            lambda: ops.flip(value),
            lambda: ops.cast(ops.cast(value * 10.0, "int32"), "float32") * 0.1,
            lambda: ops.stop_gradient(value),
            lambda: ops.stack(list(value)),
        ],
        n[1],
    )()


@statement
def arithmetic(model, pool, x, n):
    a, b = pick(pool, n[0]), pick(pool, n[1])
    return pick([a + b, a * b, a - 0.5 * b, ops.maximum(a, b), a / (1.0 + b * b)], n[2])


@statement
def rows(model, pool, x, n):
    return ops.mean(x * pick(pool, n[0]), axis=0)


@statement
def dense(model, pool, x, n):
    return ops.mean(model.dense(x * pick(pool, n[0])), axis=0)


@statement
def assign(model, pool, x, n):
    new = pick(model.vectors, n[0]).assign(bounded(pick(pool, n[1])))
    return pick(model.vectors, n[2]) + (new if n[3] % 2 else 0.0)


@statement
def assign_add(model, pool, x, n):
    before = pick(model.vectors, n[0]).value
    pick(model.vectors, n[0]).assign_add(0.1 * bounded(pick(pool, n[1])))
    return before - pick(model.vectors, n[0])


@statement
def assign_another(model, pool, x, n):
    pick(model.vectors, n[0]).assign(pick(model.vectors, n[1]))
    return pick(model.vectors, n[0]) * 0.5


@statement
def count(model, pool, x, n):
    model.steps.assign_add(1 + n[0] % 3)
    model.flag.assign(ops.logical_not(model.flag))
    model.small.assign(model.small.value + n[1] % 3)
    number = ops.cast(model.steps % 5, "float32") + ops.cast(ops.sum(model.small), "float32") * 0.01
    return pick(pool, n[2]) * ops.where(model.flag, number, -number) * 0.1


@statement
def normalize(model, pool, x, n):
    training = pick([True, False], n[1])
    return ops.mean(model.norm(x * pick(pool, n[0]), training=training) * x, axis=0)


@statement
def drop(model, pool, x, n):
    return model.dropout(ops.expand_dims(pick(pool, n[0]), 0), training=True)[0]


@statement
def draw(model, pool, x, n):
    return fastnn.random.normal((WIDTH,), seed=pick([model.seeds, 7], n[0]))


@statement
def add_loss(model, pool, x, n):
    model.adding(ops.expand_dims(pick(pool, n[0]), 0))
    total = sum((ops.sum(v) for v in model.adding.losses), 0.0)
    return pick(pool, n[1]) * bounded(total)


@statement
def measure(model, pool, x, n):
    model.mean.update_state(pick(pool, n[0]))
    before = model.mean.result() + 0.0
    model.mean.update_state(ops.sum(pick(pool, n[1])))
    return pick(pool, n[2]) * bounded(model.mean.result() - before)


@statement
def stateless(model, pool, x, n):
    weights = [v.value * 0.5 for v in model.dense.trainable_variables]
    frozen = [v.value for v in model.dense.non_trainable_variables]
    weights = weights[: len(model.dense.trainable_variables)]
    out, _ = model.dense.stateless_call(weights, frozen, x)
    return ops.mean(out, axis=0) * pick(pool, n[0])


@statement
def choose(model, pool, x, n):
    a, b = pick(model.vectors, n[0]), pick(model.vectors, n[1])

    def yes():
        a.assign(bounded(a * 0.5 + pick(pool, n[2])))
        return a + b

    def no():
        b.assign_add(0.05 * bounded(pick(pool, n[3])))
        return fastnn.random.uniform((WIDTH,), seed=model.seeds) * b

    return ops.cond(ops.sum(pick(pool, n[2])) > 0.1, yes, no)


@statement
def loop(model, pool, x, n):
    a, b = pick(model.vectors, n[0]), pick(model.vectors, n[1])

    def body(i, total):
        a.assign(bounded(a * 0.5 + total + b))
        return bounded(total + a * 0.1)

    return ops.fori_loop(0, 2 + n[2] % 7, body, bounded(pick(pool, n[3])))


@statement
def scan(model, pool, x, n):
    a = pick(model.vectors, n[0])

    def body(carry, row):
        a.assign_add(0.01 * bounded(row))
        return bounded(carry + a * row), carry

    last, every = ops.scan(body, bounded(pick(pool, n[1])), ops.concatenate([pick(pool, n[2])] * 2))
    return last + ops.mean(every, axis=0)


@statement
def loop_while(model, pool, x, n):
    a = pick(model.vectors, n[0])
    end = 2.0 + ops.cast(ops.sum(pick(pool, n[1])) > 0.0, "float32") * 2.0

    def body(i, total):
        a.assign(bounded(a + 0.1))
        return i + 1.0, bounded(total + a)

    _, total = ops.while_loop(
        lambda i, _: i < end, body, (ops.convert_to_tensor(0.0), bounded(pick(pool, n[2]))), 7
    )
    return total


@statement
def transformed(model, pool, x, n):
    near = pick(pool, n[1])

    def f(a):
        return ops.sum(a * a * near + pick(model.vectors, n[2]) * a)

    value, slope = fastnn.value_and_grad(f)(pick(pool, n[0]))
    return bounded(slope) * bounded(value)


@statement
def of_variables(model, pool, x, n):
    some = [pick(model.vectors, n[0]), pick(model.vectors, n[0] + 1)]

    def f(variables):
        return ops.sum(variables[0] * variables[1].value * pick(pool, n[1]))

    _, slopes = fastnn.value_and_grad(f)(some)
    return bounded(slopes[0]) - bounded(slopes[1])


@statement
def compiled(model, pool, x, n):
    a = pick(model.vectors, n[0])

    @fastnn.jit
    def f(y):
        a.assign(bounded(a + y * 0.1))
        return a * y

    return f(pick(pool, n[1])) + f(pick(pool, n[2]))


@statement
def captured(model, pool, x, n):
    """What was read before, by the step or by the program around it."""
    kept, near = pick(model.kept, n[0]), pick(pool, n[1])
    pick(model.vectors, n[3]).assign_add(0.05 * bounded(near))
    inner = fastnn.jit(lambda y: y * kept + near)
    pick(model.vectors, n[4]).assign_add(0.05 * kept)
    return inner(pick(pool, n[2])) + kept


# ---- tapes: statements within and around them ----------------------------------------------------


def taped(model, pool, x, n, inner):
    """Gradients of what `inner` statements compute, by variables and by vectors."""
    before = pick(pool, n[0]) * pick(model.vectors, n[1])
    seen = [*pool, before]
    with fastnn.GradientTape(n[2] % 2 == 0, watch_accessed_variables=n[3] % 4 != 0) as tape:
        if n[4] % 2:
            tape.watch(seen[n[5] % len(seen)])
        if n[4] % 3 == 0:
            tape.watch(pick(model.vectors, n[6]))
        for at, (name, numbers) in enumerate(inner):
            if n[7] % 4 == 0 and at == len(inner) // 2:
                with tape.stop_recording():
                    run_one(model, seen, x, name, numbers)
            else:
                run_one(model, seen, x, name, numbers)
        target = ops.sum(seen[-1] * seen[-1]) + ops.sum(pick(seen, n[8]) * pick(seen, n[9]))
    after = ops.sum(seen[-1])
    some = [*model.vectors, seen[n[5] % len(seen)], pick(seen, n[10])]
    found = tape.gradient(target if n[11] % 8 else after, some, unconnected_gradients="zero")
    total = sum((bounded(g) for g in found), ops.zeros((WIDTH,)))
    if n[2] % 2 == 0 and n[11] % 8:
        total = total + bounded(
            tape.gradient(target, pick(model.vectors, n[12]), unconnected_gradients="zero")
        )
    pairs = [(bounded(g), v) for g, v in zip(found, model.vectors[:2], strict=False)]
    pick(model.optimizers, n[13]).apply(*map(list, zip(*pairs, strict=True)))
    pool.append(bounded(seen[-1]))
    return total


def twice(model, pool, x, n, inner):
    """Second derivatives: a tape around a tape."""
    seen, a = list(pool), pick([v for v in model.vectors if v.trainable], n[0])
    with fastnn.GradientTape() as outer:
        with fastnn.GradientTape() as tape:
            for name, numbers in inner:
                run_one(model, seen, x, name, numbers)
            target = ops.sum((seen[-1] + a) ** 3)
        first = tape.gradient(target, a)
        again = ops.sum(ops.square(first))
    second = outer.gradient(again, a)
    return bounded(first) + bounded(second)


def run_one(model, pool, x, name, numbers):
    pool.append(bounded(STATEMENTS[name](model, pool, x, numbers)))


# ---- between calls -------------------------------------------------------------------------------


@change
def nothing(model, rng):
    pass


@change
def set_a_vector(model, rng):
    model.vectors[rng.integers(3)].assign(rng.uniform(-1, 1, WIDTH).astype("f"))


@change
def keep_values(model, rng):
    model.kept = [model.vectors[0].value, model.vectors[rng.integers(3)].value * 0.5]
    set_a_vector(model, rng)


@change
def set_weights(model, rng):
    model.dense.set_weights([rng.normal(size=v.shape) for v in model.dense.weights])


@change
def freeze(model, rng):
    layer = [model.norm, model.dense][rng.integers(2)]
    layer.trainable = not layer.trainable


@change
def rate(model, rng):
    which = model.optimizers[rng.integers(len(model.optimizers))]
    which.learning_rate = float(rng.uniform(0.01, 0.2))


@change
def setting(model, rng):
    model.optimizers[1].beta_1 = float(rng.uniform(0.1, 0.9))
    model.dropout.rate = float(rng.uniform(0.1, 0.9))


@change
def activation(model, rng):
    chosen = ("relu", "tanh", "linear")[rng.integers(3)]
    model.dense.activation = fastnn.activations.get(chosen)


@change
def reset(model, rng):
    model.mean.reset_state()
    model.steps.assign(0)


# ---- programs ------------------------------------------------------------------------------------


class Adding(layers.Layer):
    """Adds a loss of its weight and of how often it was called."""

    def __init__(self):
        super().__init__()
        self.times = self.add_weight((), "zeros", trainable=False, name="times")
        self.factor = self.add_weight((WIDTH,), "ones", name="factor")

    def call(self, inputs):
        self.times.assign_add(1.0)
        self.add_loss(ops.sum(inputs * self.factor.value) * 0.1 + self.times.value * 0.01)
        return inputs


class Program(fastnn.Model):
    """A model whose training step is a program that was drawn."""

    def __init__(self, lines):
        super().__init__()
        self.lines = lines
        self.vectors = [
            self.add_weight((WIDTH,), fastnn.initializers.RandomUniform(seed=i + 1), name=f"v{i}")
            for i in range(2)
        ]
        self.vectors.append(self.add_weight((WIDTH,), "ones", trainable=False, name="v2"))
        # Values that the variables had: they stay as the variables change.
        self.kept = [self.vectors[0].value, self.vectors[1].value * 0.5, self.vectors[2].value]
        self.steps = self.add_weight((), "zeros", dtype="int32", trainable=False, name="steps")
        self.flag = self.add_weight((), "zeros", dtype="bool", trainable=False, name="flag")
        self.small = self.add_weight((2,), "zeros", dtype="int8", trainable=False, name="small")
        self.dense = layers.Dense(WIDTH)
        self.dense.build((None, WIDTH))
        self.norm = layers.BatchNormalization(momentum=0.7)
        self.norm.build((None, WIDTH))
        self.dropout = layers.Dropout(0.4, seed=3)
        self.adding = Adding()
        self.seeds = fastnn.random.SeedGenerator(5)
        self.mean = fastnn.metrics.Mean(name="mean")
        self.optimizers = [fastnn.optimizers.SGD(0.1), fastnn.optimizers.Adam(0.05)]
        for rule in self.optimizers:
            rule.build(self.vectors[:2])

    def call(self, inputs):
        return inputs

    def train_step(self, data):
        x, _ = data
        pool = [ops.mean(x, axis=0), self.vectors[0].value]
        for name, numbers, inner in self.lines:
            if inner is None:
                run_one(self, pool, x, name, numbers)
            else:
                pool.append(bounded((taped, twice)[name](self, pool, x, numbers, inner)))
        return {f"out{at}": ops.sum(value) for at, value in enumerate(pool[-6:])}

    def state(self):
        """Every variable, by a name that says which."""
        found = [(f"{at} {v.name}", v) for at, v in enumerate(self.variables)]
        found += [(f"mean {v.name}", v) for v in self.mean.variables]
        for at, rule in enumerate(self.optimizers):
            found += [(f"rule {at} {i}", v) for i, v in enumerate(rule.variables)]
        return {name: np.asarray(v.numpy(), np.float64) for name, v in found}


def drawn(seed):
    """The lines of a program, and what happens before each call."""
    rng = np.random.default_rng(seed)
    names = sorted(STATEMENTS)

    def numbers():
        return [int(n) for n in rng.integers(0, 1 << 20, 16)]

    def line():
        return names[rng.integers(len(names))], numbers()

    lines = []
    for _ in range(rng.integers(2, 7)):
        if rng.random() < 0.5:
            lines.append((*line(), None))
        else:
            inner = [line() for _ in range(rng.integers(1, 4))]
            lines.append((int(rng.random() < 0.3), numbers(), inner))
    changes = [sorted(CHANGES)[rng.integers(len(CHANGES))] for _ in range(4)]
    return lines, changes, [int(n) for n in rng.integers(2, 6, 4)]


def results(seed, how):
    """Logs and state after each call: `how` is "traced", "eager" (`run_eagerly`) or "plain"."""
    lines, changes, sizes = drawn(seed)
    fastnn.utils.set_random_seed(seed)
    model = Program(lines)
    model.compile(run_eagerly=how == "eager")
    rng = np.random.default_rng(seed + 1)
    found = []
    for name, size in zip(changes, sizes, strict=True):
        CHANGES[name](model, rng)
        x = rng.normal(size=(size, WIDTH)).astype("f")
        if how == "plain":
            for m in model.metrics:
                m.reset_state()
            logs = model.train_step((fastnn.tensor(x), None))
            logs = {k: float(v) for k, v in logs.items()}
        else:
            logs = model.train_on_batch(x, x, return_dict=True)
        found.append({**logs, **model.state()})
    return found
