"""Random recurrent and attention nets with masks, the same in either library.

`drawn(k, seed)` gives the model built of `k`'s layers; every draw depends on the seed alone.
"""

import os

import numpy as np

__all__ = ["SMOOTH", "TORCH", "Draw", "drawn", "given"]

BATCH, STEPS, WORDS, FEATURES = 4, 6, 9, 3
SMOOTH = ["tanh", "sigmoid", "softsign", "elu", "gelu", "silu", "linear"]
# Keras on PyTorch masks no nested states and no unrolled steps; on JAX it forgets
# the states of stateful layers between compiled steps.
TORCH = os.environ.get("KERAS_BACKEND") == "torch"
MERGES = ["concat", "sum", "ave", "mul"]


class Draw:
    """A generator with the questions that the nets ask."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def chance(self, share):
        return bool(self.rng.random() < share)

    def whole(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def among(self, *choices):
        return choices[int(self.rng.integers(len(choices)))]


def cell(k, d):
    """One cell with random settings."""
    kind = d.among("LSTMCell", "GRUCell", "SimpleRNNCell")
    settings = {"use_bias": d.chance(0.8), "activation": d.among(*SMOOTH)}
    if kind == "GRUCell":
        settings["reset_after"] = d.chance(0.5)
    if kind == "LSTMCell":
        settings["unit_forget_bias"] = d.chance(0.5)
    if kind != "SimpleRNNCell":
        settings["recurrent_activation"] = d.among("sigmoid", "hard_sigmoid", "tanh")
    return getattr(k.layers, kind)(d.whole(2, 4), **settings)


def recurrent(k, d, sequences, units=None, state=False, plain=False):
    """A recurrent layer with random settings; `plain` leaves out those that change the order."""
    settings = {
        "return_sequences": sequences,
        "return_state": state,
        "unroll": d.chance(0.25) and not TORCH,
    }
    if not plain:
        settings["go_backwards"] = d.chance(0.3)
        # Keras's back ends differ in what a masked first step gives when a state was kept.
        settings["stateful"] = d.chance(0.2) and TORCH and not settings["go_backwards"]
        settings["zero_output_for_mask"] = d.chance(0.2)
    kind = d.among(
        "LSTM", "GRU", "SimpleRNN", *([] if units else ["RNN", "RNN" if TORCH else "stack"])
    )
    if kind == "stack":
        settings.pop("stateful", None)  # Keras cannot assign nested states
    if kind == "RNN":
        return k.layers.RNN(cell(k, d), **settings)
    if kind == "stack":
        cells = [cell(k, d) for _ in range(d.whole(2, 3))]
        cells = cells if d.chance(0.5) else k.layers.StackedRNNCells(cells)
        return k.layers.RNN(cells, **settings)
    if kind == "GRU":
        settings["reset_after"] = d.chance(0.6)
    if kind == "LSTM":
        settings["unit_forget_bias"] = d.chance(0.5)
    if d.chance(0.4):
        settings["activation"] = d.among(*SMOOTH)
        if kind != "SimpleRNN":
            settings["recurrent_activation"] = d.among("sigmoid", "hard_sigmoid")
    settings["use_bias"] = d.chance(0.8)
    return getattr(k.layers, kind)(units or d.whole(2, 5), **settings)


def both_ways(k, d, sequences):
    """A Bidirectional layer: one layer for both ways, or two that differ."""
    merge = d.among(*MERGES)
    units = d.whole(2, 4)
    forward = recurrent(k, d, sequences, units, plain=True)
    if d.chance(0.4):
        settings = {"return_sequences": sequences, "go_backwards": True}
        backward = getattr(k.layers, d.among("LSTM", "GRU", "SimpleRNN"))(units, **settings)
        return k.layers.Bidirectional(forward, merge_mode=merge, backward_layer=backward)
    return k.layers.Bidirectional(forward, merge_mode=merge)


def encoder_decoder(k, d, x):
    """The states that one layer ends with begin the next."""
    units, kind = d.whole(2, 4), d.among("LSTM", "GRU", "SimpleRNN")
    layer = getattr(k.layers, kind)
    if d.chance(0.3):
        first = k.layers.Bidirectional(layer(units, return_state=True, return_sequences=True))
        _, *states = first(x)
        second = k.layers.Bidirectional(layer(units, return_sequences=True))
        return second(x, initial_state=states)
    backwards = d.chance(0.3)
    _, *states = layer(units, return_state=True, go_backwards=backwards)(x)
    states = states[0] if len(states) == 1 else states
    return layer(units, return_sequences=True)(x, initial_state=states)


def cells_with_states(k, d, x):
    """A stack of cells gives its states; they are joined to what it put out."""
    layer = k.layers.RNN([cell(k, d), cell(k, d)], return_sequences=True, return_state=True)
    y, *states = layer(x)
    flat = []
    for state in states:
        flat.extend(state if isinstance(state, list | tuple) else [state])
    joined = k.layers.Concatenate()(flat)
    width = y.shape[-1]
    scale = k.layers.Dense(width, activation="sigmoid")(joined)
    return k.layers.Multiply()([y, k.layers.Reshape((1, width))(scale)])


def over_time(k, d, x):
    """A layer at each time step."""
    L = k.layers
    inner = d.among("dense", "norm", "sequence")
    if inner == "dense":
        return L.TimeDistributed(L.Dense(d.whole(2, 5), activation=d.among(*SMOOTH)))(x)
    if inner == "norm":
        return L.TimeDistributed(L.LayerNormalization())(x)
    # Without the mask: that of the steps is none for the steps inside, and is refused there.
    grown = L.Reshape((STEPS, x.shape[-1], 1))(x)
    return L.TimeDistributed(recurrent(k, d, False, plain=True))(grown)


def attention(k, d, x, other):
    """Attention to itself or to the other sequence."""
    L = k.layers
    kind = d.among("heads", "grouped", "dot", "additive")
    # A tensor of its own: Keras's attention takes the mask off the one that it is given.
    other = L.Dense(other.shape[-1])(other) if other is not None and d.chance(0.5) else x
    causal = d.chance(0.4)
    if kind == "heads":
        settings = {"use_bias": d.chance(0.7)}
        if d.chance(0.3):
            settings["value_dim"] = d.whole(2, 4)
        if d.chance(0.3):
            settings["output_shape"] = d.whole(2, 5)
        layer = L.MultiHeadAttention(d.whole(1, 3), d.whole(2, 4), **settings)
        if d.chance(0.25):
            y, scores = layer(x, other, use_causal_mask=causal, return_attention_scores=True)
            weight = L.Dense(1)(L.GlobalAveragePooling1D()(L.Reshape((-1, STEPS))(scores)))
            return L.Multiply()([y, L.Reshape((1, 1))(weight)])
        if d.chance(0.3):
            return layer(x, other, x if other is x else other, use_causal_mask=causal)
        return layer(x, other, use_causal_mask=causal)
    if kind == "grouped":
        layer = L.GroupQueryAttention(d.whole(2, 4), 4, d.among(1, 2, 4), use_bias=d.chance(0.7))
        return layer(x, other, use_causal_mask=causal)
    width = x.shape[-1]
    if other.shape[-1] != width:
        other = L.Dense(width)(other)
    if kind == "dot":
        mode = d.among("dot", "dot", "concat")
        layer = L.Attention(use_scale=d.chance(0.5), score_mode=mode)
    else:
        layer = L.AdditiveAttention(use_scale=d.chance(0.5))
    parts = [x, other] if d.chance(0.6) else [x, other, x if other is x else other]
    return layer(parts, use_causal_mask=causal)


def transformer(k, d, x):
    """A pre- or post-norm encoder block of plain layers."""
    L = k.layers
    width = x.shape[-1]
    y = L.LayerNormalization()(x) if (before := d.chance(0.5)) else x
    y = L.Add()([x, L.MultiHeadAttention(2, 2)(y, y, use_causal_mask=d.chance(0.4))])
    y = y if before else L.LayerNormalization()(y)
    z = L.RMSNormalization()(y) if before else y
    z = L.Dense(width)(L.Dense(2 * width, activation="gelu")(z))
    z = L.Add()([y, z])
    return z if before else L.LayerNormalization()(z)


def encoder_block(k, d, x):
    """fastnn's TransformerEncoder; for Keras, which has none, the same block of its layers."""
    width, first = x.shape[-1], d.chance(0.5)
    heads = 2 if width % 2 == 0 else 1
    if hasattr(k, "nn") and hasattr(k.nn, "TransformerEncoder"):
        return k.nn.TransformerEncoder(6, heads, normalize_first=first, activation="gelu")(x)
    L = k.layers

    class Encoder(L.Layer):
        def build(self, shape):
            self.supports_masking = True
            self.attention = L.MultiHeadAttention(heads, width // heads)
            self.attention.build(shape, shape)
            self.attention_norm = L.LayerNormalization(epsilon=1e-5)
            self.attention_norm.build(shape)
            self.wide = L.Dense(6, activation="gelu")
            self.wide.build(shape)
            self.narrow = L.Dense(width)
            self.narrow.build((*shape[:-1], 6))
            self.last_norm = L.LayerNormalization(epsilon=1e-5)
            self.last_norm.build(shape)

        def call(self, x, mask=None):
            def part(x, norm, f):
                return x + f(norm(x)) if first else norm(x + f(x))

            x = part(x, self.attention_norm, lambda y: self.attention(y, y, value_mask=mask))
            return part(x, self.last_norm, lambda y: self.narrow(self.wide(y)))

    return Encoder()(x)


def around(k, d, x):
    """Layers between the sequence ones."""
    L = k.layers
    kind = d.among("norm", "rms", "dense", "skip", "project")
    if kind == "norm":
        return L.LayerNormalization()(x)
    if kind == "rms":
        return L.RMSNormalization()(x)
    if kind == "dense":
        return L.Dense(d.whole(2, 5), activation=d.among(*SMOOTH))(x)
    if kind == "skip":
        return d.among(L.Add(), L.Average(), L.Concatenate())([x, L.Dense(x.shape[-1])(x)])
    return L.EinsumDense("abc,cd->abd", (STEPS, d.whole(2, 5)), bias_axes="d")(x)


def convolutional(k, d):
    """A sequence of lines or pictures through ConvLSTM layers."""
    L = k.layers
    rank = d.among(1, 1, 2)
    first = d.chance(0.25)
    room = (5,) if rank == 1 else (4, 5)
    shape = (4, *((2, *room) if first else (*room, 2)))
    inputs = k.Input(shape, batch_size=BATCH)
    layer = getattr(L, f"ConvLSTM{rank}D")
    x = inputs
    for last in ([False] if d.chance(0.4) else []) + [True]:
        settings = {
            "strides": 1 if d.chance(0.7) else 2, "use_bias": d.chance(0.8),
            "padding": d.among("valid", "same"),
            "data_format": "channels_first" if first else "channels_last",
            "return_sequences": not last or d.chance(0.5),
            "go_backwards": d.chance(0.3), "stateful": d.chance(0.2) and TORCH,
        }  # fmt: skip
        if settings["strides"] == 1 and d.chance(0.3):
            settings["dilation_rate"] = 2
            settings["padding"] = "same"
        x = layer(d.whole(1, 3), d.among(1, 2, 3) if not last else 2, **settings)(x)
    return k.Model(inputs, L.Dense(2)(L.Flatten()(x)))


def drawn(k, seed):
    """The random net of that seed, of the library's layers."""
    d = Draw(seed)
    L = k.layers
    if d.chance(0.12):
        return convolutional(k, d)
    inputs, branches = [], []
    for _ in range(1 if d.chance(0.65) else 2):
        if d.chance(0.7):
            tokens = k.Input((STEPS,), batch_size=BATCH, dtype="int32")
            inputs.append(tokens)
            branches.append(L.Embedding(WORDS, d.whole(3, 5), mask_zero=d.chance(0.75))(tokens))
        else:
            values = k.Input((STEPS, FEATURES), batch_size=BATCH)
            inputs.append(values)
            branches.append(L.Masking()(values) if d.chance(0.7) else values)
    x, other = branches[0], branches[1] if len(branches) > 1 else None
    for _ in range(d.whole(1, 3)):
        step = d.among("recurrent", "recurrent", "both", "decoder", "time", "attention",
                       "attention", "transformer", "encoder", "around", "cells")  # fmt: skip
        if step == "recurrent":
            x = recurrent(k, d, True)(x)
        elif step == "both":
            x = both_ways(k, d, True)(x)
        elif step == "decoder":
            x = encoder_decoder(k, d, x)
        elif step == "time":
            x = over_time(k, d, x)
        elif step == "attention":
            x = attention(k, d, x, other)
        elif step == "transformer":
            x = transformer(k, d, x)
        elif step == "encoder":
            x = encoder_block(k, d, x)
        elif step == "cells" and not TORCH:
            x = cells_with_states(k, d, x)
        else:
            x = around(k, d, x)
    end = d.among("recurrent", "both", "pool", "sequence", "flat")
    if end == "recurrent":
        x = recurrent(k, d, False)(x)
    elif end == "both":
        x = both_ways(k, d, False)(x)
    elif end == "pool":
        x = L.GlobalAveragePooling1D()(x)
    elif end == "flat":
        x = L.Reshape((STEPS * x.shape[-1],))(x)
    if other is not None:
        left = x if len(x.shape) == 2 else L.GlobalAveragePooling1D()(x)
        x = L.Concatenate()([left, L.GlobalAveragePooling1D()(other)])
    return k.Model(inputs, L.Dense(2)(x))


def given(model, seed):
    """Three batches for the model: padded after, before or in between, and targets.

    The last holds a row that is padding alone for some seeds.
    """
    d = Draw(seed + 100_000)
    kept = any(getattr(layer, "stateful", False) for layer in model.layers)
    batches = []
    for number in range(3):
        xs = []
        for tensor in model.inputs:
            shape = tuple(tensor.shape)
            tokens = "int" in str(tensor.dtype)
            x = d.rng.integers(1, WORDS, shape) if tokens else d.rng.normal(size=shape)
            how = "after" if kept else d.among("after", "before", "between", "none")
            for row in range(shape[0]):
                length = d.whole(0 if number == 2 and not kept and d.chance(0.2) else 1, shape[1])
                if how == "after":
                    x[row, length:] = 0
                elif how == "before":
                    x[row, : shape[1] - length] = 0
                elif how == "between":
                    x[row][d.rng.random(shape[1]) < 0.4] = 0
            xs.append(x.astype("int32" if tokens else "float32"))
        y = d.rng.normal(size=tuple(model.outputs[0].shape)).astype("float32")
        batches.append((xs[0] if len(xs) == 1 else xs, y))
    return batches
