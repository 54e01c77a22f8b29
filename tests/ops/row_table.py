"""The rows of the op table, and the cases that they are tried on: written down here where inputs
must fit together, else made up from how many there are.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from fastnn import _core

ROWS = {row.name: row for row in _core.op_table()}


LENGTHS = (1, 7, 15, 16, 17, 31, 33, 1023, 1024, 1025, 4099)


# x times (1 + something that nears -1): the sum's rounding, half a unit of one, is scaled by x.
ROUNDING = ("to_bfloat16", "to_float16")


@dataclass(frozen=True)
class Case:
    """Shapes (or ready arrays) of the inputs, and the attributes."""

    inputs: tuple
    attrs: dict = field(default_factory=dict)

    def label(self) -> str:
        shapes = [np.shape(i) if isinstance(i, np.ndarray) else i for i in self.inputs]
        return f"{shapes}-{self.attrs}".replace(" ", "")


def case(*inputs, **attrs) -> Case:
    return Case(inputs, attrs)


def ints(*values) -> np.ndarray:
    return np.array(values, np.int32)


REDUCTIONS = [
    case((2, 3, 4), axis=axis, keepdims=keepdims)
    for axis in (None, (0,), (-1,), (1,), (0, 2), (0, 1, 2))
    for keepdims in (False, True)
]


LONG_REDUCTIONS = [
    *(case((2, n), axis=(-1,), keepdims=False) for n in LENGTHS),
    *(case((n, 2), axis=(0,), keepdims=False) for n in LENGTHS),
    case((3, 17, 5), axis=(1,), keepdims=True),
    case((5, 0), axis=(0,), keepdims=False),
]


ARG_REDUCTIONS = [
    case((3, 37), axis=None, keepdims=False),
    case((3, 37), axis=-1, keepdims=False),
    case((37, 3), axis=0, keepdims=True),
]


SOFTMAX = [
    *(case((3, n), axis=-1) for n in (1, 5, 16, 17, 1000)),
    case((2, 3, 4), axis=1),
    case((5, 3), axis=0),
]


def recurrent(gates, *operands, **attrs):
    """Cases of a recurrent row by the letters of its operands: z for each step and gate, y for
    each step, d what flows into y, h a state, w weights, b a bias, m the mask, f factors.
    """
    found = []
    for batch, steps, units in (
        (2, 3, 2),
        (1, 1, 1),
        (7, 4, 17),
        (19, 3, 33),
        (3, 0, 2),
        (0, 2, 3),
    ):
        for lone in (False, True):
            hidden = np.arange(batch * steps).reshape(batch, steps) % 3 != 1
            shapes = {
                "z": (batch, steps, gates * units),
                "y": (batch, steps, units),
                "d": () if lone else (batch, steps, units),
                "h": () if lone else (batch, units),
                "w": (units, gates * units),
                "b": () if lone else (gates * units,),
                "m": np.array(True) if lone else hidden,
                "f": () if lone else (batch, gates * units),
            }
            found.append(case(*(shapes[o] for o in operands), **attrs))
    return found


def resampling(back):
    """Cases of `resample`, or of its gradient: one tap and many, places in order and not, some of
    them outside, all numbers of channels that are read differently, and empty ones.
    """
    found = []
    for batch, size, made, taps, channels in (
        (1, (2, 3), (3, 2), (2, 1), 1),
        (2, (2, 2), (3, 2), (2, 2), 2),
        (1, (1, 3), (2, 2), (3, 2), 3),
        (2, (5, 4), (11, 9), (2, 2), 3),
        (1, (7, 9), (16, 19), (4, 3), 1),
        (2, (9, 6), (4, 3), (5, 6), 2),
        (1, (6, 5), (12, 10), (1, 1), 4),
        (1, (6, 7), (13, 5), (3, 2), 6),
        (1, (4, 6), (9, 8), (2, 4), 8),
        (2, (5, 6), (9, 3), (2, 9), 17),
        (1, (40, 3), (90, 7), (35, 2), 33),
        (0, (3, 3), (2, 2), (2, 2), 3),
        (2, (0, 3), (2, 2), (1, 2), 3),
        (2, (3, 3), (0, 2), (2, 2), 3),
        (2, (3, 3), (2, 2), (0, 2), 3),
        (2, (3, 3), (2, 2), (2, 2), 0),
    ):
        tables = []
        for k, (n, new, t) in enumerate(zip(size, made, taps, strict=True)):
            ordered = np.arange(new) * (n + 1) // max(new, 1) - 1
            at = ordered if k == len(found) % 2 else np.arange(new) * 7 % (n + 3) - 2
            tables += [at.astype(np.int32), (new, t)]
        image = (batch, *(made if back else size), channels)
        found.append(case(image, *tables, **({"size": size} if back else {})))
    halves = np.array([[0.5, 0.0], [1.0, 0.0], [0.0, 0.0], [0.25, 0.5]], np.float32)
    same = (ints(0, 1, 2), np.ones((3, 1), np.float32))
    found.append(case((1, 4, 3, 3) if back else (1, 5, 3, 3), ints(0, 1, 2, 4), halves, *same,
                      **({"size": (5, 3)} if back else {})))  # fmt: skip
    return found


def attention(backward=False):
    """Cases of attention, or of its gradient: with everything, and with scalars."""
    found = []
    sizes = ((2, 3, 4, 2, 2, 3), (1, 1, 5, 2, 1, 1), (2, 5, 3, 3, 1, 2), (2, 3, 1, 2, 2, 5))
    large = (
        (2, 70, 130, 4, 2, 17),
        (1, 200, 65, 1, 1, 64),
        (1, 3, 300, 2, 1, 70),
        (3, 7, 64, 6, 3, 16),
    )
    empty = ((2, 0, 3, 2, 1, 4), (2, 3, 0, 2, 1, 4), (0, 3, 4, 2, 2, 4))
    for i, (b, t, s, heads, groups, width) in enumerate(sizes + large + empty):
        for lone, causal in ((False, i % 2 == 0), (True, i % 2 == 1)):
            rng = np.random.default_rng(i)
            values = width + 1 if i % 3 == 1 else width
            q, out, lse = (b, t, heads, width), (b, t, heads, values), (b, heads, t)
            kv = ((b, s, groups, width), (b, s, groups, values))
            mask = rng.random((b, 1, 1, s) if i % 2 else (1, heads, t, s)) < 0.8
            beside = ((1, heads, t, s) if i % 2 else (b, 1, t, 1), mask)
            lengths = rng.integers(0, s + 3, b).astype(np.int32)
            start = rng.integers(-1, 3, b).astype(np.int32)
            if lone:
                beside = ((), np.array(True))
                lengths, start = np.array(2**31 - 1, np.int32), np.array(0, np.int32)
            operands = [q, *kv, *beside, lengths, start, np.zeros(4, np.int32)]
            if backward:
                operands = [out, *operands, out, lse]
            found.append(case(*operands, scale=0.6, causal=causal))
    return found


GRU = [{"reverse": r, "reset_after": a} for r, a in ((False, True), (True, False), (True, True))]


SIMPLE = [{"reverse": a > 1, "activation": a} for a in range(4)]


CASES = {
    "layer_norm": [
        case((3, n), *columns, center=center)
        for n in (2, 5, 16, 17, 64, 1025)
        for columns in (((n,), (n,)), ((), ()))
        for center in (True, False)
    ]
    + [case((7,), (7,), (7,)), case((300, 2, 40), (40,), ()), case((0, 4), (4,), (4,))],
    "layer_norm_grad": [
        case((*rows, n), (*rows, n), gamma, rows, rows, center=center)
        for rows, n in (((3,), 2), ((3,), 17), ((700,), 33), ((2, 3), 64), ((), 5), ((0,), 4))
        for gamma in ((n,), ())
        for center in (True, False)
    ],
    "attention": attention(),
    "attention_grad": attention(backward=True),
    "lstm": [c for r in (False, True) for c in recurrent(4, *"zwhhmf", reverse=r)],
    "lstm_grad": [c for r in (False, True) for c in recurrent(4, *"dhhwzyhmf", reverse=r)],
    "gru": [c for a in GRU for c in recurrent(3, *"zwbhmf", **a)],
    "gru_grad": [c for a in GRU for c in recurrent(3, *"dhwzyymf", **a)],
    "simple_rnn": [c for a in SIMPLE for c in recurrent(1, *"zwhmf", **a)],
    "simple_rnn_grad": [c for a in SIMPLE for c in recurrent(1, *"dhwymf", **a)],
    "reshape": [case((3, 4), shape=(2, 6)), case((3, 4), shape=(-1,)), case((0, 4), shape=(2, 0))],
    "expand_dims": [case((3, 4), axis=(0,)), case((3, 4), axis=(1, 3))],
    "squeeze": [case((1, 3, 1), axis=(0,)), case((1, 3, 1), axis=(0, 2))],
    "transpose": [case((2, 3, 4)), case((2, 3, 4), axes=(1, 2, 0)), case((33, 65), axes=(1, 0))],
    "broadcast_to": [case((3, 1), shape=(2, 3, 4)), case((), shape=(3,))],
    "flip": [case((3, 4)), case((3, 4), axis=(1,)), case((3, 4), axis=(0, 1))],
    "slice": [
        case((5, 6), begin=(1, 0), end=(4, 6), step=(2, 3)),
        case((5, 6), begin=(4, 5), end=(0, 2), step=(-1, -2)),
    ],
    "unslice": [case((2, 2), shape=(5, 6), begin=(1, 0), end=(4, 6), step=(2, 3))],
    "pad": [case((2, 3), widths=(1, 0, 2, 3)), case((2, 3), widths=(0, 2, 1, 0), value=7.5)],
    "concatenate": [case((2, 3), (2, 1), (2, 4), axis=-1), case((1, 3), (0, 3), (2, 3), axis=0)],
    "stack": [case((2, 3), (2, 3), axis=0), case((2, 3), (2, 3), (2, 3), axis=-1)],
    "tile": [case((2, 3), repeats=(2, 2)), case((3,), repeats=(2, 1))],
    "repeat": [case((2, 3), repeats=2, axis=0), case((2, 3), repeats=3, axis=-1)],
    "roll": [case((2, 5), shift=2, axis=1), case((4, 2), shift=-1, axis=0)],
    "matmul": [
        case((3, 4), (4, 5)),
        case((1, 784), (784, 33)),
        case((33, 17), (17, 65)),
        case((2, 3, 4), (2, 4, 5)),
        case((2, 3, 4), (4, 5)),
        case((3, 4), (2, 4, 5)),
        case((2, 1, 3, 4), (5, 4, 2)),
        case((4, 3), (4, 5), transpose_a=True),
        case((3, 4), (5, 4), transpose_b=True),
        case((4, 3), (5, 4), transpose_a=True, transpose_b=True),
        case((3, 4), (4, 5), precision="bfloat16"),
        case((3, 0), (0, 5)),
    ],
    "dot": [case((3, 4), (4, 5)), case((4,), (4,)), case((3, 4), (4,))],
    "clip": [case((3, 5), min=-1.0, max=1.5)],
    "cast": [
        case((3, 5), dtype="int32"),
        case((3, 5), dtype="float32"),
        case((3, 5), dtype="bool"),
    ],
    "where": [case((3, 5), (3, 5), (3, 5)), case((5,), (3, 1), ())],
    "take": [
        case((5, 3), ints(0, 4, 2, 2), axis=0),
        case((5, 3), ints([2, 0], [1, -1]), axis=1),
    ],
    "one_hot": [case(ints(0, 2, 1), num_classes=4), case(ints([1, 3], [0, 9]), num_classes=4)],
    "axis_size": [case(size=7), case(size=2**31 - 1)],
    "sum_to": [
        case((2, 3, 4), shape=(3, 1)),
        case((2, 3), shape=(2, 3)),
        case((3, 1, 2), shape=(1, 1, 1)),
        case((3, 4), shape=()),
    ],
    "iota": [case(stop=7), case(stop=0), case(stop=1025, dtype="float32")],
    "full": [case(shape=(2, 3), value=1.5), case(shape=(), value=7, dtype="int32")],
    "eye": [case(n=3), case(n=3, m=5, k=1), case(n=4, m=2, k=-1)],
    "stop_gradient": [case((3, 5))],
    "take_grad": [
        case((4, 3), ints(0, 4, 2, 2), shape=(5, 3), axis=0),
        case((5, 2), ints(2, 0), shape=(5, 3), axis=1),
    ],
    "take_along_axis": [
        case((3, 4), ints([0, 3], [1, 1], [2, 0]), axis=1),
        case((3, 2), ints([2, 0]), axis=0),
    ],
    "take_along_axis_grad": [
        case((3, 2), ints([0, 3], [1, 1], [2, 0]), shape=(3, 4), axis=1),
        case((1, 2), ints([2, 0]), shape=(3, 2), axis=0),
    ],
    "softmax": SOFTMAX,
    "log_softmax": SOFTMAX,
    "softmax_last": [case(*c.inputs) for c in SOFTMAX if c.attrs["axis"] == -1],
    "log_softmax_last": [case(*c.inputs) for c in SOFTMAX if c.attrs["axis"] == -1],
    "layer_normalize": [case((3, n)) for n in (2, 5, 17, 64, 1025)],
    "softmax_cross_entropy": [case((3, 5), (3, 5)), case((2, 3, 17), (2, 3, 17)), case((4,), (4,))],
    "sparse_softmax_cross_entropy": [
        case((3, 5), ints(0, 4, 2)),
        case((2, 2, 17), ints([0, 16], [3, 3])),
    ],
    "sort": [
        *(case((3, n)) for n in (*LENGTHS, 0)),
        case((4, 5, 3), axis=1),
        case((5, 3), axis=0),
        case((3, 0, 2), axis=0),
    ],
    "top_k": [
        *(case((2, n), k=min(n, 5)) for n in LENGTHS),
        case((3, 100), k=40),
        case((3, 4), k=4),
        case((3, 4), k=0),
        case((0, 4), k=2),
        case((7,), k=3),
        case((2, 3, 4), k=1),
    ],
    "all_reduce": [
        case((3, 4), ()),
        case((), ()),
        case((0, 2), ()),
        case((5, 33), (), place=7),
        case((5, 33), (), place=7, scaled=True),
    ],
    "dynamic_slice": [
        case((5, 6), ints(1, 3), axes=(0, 1), sizes=(2, 3)),
        case((5, 6), ints(-1, 9), axes=(1, 0), sizes=(2, 3)),
        case((2, 40, 3), ints(-50), axes=(1,), sizes=(7,)),
        case((2, 3), np.array(2, np.int32), axes=(1,), sizes=(1,)),
        case((4, 0), ints(1), axes=(0,), sizes=(2,)),
        case((4, 3), ints(1), axes=(0,), sizes=(0,)),
        case((2, 2), np.zeros(0, np.int32), axes=(), sizes=()),
    ],
    "update_slice": [
        case((5, 6), (2, 3), ints(1, 3), axes=(0, 1)),
        case((5, 6), (3, 2), ints(-1, 9), axes=(1, 0)),
        case((2, 40, 3), (2, 7, 3), ints(-50), axes=(1,)),
        case((2, 3), (2, 1), np.array(2, np.int32), axes=(1,)),
        case((4, 0), (2, 0), ints(1), axes=(0,)),
        case((4, 3), (0, 3), ints(1), axes=(0,)),
        case((2, 3), (2, 3), ints(1, 1), axes=(0, 1)),
        case((8, 33, 5, 17), (8, 1, 5, 17), ints(12), axes=(1,)),
    ],
    "conv": [
        case((2, 9, 3), (3, 3, 4)),
        case((1, 700, 2), (5, 2, 20), padding=(4, 0)),
        case((2, 5, 4, 2), (3, 2, 2, 5), strides=(2, 1), padding=(1, 1, 0, 1)),
        case((2, 9, 8, 5), (3, 3, 5, 70), padding=(-1,)),
        case((1, 6, 5, 4), (2, 3, 2, 6), padding=(-1,), dilation=(2, 1), groups=2),
        case((1, 8, 9, 3), (2, 3, 3, 2), dilation=(1, 3), strides=(1, 2)),
        case((3, 7, 7, 40), (3, 3, 40, 17), padding=(-1,)),
        case((1, 12, 150, 3), (3, 3, 3, 33), padding=(-1,), strides=(1,)),
        case((2, 5, 5, 600), (1, 1, 600, 3)),
        case((2, 14, 13, 33), (3, 3, 33, 70), padding=(-1,)),
        case((5, 9, 10, 16), (3, 3, 16, 17), padding=(0, 0, 1, 2)),
        case((8, 12, 11, 200), (3, 3, 200, 160), padding=(-1,)),
        case((2, 5, 5, 4), (1, 1, 4, 3), strides=(2, 2)),
        case((1, 5, 5, 3), (3, 3, 1, 3), strides=(2, 2), padding=(-1,), groups=3),
        case((2, 6, 7, 35), (3, 3, 1, 35), padding=(-1,), groups=35),
        case((1, 5, 5, 3), (3, 3, 1, 6), groups=3),
        case((1, 3, 4, 5, 2), (2, 2, 3, 2, 2), strides=(1, 2, 1), padding=(0, 1, 1, 0, 2, 1)),
        case((1, 4, 4, 4, 2), (2, 1, 2, 2, 18), dilation=(2, 1, 1), padding=(-1,)),
        case((0, 5, 5, 2), (3, 3, 2, 4)),
        case((2, 5, 5, 0), (3, 3, 0, 4)),
        case((2, 5, 5, 2), (3, 3, 2, 0)),
        case((2, 0, 5, 2), (3, 3, 2, 4), padding=(-1,)),
        case((1, 2, 2, 1), (2, 2, 1, 1), padding=(3, 3, 2, 4)),
    ],
    "conv_input_grad": [
        case((2, 7, 4), (3, 3, 4), size=(9,)),
        case((2, 3, 3, 5), (3, 3, 2, 5), size=(6, 5), strides=(2, 2), padding=(1, 0, 1, 1)),
        case((2, 9, 8, 40), (3, 3, 17, 40), size=(9, 8), padding=(-1,)),
        case((2, 14, 13, 33), (3, 3, 70, 33), size=(14, 13), padding=(-1,)),
        case((3, 11, 12, 20), (3, 3, 17, 20), size=(13, 12), padding=(0, 0, 1, 1)),
        case((1, 3, 3, 4), (2, 2, 2, 4), size=(8, 9), strides=(2, 3), dilation=(3, 2), groups=2),
        case((1, 4, 3, 4), (1, 1, 2, 4), size=(8, 7), strides=(2, 3)),
        case((1, 3, 3, 3), (3, 3, 1, 3), size=(5, 5), strides=(2, 2), padding=(-1,), groups=3),
        case((2, 6, 7, 35), (3, 3, 1, 35), size=(6, 7), padding=(-1,), groups=35),
        case((1, 3, 3, 6), (3, 3, 1, 6), size=(5, 5), groups=3),
        case(
            (1, 2, 3, 5, 2),
            (2, 2, 3, 2, 2),
            size=(3, 4, 5),
            strides=(1, 2, 1),
            padding=(0, 0, 1, 1, 1, 1),
        ),
        case((1, 5, 5, 1), (2, 2, 1, 1), size=(2, 2), padding=(2, 2, 2, 2)),
        case((0, 3, 3, 4), (3, 3, 2, 4), size=(5, 5)),
        case((2, 3, 3, 0), (3, 3, 2, 0), size=(5, 5)),
        case((2, 3, 3, 3), (3, 3, 0, 3), size=(5, 5)),
        case((2, 3, 3, 4), (5, 5, 2, 4), size=(8, 7), strides=(2, 2), padding=(1, 1, 1, 2)),
    ],
    "conv_weight_grad": [
        case((2, 9, 3), (2, 7, 4), kernel=(3,)),
        case((1, 700, 2), (1, 700, 20), kernel=(5,), padding=(4, 0)),
        case((2, 6, 5, 2), (2, 3, 3, 5), kernel=(3, 3), strides=(2, 2), padding=(1, 0, 1, 1)),
        case((2, 9, 8, 5), (2, 9, 8, 70), kernel=(3, 3), padding=(-1,)),
        case((9, 9, 9, 40), (9, 9, 9, 33), kernel=(3, 3), padding=(-1,)),
        case((3, 40, 41, 9), (3, 40, 41, 17), kernel=(1, 1)),
        case((1, 5, 5, 4), (1, 5, 5, 6), kernel=(3, 2), padding=(-1,), dilation=(2, 1), groups=2),
        case((1, 5, 5, 3), (1, 3, 3, 3), kernel=(3, 3), strides=(2, 2), padding=(-1,), groups=3),
        case((4, 16, 17, 35), (4, 16, 17, 35), kernel=(3, 3), padding=(-1,), groups=35),
        case((1, 5, 5, 3), (1, 3, 3, 6), kernel=(3, 3), groups=3),
        case(
            (1, 3, 4, 5, 2),
            (1, 2, 2, 4, 2),
            kernel=(2, 2, 3),
            strides=(1, 2, 1),
            padding=(0, 0, 1, 0, 1, 0),
        ),
        case((0, 5, 5, 2), (0, 3, 3, 4), kernel=(3, 3)),
        case((2, 5, 5, 2), (2, 3, 3, 0), kernel=(3, 3)),
        case((1, 2, 2, 1), (1, 7, 7, 1), kernel=(2, 2), padding=(3, 3, 2, 4)),
    ],
    "max_pool": [
        case((2, 7, 3), window=(3,), strides=(2,)),
        case((1, 5, 6, 2), window=(2, 3), strides=(2, 2), padding=(-1,)),
        case((1, 4, 4, 17), window=(2, 2), padding=(1, 0, 1, 1)),
        case((2, 8, 9, 33), window=(3, 2), strides=(3, 2)),
        case((1, 3, 4, 5, 2), window=(2, 2, 3), strides=(1, 2, 1), padding=(-1,)),
        case((0, 4, 2), window=(2,)),
        case((1, 4, 0), window=(2,)),
    ],
    "max_pool_grad": [
        case(
            (2, 3, 3),
            np.arange(18, dtype=np.int32).reshape(2, 3, 3) % 4,
            size=(7,),
            window=(3,),
            strides=(2,),
        ),
        case(
            (1, 3, 3, 2),
            np.arange(18, dtype=np.int32).reshape(1, 3, 3, 2) % 7,
            size=(5, 6),
            window=(2, 3),
            strides=(2, 2),
            padding=(-1,),
        ),
        case(
            (1, 4, 5, 1),
            np.arange(20, dtype=np.int32).reshape(1, 4, 5, 1) % 5 - 1,
            size=(4, 4),
            window=(2, 2),
            padding=(1, 0, 1, 1),
        ),
        case(
            (2, 4, 3, 33),
            np.arange(792, dtype=np.int32).reshape(2, 4, 3, 33) % 5,
            size=(8, 7),
            window=(2, 3),
            strides=(2, 2),
        ),
    ],
    "max_pool_pick": [
        case(
            (2, 7, 3), np.arange(18, dtype=np.int32).reshape(2, 3, 3) % 4, window=(3,), strides=(2,)
        ),
        case(
            (1, 5, 6, 2),
            np.arange(18, dtype=np.int32).reshape(1, 3, 3, 2) % 7,
            window=(2, 3),
            strides=(2, 2),
            padding=(-1,),
        ),
        case(
            (1, 4, 4, 1),
            np.arange(20, dtype=np.int32).reshape(1, 4, 5, 1) % 5 - 1,
            window=(2, 2),
            padding=(1, 0, 1, 1),
        ),
        case(
            (2, 8, 7, 33),
            np.arange(792, dtype=np.int32).reshape(2, 4, 3, 33) % 5,
            window=(2, 3),
            strides=(2, 2),
        ),
    ],
    "average_pool": [
        case((2, 7, 3), window=(3,), strides=(2,)),
        case((1, 5, 6, 2), window=(2, 3), strides=(2, 2), padding=(-1,)),
        case((1, 4, 4, 1), window=(2, 2), padding=(1, 0, 1, 1), count_padding=True),
        case((2, 8, 9, 33), window=(3, 2), strides=(3, 2), padding=(2, 0, 1, 1)),
        case((1, 3, 4, 5, 1), window=(2, 2, 3), strides=(1, 2, 1), padding=(-1,)),
        case((1, 4, 0), window=(2,)),
    ],
    "average_pool_grad": [
        case((2, 3, 3), size=(7,), window=(3,), strides=(2,)),
        case((1, 3, 3, 2), size=(5, 6), window=(2, 3), strides=(2, 2), padding=(-1,)),
        case((1, 4, 5, 1), size=(4, 4), window=(2, 2), padding=(1, 0, 1, 1), count_padding=True),
        case((2, 3, 5, 33), size=(8, 9), window=(3, 2), strides=(3, 2), padding=(1, 0, 1, 1)),
    ],
    "resample": resampling(back=False),
    "resample_grad": resampling(back=True),
    "cumsum": [case((3, 5), axis=-1), case((3, 5), axis=0), case((2, 1025), axis=1)],
}


def needs_cases(row) -> bool:
    """True where shapes cannot be guessed from the row."""
    required = any(default is ... for _, _, default in row.attrs)
    kinds = ("Contract", "Index", "Movement", "View", "Leaf", "Random")
    return not row.args or required or row.klass in kinds or row.args[0].startswith("*")


def cases_of(row, *, small: bool) -> list[Case]:
    """The cases of a row; `small` ones are cheap enough for finite differences."""
    if row.name in CASES:
        found = CASES[row.name]
    elif row.klass == "Reduce" or any(name == "axis" for name, _, _ in row.attrs):
        one = any(name == "axis" and kind == "IntOrNone" for name, kind, _ in row.attrs)
        found = ARG_REDUCTIONS if one else REDUCTIONS + LONG_REDUCTIONS
        names = {name for name, _, _ in row.attrs}
        found = [Case(c.inputs, {k: v for k, v in c.attrs.items() if k in names}) for c in found]
    else:
        n = len(row.args)
        found = [case(*[(3, 5)] * n), case(*[(2, 1, 3), (4, 3)][:n], *[(3,)] * (n - 2))]
        if n > 1:
            found += [case((3, 1), *[(1, 5)] * (n - 1)), case((), *[(7,)] * (n - 1))]
        found += [case(*[(length,)] * n) for length in (*LENGTHS, 0)]
    if small:
        found = [c for c in found if 0 < sum(map(elements, c.inputs)) <= 64]
        if row.name == "std":  # has a kink where the deviation is zero, as of a single number
            found = [c for c in found if 1 not in c.inputs[0]]
    elif row.name == "logsumexp":  # its formula takes the largest element
        found = [c for c in found if 0 not in c.inputs[0]]
    return found


def elements(spec) -> int:
    return spec.size if isinstance(spec, np.ndarray) else math.prod(spec)


def sample(row, one: Case, rng: np.random.Generator) -> list[np.ndarray]:
    """Float32 inputs from the row's domain; ready arrays are taken as they are."""
    arrays = []
    for i, spec in enumerate(one.inputs):
        low, high = row.domain[min(i, len(row.domain) - 1)]
        if isinstance(spec, np.ndarray):
            arrays.append(spec)
        elif row.name == "where" and i == 0:
            arrays.append(rng.random(spec) < 0.5)
        else:
            arrays.append(rng.uniform(low, high, spec).astype(np.float32))
    return arrays


def table(*, differentiable=False, smooth=False, elementwise=False) -> list[str]:
    return [
        row.name
        for row in ROWS.values()
        if row.formula
        # Rounding is a staircase; its derivative is taken to be that of the identity.
        and (not (differentiable or smooth) or (row.differentiable and row.name not in ROUNDING))
        and (not smooth or row.smooth)
        and (not elementwise or (row.klass == "Elementwise" and row.name not in CASES))
    ]
