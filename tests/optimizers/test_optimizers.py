"""Optimisers: golden numbers, 20 steps against the formulas in float64, shared settings."""

import numpy as np
import pytest

import fastnn
from fastnn import optimizers


def steps(optimizer, count, w=1.0, grad=lambda w: 2.0):
    v = fastnn.Variable(np.float32(w), dtype="float32", name="w")
    seen = []
    for _ in range(count):
        optimizer.apply([np.float32(grad(float(v.numpy())))], [v])
        seen.append(float(v.numpy()))
    return seen


@pytest.mark.parametrize(
    ("optimizer", "count", "expected"),
    [
        (lambda: optimizers.Adam(0.1), 1, 0.9000008),
        (lambda: optimizers.RMSprop(0.1), 1, 0.68377227),
        (lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True), 2, 0.07800001),
        (lambda: optimizers.AdamW(0.1), 1, 0.8996008),
    ],
)
def test_golden_steps(optimizer, count, expected):
    assert steps(optimizer(), count)[-1] == pytest.approx(expected, abs=3e-7)


def adagrad(g, w, s, lr, t):
    a = s.setdefault("a", 0.1) + g * g
    s["a"] = a
    return w - lr * g / np.sqrt(a + 1e-7)


def adadelta(g, w, s, lr, t):
    a = 0.95 * s.setdefault("a", 0.0) + 0.05 * g * g
    d = -np.sqrt(s.setdefault("d", 0.0) + 1e-7) * g / np.sqrt(a + 1e-7)
    s["a"], s["d"] = a, 0.95 * s["d"] + 0.05 * d * d
    return w + lr * d


def adamax(g, w, s, lr, t):
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["u"] = max(0.999 * s.get("u", 0.0), abs(g))
    return w - lr * s["m"] / ((1 - 0.9**t) * (s["u"] + 1e-7))


def nadam(g, w, s, lr, t):
    u, u1 = 0.9 * (1 - 0.5 * 0.96**t), 0.9 * (1 - 0.5 * 0.96 ** (t + 1))
    s["p"] = s.get("p", 1.0) * u
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g * g
    m = u1 * s["m"] / (1 - s["p"] * u1) + (1 - u) * g / (1 - s["p"])
    return w - lr * m / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7)


def lion(g, w, s, lr, t):
    m = s.get("m", 0.0)
    s["m"] = 0.99 * m + 0.01 * g
    return w - lr * np.sign(0.9 * m + 0.1 * g)


def adam(g, w, s, lr, t):
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g * g
    alpha = lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return w - alpha * s["m"] / (np.sqrt(s["v"]) + 1e-7)


def rmsprop(g, w, s, lr, t):
    s["v"] = 0.9 * s.get("v", 0.0) + 0.1 * g * g
    return w - lr * g / np.sqrt(s["v"] + 1e-7)


@pytest.mark.parametrize(
    ("cls", "formula"),
    [
        (optimizers.Adagrad, adagrad), (optimizers.Adadelta, adadelta),
        (optimizers.Adamax, adamax), (optimizers.Nadam, nadam), (optimizers.Lion, lion),
        (optimizers.Adam, adam), (optimizers.RMSprop, rmsprop),
    ],
)  # fmt: skip
def test_twenty_steps_follow_the_formula(cls, formula):
    def slope(w):
        return 3.0 * w - 1.0

    w, state, expected = 1.0, {}, []
    for t in range(1, 21):
        w = formula(slope(w), w, state, 0.05, t)
        expected.append(w)
    assert steps(cls(0.05), 20, grad=slope) == pytest.approx(expected, rel=2e-5, abs=2e-6)


def test_state_stands_in_kerass_order():
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1, name="d")], name="m")
    adam = optimizers.Adam(name="adam")
    adam.build(model.trainable_variables)
    names = [v.path for v in adam.variables]
    assert names[:2] == ["adam/iteration", "adam/learning_rate"]
    assert [n.rpartition("_")[2] for n in names[2:]] == ["momentum", "velocity"] * 2


