"""Random recurrent and attention nets with masks, the same in either library.

`drawn(k, seed)` gives the model built of `k`'s layers; every draw depends on the seed alone.
"""

import os

import numpy as np

__all__ = ["SMOOTH", "TORCH", "Draw", "drawn", "given"]

BATCH, STEPS, WORDS, FEATURES = 4, 6, 9, 3
SMOOTH = ["tanh", "sigmoid", "softsign", "elu", "gelu", "silu", "linear"]
# Keras on PyTorch masks no nested states and no unrolled steps.
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

    def mask(self, *shape):
        """True and False at random, the first of each row True."""
        kept = self.rng.random(shape) < 0.7
        kept[..., 0] = True
        return kept


def shown_first(k, mask):
    """The mask; on PyTorch with its first step True, as for own masks of stateful layers.

    Where such a layer begins with a masked step, Keras on PyTorch puts out zeros there, on JAX the
    state that was kept.
    """
    return k.ops.logical_or(mask, np.arange(mask.shape[1])[None] == 0) if TORCH else mask


def own_cell(k, units):
    """A cell of two states as users write them: a leaky sum and the last gate."""

    class Leaky(k.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.state_size, self.output_size = [units, units], units

        def build(self, shape):
            self.inner = self.add_weight(shape=(shape[-1], units), name="inner")
            self.again = self.add_weight(shape=(units, units), name="again")

        def call(self, inputs, states):
            total, last = states
            gate = k.ops.sigmoid(k.ops.matmul(inputs, self.inner) + k.ops.matmul(last, self.again))
            total = 0.8 * total + gate * k.ops.tanh(total + 0.3)
            return total, [total, gate]

    return Leaky()


def cell(k, d):
    """One cell with random settings."""
    kind = d.among("LSTMCell", "GRUCell", "SimpleRNNCell", "own")
    if kind == "own":
        return own_cell(k, d.whole(2, 4))
    settings = {"use_bias": d.chance(0.8), "activation": d.among(*SMOOTH)}
    if kind == "GRUCell":
        settings["reset_after"] = d.chance(0.5)
    if kind == "LSTMCell":
        settings["unit_forget_bias"] = d.chance(0.5)
    if kind != "SimpleRNNCell":
        settings["recurrent_activation"] = d.among("sigmoid", "hard_sigmoid", "tanh")
    return getattr(k.layers, kind)(d.whole(2, 4), **settings)


def bounds(k, d):
    """Sometimes constraints or penalties on the weights or on what comes out."""
    if d.chance(0.8):
        return {}
    norm, penalty = k.constraints.MaxNorm(0.9), k.regularizers.L1L2(1e-3, 1e-2)
    return d.among(
        {"kernel_constraint": norm, "recurrent_constraint": norm},
        {"kernel_regularizer": penalty, "recurrent_regularizer": penalty},
        {"recurrent_constraint": k.constraints.UnitNorm(), "bias_regularizer": penalty},
        {"activity_regularizer": k.regularizers.L2(1e-2)},
    )


def recurrent(k, d, sequences, units=None, state=False, plain=False, steps=STEPS):
    """A recurrent layer with random settings; `plain` leaves out those that change the order."""
    settings = {
        "return_sequences": sequences,
        "return_state": state,
        "unroll": d.chance(0.25) and not TORCH and steps is not None,
    }
    if not plain:
        settings["go_backwards"] = d.chance(0.3)
        # Keras's back ends differ in what a masked first step gives when a state was kept.
        settings["stateful"] = d.chance(0.1) and not settings["go_backwards"]
        settings["unroll"] = settings["unroll"] and not settings["stateful"]
        # Keras's unrolled steps take no notice of it.
        settings["zero_output_for_mask"] = d.chance(0.2) and not settings["unroll"]
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
    units, limits = units or d.whole(2, 5), bounds(k, d)
    if kind == "SimpleRNN":
        limits.pop("activity_regularizer", None)  # Keras's takes no notice of it
    return getattr(k.layers, kind)(units, **settings, **limits)


def both_ways(k, d, x, sequences):
    """A Bidirectional layer: one layer for both ways, or two that differ."""
    L = k.layers
    merge = d.among(*MERGES, None)
    units = d.whole(2, 4)
    forward = recurrent(k, d, sequences, units, plain=True, steps=x.shape[1])
    settings = {"merge_mode": merge}
    if d.chance(0.4):
        own = {"return_sequences": sequences, "go_backwards": True}
        settings["backward_layer"] = getattr(L, d.among("LSTM", "GRU", "SimpleRNN"))(units, **own)
    y = L.Bidirectional(forward, **settings)(x)
    return y if merge else d.among(L.Subtract(), L.Concatenate(), L.Maximum())(list(y))


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
    forth = layer(units, return_sequences=True, go_backwards=d.chance(0.3))
    return forth(x, initial_state=states)


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
    inner = d.among("dense", "norm", "sequence", "model", "lines")
    if x.shape[1] is None and inner in ("sequence", "lines"):
        inner = "model"
    if inner == "model":
        parts = [L.Dense(4, activation="tanh"), L.BatchNormalization(), L.Dense(d.whole(2, 4))]
        return L.TimeDistributed(k.Sequential(parts))(x)
    if inner == "dense":
        return L.TimeDistributed(L.Dense(d.whole(2, 5), activation=d.among(*SMOOTH)))(x)
    if inner == "norm":
        return L.TimeDistributed(L.LayerNormalization())(x)
    # Without the mask: that of the steps is none for the steps inside, and is refused there.
    grown = L.Reshape((x.shape[1], x.shape[-1], 1))(x)
    if inner == "lines":
        grown = L.TimeDistributed(L.Conv1D(3, 2, padding="same", activation="tanh"))(grown)
        pool = d.among(L.GlobalAveragePooling1D(), L.GlobalMaxPooling1D(), L.Flatten())
        return L.TimeDistributed(pool)(grown)
    return L.TimeDistributed(recurrent(k, d, False, plain=True))(grown)


def attention(k, d, x, other):
    """Attention to itself or to the other sequence."""
    L = k.layers
    kind = d.among("heads", "grouped", "dot", "additive")
    # A tensor of its own: Keras's attention takes the mask off the one that it is given.
    other = L.Dense(other.shape[-1])(other) if other is not None and d.chance(0.5) else x
    causal = d.chance(0.4)
    given = {}
    if kind in ("heads", "grouped") and None not in (x.shape[1], other.shape[1]) and d.chance(0.3):
        rows = k.ops.greater(k.ops.sum(x, axis=-1, keepdims=True), -0.3)
        given["attention_mask"] = k.ops.logical_and(rows, d.mask(1, x.shape[1], other.shape[1]))
    if kind == "heads":
        settings = {"use_bias": d.chance(0.7)}
        if d.chance(0.3):
            settings["value_dim"] = d.whole(2, 4)
        if d.chance(0.3):
            settings["output_shape"] = d.whole(2, 5)
        heads, width = d.whole(1, 3), d.whole(2, 4)
        scored = d.chance(0.25) and other.shape[1] is not None
        if not scored and not TORCH:  # Keras on JAX then wants values as wide as keys
            settings.pop("value_dim", None)
        layer = L.MultiHeadAttention(heads, width, **settings)
        if scored:
            y, scores = layer(x, other, use_causal_mask=causal, return_attention_scores=True)
            rows = L.Reshape((-1, other.shape[1]))(scores)
            weight = L.Dense(1)(L.GlobalAveragePooling1D()(rows))
            return L.Multiply()([y, L.Reshape((1, 1))(weight)])
        if d.chance(0.3):
            key = L.Dense(other.shape[-1] + 1)(other)
            return layer(x, other, key, use_causal_mask=causal, **given)
        return layer(x, other, use_causal_mask=causal, **given)
    if kind == "grouped":
        if other.shape[-1] != x.shape[-1]:  # Keras wants them alike
            other = L.Dense(x.shape[-1])(other)
        layer = L.GroupQueryAttention(d.whole(2, 4), 4, d.among(1, 2, 4), use_bias=d.chance(0.7))
        return layer(x, other, use_causal_mask=causal, **given)
    width = x.shape[-1]
    if other.shape[-1] != width:
        other = L.Dense(width)(other)
    if kind == "dot":
        mode = d.among("dot", "dot", "concat")
        layer = L.Attention(use_scale=d.chance(0.5), score_mode=mode)
    else:
        layer = L.AdditiveAttention(use_scale=d.chance(0.5))
    parts = [x, other] if d.chance(0.6) else [x, other, L.Dense(width, activation="tanh")(other)]
    if None not in (x.shape[1], other.shape[1]) and d.chance(0.25):
        kept = [d.mask(1, part.shape[1]) for part in parts[:2]]
        rows = [k.ops.greater(k.ops.sum(part, axis=-1), -1.0) for part in parts[:2]]
        masks = [k.ops.logical_and(a, b) for a, b in zip(rows, kept, strict=True)]
        masks[0] = shown_first(k, masks[0])
        return layer(parts, mask=masks, use_causal_mask=causal)
    if kind == "dot" and other.shape[1] is not None and d.chance(0.25):
        y, scores = layer(parts, use_causal_mask=causal, return_attention_scores=True)
        return L.Concatenate()([y, scores])
    return layer(parts, use_causal_mask=causal)


def attention_over_axes(k, d, x):
    """Heads over one or two of the axes of a picture."""
    L, (steps, width) = k.layers, x.shape[1:]
    y = L.Dense(3)(L.Reshape((steps, width, 1))(x))
    y = L.MultiHeadAttention(2, 2, attention_axes=d.among(1, 2, (1, 2), (2, 1)))(y, y)
    return L.Reshape((steps, 3 * width))(y)


def transformer(k, d, x):
    """A pre- or post-norm encoder block of plain layers."""
    L = k.layers
    width = x.shape[-1]
    # Attention gets a tensor of its own, off which Keras takes the mask.
    y = L.LayerNormalization()(x) if (before := d.chance(0.5)) else L.Dense(width)(x)
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
    kind = d.among("norm", "rms", "dense", "skip", "project", "batch", "group", "unit", "conv",
                   "turned", "soft", "length", "gate")  # fmt: skip
    if x.shape[1] is None and kind in ("turned", "length"):
        kind = "batch"
    if kind == "batch":
        return L.BatchNormalization(momentum=0.8)(x)
    if kind == "group":
        return L.GroupNormalization(1 if x.shape[-1] % 2 else 2, epsilon=1e-2)(x)
    if kind == "unit":
        return L.UnitNormalization()(x)
    if kind == "conv":
        padding = d.among("same", "causal")
        return L.Conv1D(d.whole(2, 4), d.whole(1, 3), padding=padding, activation="tanh")(x)
    if kind == "turned":
        turned = L.Dense(x.shape[1], activation="tanh")(L.Permute((2, 1))(x))
        return L.Permute((2, 1))(turned)
    if kind == "soft":
        return L.Activation("softmax")(x)
    if kind == "length":
        changed = d.among(L.UpSampling1D(2), L.ZeroPadding1D((1, 0)), L.Cropping1D((1, 1)),
                          L.MaxPooling1D(2, padding="same"), L.AveragePooling1D(2))  # fmt: skip
        return changed(x) if 3 < x.shape[1] < 10 else L.AveragePooling1D(2, padding="same")(x)
    if kind == "gate":
        y = L.Dense(x.shape[-1], activation="sigmoid", **bounds_of_dense(k, d))(x)
        return L.Multiply()([x, y])
    if kind == "norm":
        return L.LayerNormalization()(x)
    if kind == "rms":
        return L.RMSNormalization()(x)
    if kind == "dense":
        return L.Dense(d.whole(2, 5), activation=d.among(*SMOOTH))(x)
    if kind == "skip":
        return d.among(L.Add(), L.Average(), L.Concatenate())([x, L.Dense(x.shape[-1])(x)])
    units = d.whole(2, 5)
    equation, sizes = d.among(
        ("abc,cd->abd", (x.shape[1], units)), ("...c,cd->...d", units),
        ("abc,cde->abd", (x.shape[1], units)), ("ab...,bd->ad...", units),
    )  # fmt: skip
    if (equation.startswith("ab...") and x.shape[1] is None) or "cde" in equation:
        equation, sizes = "...c,cd->...d", units
    return L.EinsumDense(equation, sizes, bias_axes=d.among(None, "d"))(x)


def bounds_of_dense(k, d):
    """Sometimes a constraint or a penalty on a Dense layer."""
    return d.among(
        {}, {"kernel_constraint": k.constraints.NonNeg()},
        {"bias_constraint": k.constraints.MaxNorm(0.5)},
        {"kernel_regularizer": k.regularizers.OrthogonalRegularizer(1e-2)},
        {"activity_regularizer": k.regularizers.L1(1e-2)},
    )  # fmt: skip


def joined(k, d, x, other):
    """One sequence after the other, or products of their steps."""
    L = k.layers
    other = L.Dense(x.shape[-1])(other)
    if d.chance(0.6) or None in (x.shape[1], other.shape[1]):
        return L.Concatenate(axis=1)(d.among([x, other], [other, x]))
    return L.Dense(3)(L.Dot(axes=2, normalize=d.chance(0.5))([x, other]))


def convolutional(k, d):
    """A sequence of lines or pictures through ConvLSTM layers."""
    L = k.layers
    rank = d.among(1, 1, 2, 3)
    first = d.chance(0.25)
    room = (5, 4, 3)[:rank]
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
            "go_backwards": d.chance(0.3), "stateful": d.chance(0.15),
            "activation": d.among(*SMOOTH), "recurrent_activation": d.among("sigmoid", "tanh"),
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
    inputs, branches, table = [], [], None
    # Lengths that are open when the net is built, and another one in each batch.
    lengths = (None, None) if d.chance(0.15) else (STEPS, d.among(STEPS, STEPS - 2, STEPS + 1))
    parts = 1 if d.chance(0.6) else 2
    for steps in lengths[:parts]:
        if d.chance(0.7):
            tokens = k.Input((steps,), batch_size=BATCH, dtype="int32")
            inputs.append(tokens)
            settings = {"mask_zero": d.chance(0.75)}
            if table is None and d.chance(0.2):
                settings["tie_weights"] = d.chance(0.7)
                # Keras's graph does not see this layer's mask: joined with one of another layer it
                # counts as all True, though calls on data see it.
                settings["mask_zero"] = settings["mask_zero"] and parts == 1
                table = L.ReversibleEmbedding(WORDS, d.whole(3, 5), **settings)
                branches.append(table(tokens))
                continue
            branches.append(L.Embedding(WORDS, d.whole(3, 5), **settings)(tokens))
        else:
            values = k.Input((steps, FEATURES), batch_size=BATCH)
            inputs.append(values)
            branches.append(L.Masking()(values) if d.chance(0.7) else values)
    x, other = branches[0], branches[1] if len(branches) > 1 else None
    for _ in range(d.whole(1, 3)):
        step = d.among("recurrent", "recurrent", "both", "decoder", "time", "attention",
                       "attention", "transformer", "encoder", "around", "cells", "axes",
                       "join")  # fmt: skip
        if step == "recurrent":
            layer = recurrent(k, d, True, steps=x.shape[1])
            # A mask of its own, beside the one that comes with the sequence.
            seen = k.ops.greater(k.ops.sum(x, axis=-1), -0.2) if d.chance(0.2) else None
            bare = seen is None or (TORCH and layer.stateful)  # see `shown_first`
            x = layer(x) if bare else layer(x, mask=seen)
        elif step == "both":
            x = both_ways(k, d, x, True)
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
        elif step == "axes" and x.shape[1] is not None:
            x = attention_over_axes(k, d, x)
        elif step == "join" and other is not None:
            x = joined(k, d, x, other)
        else:
            x = around(k, d, x)
    end = d.among("recurrent", "both", "pool", "most", "sequence", "flat", "words")
    if end == "recurrent":
        x = recurrent(k, d, False, steps=x.shape[1])(x)
    elif end == "both":
        x = both_ways(k, d, x, False)
    elif end == "pool" or (end == "flat" and x.shape[1] is None):
        x = L.GlobalAveragePooling1D()(x)
    elif end == "most":
        x = L.GlobalMaxPooling1D()(x)
    elif end == "flat":
        x = L.Flatten()(x)
    elif end == "words" and table is not None:
        x = table(L.Dense(table.output_dim)(x), reverse=True)
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
        xs, length = [], d.whole(3, STEPS + 2)
        for tensor in model.inputs:
            shape = tuple(length if n is None else n for n in tensor.shape)
            tokens = "int" in str(tensor.dtype)
            x = d.rng.integers(1, WORDS, shape) if tokens else d.rng.normal(size=shape)
            how = "after" if kept else d.among("after", "before", "between", "none")
            for row in range(shape[0]):
                full = d.whole(0 if number == 2 and not kept and d.chance(0.2) else 1, shape[1])
                if how == "after":
                    x[row, full:] = 0
                elif how == "before":
                    x[row, : shape[1] - full] = 0
                elif how == "between":
                    x[row][d.rng.random(shape[1]) < 0.4] = 0
            xs.append(x.astype("int32" if tokens else "float32"))
        out = model.compute_output_shape([t.shape for t in xs] if len(xs) > 1 else xs[0].shape)
        if None in out:  # a size that Keras does not work out
            out = np.shape(model.predict(xs if len(xs) > 1 else xs[0], verbose=0))
        y = d.rng.normal(size=tuple(out)).astype("float32")
        batches.append((xs[0] if len(xs) == 1 else xs, y))
    return batches
