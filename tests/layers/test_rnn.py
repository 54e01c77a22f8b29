"""Recurrent layers against their formulas in NumPy: masks, states, direction, dropout, files."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops
from fastnn.layers.rnn import ConvLSTM


def array(x) -> np.ndarray:
    return np.asarray(x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(z, h, c, u):
    i, f, g, o = np.split(z + h @ u, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x, h, w, u, b, after):
    b = b if after else (b, np.zeros_like(b))
    n = h.shape[-1]
    z, inner = x @ w + b[0], h @ u + b[1]
    update, reset = sigmoid(z + inner)[:, :n], sigmoid(z + inner)[:, n : 2 * n]
    last = reset * inner[:, 2 * n :] if after else (reset * h) @ u[:, 2 * n :]
    return update * h + (1 - update) * np.tanh(z[:, 2 * n :] + last)


def shaken(layer, x, rng):
    """The layer with other weights than zeros and ones."""
    layer(x)
    layer.set_weights([rng.normal(size=w.shape, scale=0.5) for w in layer.get_weights()])
    return layer.get_weights()


def test_lstm_follows_its_formula(rng):
    layer, x = layers.LSTM(4, return_sequences=True, return_state=True), rng.normal(size=(3, 6, 5))
    w, u, b = shaken(layer, x, rng)
    h = c = np.zeros((3, 4))
    steps = []
    for t in range(6):
        h, c = lstm_step(x[:, t] @ w + b, h, c, u)
        steps.append(h)
    y, last_h, last_c = layer(x)
    assert array(y) == pytest.approx(np.stack(steps, 1), abs=1e-5)
    assert array(last_h) == pytest.approx(h, abs=1e-5)
    assert array(last_c) == pytest.approx(c, abs=1e-5)


@pytest.mark.parametrize("after", [True, False])
def test_gru_follows_its_formula(after, rng):
    layer, x = layers.GRU(4, reset_after=after, return_sequences=True), rng.normal(size=(3, 6, 5))
    w, u, b = shaken(layer, x, rng)
    h, steps = np.zeros((3, 4)), []
    for t in range(6):
        h = gru_step(x[:, t], h, w, u, b, after)
        steps.append(h)
    assert array(layer(x)) == pytest.approx(np.stack(steps, 1), abs=1e-5)


@pytest.mark.parametrize("backwards", [False, True])
def test_simple_rnn_follows_its_formula_in_both_directions(backwards, rng):
    layer = layers.SimpleRNN(4, activation="relu", return_sequences=True, go_backwards=backwards)
    x = rng.normal(size=(3, 6, 5))
    w, u, b = shaken(layer, x, rng)
    h, steps = np.zeros((3, 4)), []
    for t in reversed(range(6)) if backwards else range(6):
        h = np.maximum(x[:, t] @ w + h @ u + b, 0)
        steps.append(h)
    # Against time the outputs stand in the order in which they were computed, as in Keras.
    assert array(layer(x)) == pytest.approx(np.stack(steps, 1), abs=1e-4)


KINDS = [layers.LSTM, layers.GRU, layers.SimpleRNN]


@pytest.mark.parametrize("kind", KINDS)
def test_a_masked_step_keeps_the_state_and_repeats_the_output(kind, rng):
    layer = kind(4, return_sequences=True)
    x = rng.normal(size=(2, 5, 3))
    shaken(layer, x, rng)
    mask = np.array([[1, 1, 0, 1, 0], [0, 0, 1, 1, 1]], bool)
    y = array(layer(x, mask=mask))
    alone = array(layer(x[:1, [0, 1, 3]]))[0]
    assert y[0] == pytest.approx(alone[[0, 1, 1, 2, 2]], abs=1e-6)
    assert y[1, :2].tolist() == [[0.0] * 4] * 2
    assert y[1, 2:] == pytest.approx(array(layer(x[1:, 2:]))[0], abs=1e-6)
    start = [rng.normal(size=(2, 4)) for _ in layer.state_size]
    all_masked = array(layer(x, mask=np.zeros((2, 5), bool), initial_state=start))
    assert all_masked == pytest.approx(np.repeat(start[0][:, None], 5, 1), abs=1e-6)


@pytest.mark.parametrize("both_ways", [False, True])
def test_a_mask_is_used_beside_first_states_only_when_it_is_passed(rng, both_ways):
    layer = layers.GRU(4, return_sequences=True)
    layer = layers.Bidirectional(layer) if both_ways else layer
    tokens = np.array([[1, 2, 0], [2, 0, 0]])
    start = [rng.normal(size=(2, 4)).astype("float32") for _ in range(1 + both_ways)]
    table = layers.Embedding(5, 3, mask_zero=True)
    inputs, states = fastnn.Input((3,), dtype="int32"), [fastnn.Input((4,)) for _ in start]
    with pytest.warns(UserWarning, match="other tensors beside it.*`mask`"):
        outputs = layer(table(inputs), initial_state=states)
    model = fastnn.Model([inputs, *states], outputs)
    unmasked = model.predict([tokens, *start], verbose=0)  # as in Keras
    x = array(table(tokens))
    assert unmasked == pytest.approx(array(layer(x, initial_state=start)), abs=1e-6)
    masked = array(layer(x, mask=tokens != 0, initial_state=start))
    assert np.abs(masked - unmasked).max() > 1e-3


def test_masked_steps_may_give_zeros(rng):
    class Zeros(layers.LSTM):
        pass

    layer = Zeros(4, return_sequences=True)
    layer.zero_output_for_mask = True
    y = array(layer(rng.normal(size=(1, 4, 3)), mask=np.array([[True, False, True, False]])))
    assert (y[0, [1, 3]] == 0).all()
    assert (y[0, [0, 2]] != 0).all()


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_last_step_that_is_masked_gives_zeros_as_the_last_output(kind, backwards, rng):
    x = rng.normal(size=(3, 4, 3)).astype("float32")
    mask = np.array([[True, True, True, False], [False, True, True, True], [True] * 4])
    layer = kind(2, zero_output_for_mask=True, return_state=True, go_backwards=backwards)
    y, state, *_ = layer(x, mask=mask)
    ends = mask[:, 0 if backwards else -1]
    assert (array(y)[~ends] == 0).all()
    assert (array(y)[ends] == array(state)[ends]).all()
    assert (array(state) != 0).all()
    looped = layers.RNN(layer.cell, zero_output_for_mask=True, go_backwards=backwards)
    assert array(looped(x, mask=mask)) == pytest.approx(array(y), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_written_out_or_carried_by_the_core_a_layer_gives_the_same(kind, rng):
    x = rng.normal(size=(2, 9, 3)).astype("float32")
    layer = kind(4, return_sequences=True)
    layer(x)
    same = kind(4, return_sequences=True, unroll=True)
    same(x)
    same.set_weights(layer.get_weights())
    assert array(same(x)) == pytest.approx(array(layer(x)), abs=1e-6)
    assert array(layers.RNN(layer.cell, return_sequences=True)(x)) == pytest.approx(
        array(layer(x)), abs=1e-6
    )


def test_a_row_does_not_see_other_rows(rng):
    model = fastnn.Sequential([
        fastnn.Input((None,), dtype="int32"), layers.Embedding(20, 4), layers.LSTM(8),
        layers.Dense(2),
    ])  # fmt: skip
    x = rng.integers(0, 20, size=(4, 12))
    other = x.copy()
    other[1:] = rng.integers(0, 20, size=(3, 12))
    assert model.predict(x)[0].tolist() == model.predict(other)[0].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_stateful_layer_goes_on_where_it_ended(kind, rng):
    x = rng.normal(size=(2, 8, 3)).astype("float32")
    whole = kind(4, return_sequences=True)
    wanted = array(whole(x))
    inputs = fastnn.Input(batch_shape=(2, None, 3))
    layer = kind(4, return_sequences=True, stateful=True)
    model = fastnn.Model(inputs, layer(inputs))
    layer.set_weights(whole.get_weights())
    for run in (model, model.predict, model.predict_on_batch):
        layer.reset_state()
        halves = [array(run(x[:, :4])), array(run(x[:, 4:]))]
        assert np.concatenate(halves, 1) == pytest.approx(wanted, abs=1e-6)
    layer.reset_state()
    twice = model.predict(np.concatenate([x[:, :4], x[:, 4:]]))
    assert np.concatenate([twice[:2], twice[2:]], 1) == pytest.approx(wanted, abs=1e-6)


def test_a_stateful_model_trains_on_whole_batches_alone(rng):
    inputs = fastnn.Input(batch_shape=(4, 5, 3))
    model = fastnn.Model(inputs, layers.Dense(1)(layers.LSTM(4, stateful=True)(inputs)))
    model.compile("adam", "mse")
    x, y = rng.normal(size=(12, 5, 3)), rng.normal(size=(12, 1))
    history = model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for wrong in (
        lambda: model.fit(x, y, batch_size=3, verbose=0), lambda: model.predict(x[:6], verbose=0),
        lambda: model.train_on_batch(x[:3], y[:3]), lambda: model(x[:3]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="hint:"):
            wrong()


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_bidirectional_merges_both_directions(mode, rng):
    x = rng.normal(size=(2, 5, 3))
    layer = layers.Bidirectional(layers.GRU(4, return_sequences=True), merge_mode=mode)
    out = layer(x)
    ahead, back = array(layer.forward_layer(x)), array(layer.backward_layer(x))[:, ::-1]
    merged = {
        "concat": lambda: np.concatenate([ahead, back], -1), "sum": lambda: ahead + back,
        "mul": lambda: ahead * back, "ave": lambda: (ahead + back) / 2,
        None: lambda: np.stack([ahead, back]),
    }[mode]()  # fmt: skip
    assert (np.stack([array(o) for o in out]) if mode is None else array(out)) == pytest.approx(
        merged, abs=1e-6
    )


def test_dropout_is_one_mask_for_all_steps_and_another_one_each_time():
    class Show(layers.LSTMCell):
        def advance(self, z, states):
            return z[:, : self.units], [z[:, : self.units], states[1]]

    cell = Show(3, dropout=0.5, kernel_initializer="identity", use_bias=False, seed=4)
    layer = layers.RNN(cell, return_sequences=True)
    x = np.ones((8, 6, 12), "float32")
    first = array(layer(x, training=True))
    assert (first == first[:, :1]).all()
    assert set(np.unique(first)) == {0.0, 2.0}
    assert (array(layer(x, training=True)) != first).any()
    assert (array(layer(x)) == 1.0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rates", [(0.3, 0.0), (0.0, 0.3), (0.2, 0.2)])
def test_dropout_trains_and_is_off_in_predictions(kind, rates, rng):
    model = fastnn.Sequential([
        fastnn.Input((None, 3)), kind(4, dropout=rates[0], recurrent_dropout=rates[1]),
        layers.Dense(1),
    ])  # fmt: skip
    model.compile("adam", "mse")
    x, y = rng.normal(size=(16, 6, 3)), rng.normal(size=(16, 1))
    assert np.isfinite(model.fit(x, y, epochs=2, verbose=0).history["loss"]).all()
    assert model.predict(x).tolist() == model.predict(x).tolist()


def test_a_cell_of_ones_own_with_two_states_trains_for_any_length(rng):
    traced = []

    class Counting(layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units, self.state_size, self.output_size = units, [units, 1], units

        def build(self, input_shape):
            self.w = self.add_weight((input_shape[-1], self.units), name="w")

        def call(self, inputs, states):
            traced.append(inputs.shape)
            h = ops.tanh(ops.matmul(inputs, self.w) + 0.5 * states[0])
            return h * (1 + states[1]), [h, states[1] + 1.0]

    layer = layers.RNN(Counting(4), return_state=True)
    x = rng.normal(size=(2, 7, 3))
    _, _, count = layer(x)
    assert array(count).ravel().tolist() == [7.0, 7.0]
    model = fastnn.Sequential([fastnn.Input((None, 3)), layers.RNN(Counting(4)), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, np.ones(2), verbose=0)
    model.train_on_batch(x[:, :5], np.ones(2))
    before = len(traced)
    for length in (2, 3, 4, 6):
        assert np.isfinite(model.train_on_batch(x[:, :length], np.ones(2)))
    assert len(traced) == before  # one trace serves all lengths


def test_stacked_cells_are_layers_one_above_the_other(rng):
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    cells = [layers.LSTMCell(4), layers.GRUCell(3)]
    stacked = layers.RNN(cells, return_sequences=True, return_state=True)
    y, first, second = stacked(x)
    a, b = layers.LSTM(4, return_sequences=True), layers.GRU(3, return_sequences=True)
    b(a(x))
    a.set_weights(cells[0].get_weights())
    b.set_weights(cells[1].get_weights())
    assert array(y) == pytest.approx(array(b(a(x))), abs=1e-6)
    assert len(first) == 2
    assert array(second[0]) == pytest.approx(array(y)[:, -1], abs=1e-6)


def test_time_distributed_applies_a_layer_to_every_step(rng):
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    for inner in (
        layers.Dense(4), layers.BatchNormalization(),
        fastnn.Sequential([layers.Dense(4), layers.Lambda(lambda x: x - ops.mean(x, axis=0))]),
    ):  # fmt: skip
        layer = layers.TimeDistributed(inner)
        y = array(layer(x))
        steps = np.stack([array(inner(x[:, t])) for t in range(5)], 1)
        assert y == pytest.approx(steps, abs=1e-5)
    open_length = fastnn.Sequential([
        fastnn.Input((None, 3)), layers.TimeDistributed(layers.Dense(4)), layers.LSTM(2),
    ])  # fmt: skip
    assert open_length.predict(x).shape == open_length.predict(x[:, :2]).shape == (2, 2)


def test_gradients_of_recurrent_layers_are_those_of_finite_differences(rng):
    x = rng.normal(size=(2, 5, 3))
    mask = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]], bool)
    for layer in (
        layers.LSTM(3), layers.GRU(3, go_backwards=True), layers.GRU(3, reset_after=False),
        layers.SimpleRNN(3, return_sequences=True), layers.RNN([layers.LSTMCell(2)] ),
    ):  # fmt: skip
        shaken(layer, x, rng)

        def loss():
            return ops.sum(ops.square(layer(x, mask=mask)))  # noqa: B023

        with fastnn.GradientTape() as tape:
            value = loss()
        found = tape.gradient(value, layer.trainable_weights)
        for v, g in zip(layer.trainable_weights, found, strict=True):
            at = tuple(rng.integers(0, n) for n in v.shape)
            kept, eps = v.numpy().copy(), 1e-2
            ends = []
            for sign in (1, -1):
                moved = kept.copy()
                moved[at] += sign * eps
                v.assign(moved)
                ends.append(float(loss()))
            v.assign(kept)
            slope = (ends[0] - ends[1]) / (2 * eps)
            assert array(g)[at] == pytest.approx(slope, rel=2e-2, abs=2e-3)


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_recurrent_models_come_back_from_files(suffix, tmp_path, rng):
    if suffix == ".keras":
        pytest.importorskip("h5py")
    model = fastnn.Sequential([
        fastnn.Input((None,), dtype="int32"),
        layers.Embedding(12, 4, mask_zero=True),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True, dropout=0.1)),
        layers.RNN([layers.GRUCell(4, reset_after=False), layers.SimpleRNNCell(3)],
                   return_sequences=True),
        layers.TimeDistributed(layers.Dense(3)),
        layers.GRU(2, go_backwards=True, recurrent_activation="hard_sigmoid"),
    ])  # fmt: skip
    x = rng.integers(0, 12, size=(3, 7))
    wanted = model.predict(x)
    model.save(tmp_path / f"model{suffix}")
    again = fastnn.models.load_model(tmp_path / f"model{suffix}")
    assert again.predict(x).tolist() == wanted.tolist()
    assert again.get_config() == model.get_config()


def test_what_does_not_fit_is_said():
    x = np.zeros((2, 3, 4))
    for wrong, words in (
        (lambda: layers.LSTM(0), "units"),
        (lambda: layers.LSTM(3)(np.zeros((2, 0, 4))), "no steps"),
        (lambda: layers.LSTM(3)(x, mask=np.ones((2, 4), bool)), "mask has shape"),
        (lambda: layers.LSTM(3)(x, initial_state=[np.zeros((3, 3))] * 2), "3 samples"),
        (lambda: layers.LSTM(3)(x, initial_state=[np.zeros((2, 5))] * 2), "keeps 3"),
        (lambda: layers.LSTM(3)(x, initial_state=[np.zeros((2, 3))]), "1 initial states"),
        (lambda: layers.LSTM(3)(np.zeros((2, 3))), "3 axes"),
        (lambda: layers.RNN(layers.Dense(3)), "state_size"),
        (lambda: layers.Bidirectional(layers.Dense(3)), "no recurrent layer"),
        (lambda: layers.TimeDistributed(layers.Dense(3))(np.zeros((2, 3))), "3 dimensions"),
        (lambda: layers.GRU(3, stateful=True)(fastnn.Input((3, 2))), "batch size must be static"),
        (lambda: layers.GRU(3, unroll=True)(fastnn.Input((None, 2))), "Cannot unroll"),
    ):  # fmt: skip
        with pytest.raises((ValueError, fastnn.FastnnError), match=words) as error:
            wrong()
        assert "hint:" in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_which_of_two_tokens_came_first_is_learned(kind):
    rng = np.random.default_rng(0)
    x = rng.integers(3, 12, size=(2000, 8))
    places = np.argsort(rng.random((2000, 8)), axis=1)[:, :2]
    rows = np.arange(2000)
    x[rows, places[:, 0]], x[rows, places[:, 1]] = 1, 2
    y = (places[:, 0] < places[:, 1]).astype(int)
    fastnn.utils.set_random_seed(1)
    model = fastnn.Sequential([
        fastnn.Input((None,), dtype="int32"), layers.Embedding(12, 8), kind(24), layers.Dense(2),
    ])  # fmt: skip
    model.compile(
        fastnn.optimizers.Adam(0.01),
        fastnn.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x[:1600], y[:1600], epochs=12, verbose=0)
    assert model.evaluate(x[1600:], y[1600:], verbose=0)[1] >= 0.99


def test_a_convolutional_lstm_is_an_lstm_at_every_place(rng):
    # With kernels of one place and no neighbours, each place of the picture is an LSTM of its own.
    layer = layers.ConvLSTM2D(4, 1, return_sequences=True)
    x = rng.normal(size=(2, 5, 3, 2, 6)).astype("float32")
    w, u, b = shaken(layer, x, rng)
    plain = layers.LSTM(4, return_sequences=True)
    rows = x.transpose(0, 2, 3, 1, 4).reshape(12, 5, 6)
    plain(rows)
    plain.set_weights([w[0, 0], u[0, 0], b])
    wanted = array(plain(rows)).reshape(2, 3, 2, 5, 4).transpose(0, 3, 1, 2, 4)
    assert array(layer(x)) == pytest.approx(wanted, abs=1e-5)
    model = fastnn.Sequential([
        fastnn.Input((None, 6, 6, 2)), layers.ConvLSTM2D(3, 3, strides=2, dropout=0.2),
        layers.Flatten(), layers.Dense(1),
    ])  # fmt: skip
    model.compile("adam", "mse")
    data = rng.normal(size=(4, 3, 6, 6, 2))
    assert np.isfinite(model.fit(data, np.ones((4, 1)), verbose=0).history["loss"]).all()
    assert layers.ConvLSTM1D(3, 2)(rng.normal(size=(2, 3, 5, 2))).shape == (2, 4, 3)
    with pytest.raises(fastnn.ShapeError, match=r"reaches over 7 .* into 5(.|\n)*hint:"):
        layers.ConvLSTM1D(3, 7)(rng.normal(size=(2, 3, 5, 2)))


def test_a_lstm_of_convolutions_of_any_rank_is_made_again_from_its_config(rng):
    layer = ConvLSTM(1, 3, 2, padding="same", return_sequences=True)
    x = rng.normal(size=(2, 4, 5, 2)).astype("float32")
    y = array(layer(x))
    again = ConvLSTM.from_config(layer.get_config())
    again.build(x.shape)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x), y)
    assert layers.ConvLSTM1D(3, 2, padding="same", return_sequences=True)(x).shape == y.shape