def test_only_one_clipping_may_be_set():
    with pytest.raises(ValueError, match="Only one of `clipnorm`, `clipvalue` and"):
        optimizers.Adam(clipnorm=1.0, clipvalue=1.0)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [({"clipvalue": 0.5}, (0.5, 0.5)), ({"clipnorm": 1.0}, (0.6, 0.8)),
     ({"global_clipnorm": 1.0}, (0.6, 0.8))],
)  # fmt: skip
def test_clipping(setting, expected):
    v = fastnn.Variable(np.zeros(2, np.float32), name="v")
    optimizers.SGD(1.0, **setting).apply([np.array([3.0, 4.0], np.float32)], [v])
    assert -v.numpy() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("setting", ["clipvalue", "clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("limit", [0.0, -1.0])
def test_a_limit_that_is_not_above_zero_clips_nothing(setting, limit):
    weight = fastnn.Variable([1.0])
    optimizers.SGD(0.5, **{setting: limit}).apply([np.array([2.0], "float32")], [weight])
    assert weight.numpy().tolist() == [0.0]


def test_gradients_accumulate_over_steps():
    seen = steps(optimizers.SGD(1.0, gradient_accumulation_steps=3), 6)
    assert seen == pytest.approx([1.0, 1.0, -1.0, -1.0, -1.0, -3.0])


def test_schedules_count_batches_also_while_gradients_accumulate():
    schedule = optimizers.schedules.PiecewiseConstantDecay([2], [1.0, 0.1])
    v = fastnn.Variable(np.float32(0.0), name="v")
    sgd = optimizers.SGD(schedule, gradient_accumulation_steps=2)
    rates = []
    for _ in range(4):
        rates.append(float(sgd.learning_rate))
        sgd.apply([np.float32(-1.0)], [v])
    assert rates == pytest.approx([1.0, 1.0, 1.0, 0.1])
    assert float(v.numpy()) == pytest.approx(1.1)  # the second step is the fourth batch's
    assert int(sgd.iterations) == 2


def test_averages_replace_the_weights_at_the_end():
    sgd = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    v = fastnn.Variable(np.float32(0.0), name="v")
    for _ in range(2):
        sgd.apply([np.float32(-1.0)], [v])
    sgd.finalize_variable_values([v])
    assert float(v.numpy()) == pytest.approx(1.5)  # 0.5 * 1 + 0.5 * 2


def test_weight_decay_leaves_excluded_variables_alone():
    a = fastnn.Variable(np.float32(1.0), name="a")
    b = fastnn.Variable(np.float32(1.0), name="b")
    adamw = optimizers.AdamW(0.1, weight_decay=0.5)
    adamw.exclude_from_weight_decay(var_list=[b])
    adamw.apply([np.float32(0.0), np.float32(0.0)], [a, b])
    assert (float(a.numpy()), float(b.numpy())) == pytest.approx((0.95, 1.0))


def test_learning_rate_can_be_read_and_set():
    adam = optimizers.Adam(0.1)
    adam.learning_rate = 0.01
    assert float(adam.learning_rate.numpy()) == pytest.approx(0.01)
    assert optimizers.Adam.from_config(adam.get_config()).get_config() == adam.get_config()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (lambda s: s.ExponentialDecay(0.1, 10, 0.5), {0: 0.1, 10: 0.05, 5: 0.1 * 0.5**0.5}),
        (lambda s: s.ExponentialDecay(0.1, 10, 0.5, staircase=True), {9: 0.1, 10: 0.05}),
        (lambda s: s.InverseTimeDecay(0.1, 10, 1.0), {0: 0.1, 10: 0.05}),
        (lambda s: s.PiecewiseConstantDecay([5, 10], [1.0, 0.5, 0.1]), {5: 1.0, 6: 0.5, 11: 0.1}),
        (lambda s: s.PolynomialDecay(1.0, 10, 0.0), {0: 1.0, 5: 0.5, 10: 0.0, 20: 0.0}),
        (lambda s: s.CosineDecay(1.0, 10), {0: 1.0, 5: 0.5, 10: 0.0}),
        (lambda s: s.CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=4), {2: 0.5, 4: 1.0}),
        (lambda s: s.CosineDecayRestarts(1.0, 10), {0: 1.0, 5: 0.5, 10: 1.0}),
    ],
)
def test_schedules(schedule, expected):
    made = schedule(optimizers.schedules)
    for step, rate in expected.items():
        assert float(np.asarray(made(step))) == pytest.approx(rate, abs=2e-6)
    again = optimizers.schedules.deserialize(optimizers.schedules.serialize(made))
    assert again.get_config() == made.get_config()


def test_schedule_drives_fit():
    model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((1, 1), np.float32)])
    rate = optimizers.schedules.PiecewiseConstantDecay([0], [0.5, 0.0])
    model.compile(optimizers.SGD(rate), "mse")
    model.fit(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32), epochs=3, verbose=0)
    assert model.get_weights()[0] == pytest.approx(np.array([[1.0]]))


@pytest.mark.parametrize("kind", [optimizers.Adam, optimizers.Nadam, optimizers.Adamax])
def test_accumulated_gradients_step_like_their_mean(kind):
    once, thrice = kind(0.1), kind(0.1, gradient_accumulation_steps=3)
    a = fastnn.Variable(np.float32([1.0, 2.0]), name="a")
    b = fastnn.Variable(np.float32([1.0, 2.0]), name="b")
    rng = np.random.default_rng(0)
    for _ in range(4):
        parts = rng.normal(size=(3, 2)).astype(np.float32)
        once.apply([parts.mean(axis=0)], [a])
        for part in parts:
            thrice.apply([part], [b])
    assert np.asarray(a) == pytest.approx(np.asarray(b), abs=1e-6)
    assert int(thrice.iterations) == 4


def test_optimizers_are_pickled_with_their_state():
    import pickle

    optimizer = optimizers.Adam(0.1)
    steps(optimizer, 2)
    back = pickle.loads(pickle.dumps(optimizer))
    assert back.get_config() == optimizer.get_config()
    assert [np.asarray(v).tolist() for v in back.variables] == [
        np.asarray(v).tolist() for v in optimizer.variables
    ]


def test_stateless_apply_leaves_the_stored_state():
    optimizer = optimizers.SGD(0.5)
    v = fastnn.Variable(np.float32(1.0), name="w")
    optimizer.build([v])
    (new,), state = optimizer.stateless_apply(optimizer.variables, [np.float32(2.0)], [v])
    assert (float(new), float(v), int(state[0])) == (0.0, 1.0, 1)


def test_missing_gradients_are_named():
    a, b = (fastnn.Variable(np.float32(1.0), name=n) for n in "ab")
    with pytest.warns(UserWarning, match="no gradient for b"):
        optimizers.SGD(1.0).apply([np.float32(1.0), None], [a, b])
    with pytest.raises(ValueError, match="No gradients provided"):
        optimizers.SGD(1.0).apply([None], [a])


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(0.1, momentum=0.9),
        optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        optimizers.RMSprop(rho=0.9, momentum=0.9),
        optimizers.RMSprop(rho=0.9, momentum=0.9, centered=True),
        optimizers.Adam(beta_2=0.9),
        optimizers.AdamW(beta_2=0.9, weight_decay=0.0),
        optimizers.Nadam(beta_2=0.9),
        optimizers.Adamax(beta_2=0.9),
        optimizers.Lamb(beta_2=0.9),
        optimizers.Lion(beta_2=0.9),
        optimizers.Adadelta(rho=0.9),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_averages_end_at_zero_once_gradients_are_gone(optimizer):
    w = fastnn.Variable(np.full(20, 0.25, "float32"))
    nothing = np.zeros(20, "float32")
    optimizer.build([w])
    averages = [v for v in optimizer.variables if tuple(v.shape) == (20,)]
    assert averages
    for average in averages:
        average.assign(np.full(20, 1e-25, "float32"))
    step = fastnn.jit(lambda g: optimizer.apply([g], [w]))
    for _ in range(400):
        step(nothing)
    assert not any(average.numpy().any() for average in averages)
    before = w.numpy().copy()
    step(nothing)
    assert np.array_equal(w.numpy(), before)
    # A mistake shows, however small the averages were.
    step(np.full(20, np.nan, "float32"))
    assert np.isnan(averages[0].numpy()).all()


def test_states_are_named_after_their_variables():
    dense = fastnn.layers.Dense(2, name="dd")
    dense.build((None, 3))
    optimizer = fastnn.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(dense.trainable_variables)
    names = ["iteration", "learning_rate", "dd_kernel_momentum", "dd_bias_momentum"]
    assert [v.name for v in optimizer.variables] == names
    assert [v.path for v in optimizer.variables] == [f"{optimizer.name}/{n}" for n in names]
