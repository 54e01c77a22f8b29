"""Ops between layers in Keras's files: Keras and fastnn read each other's, with the same values."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs keras: the `peers` extra")
pytest.importorskip("h5py", reason='needs h5py: pip install "fastnn-rs[keras-files]"')

import fastnn  # noqa: E402
from fastnn.serialization.keras_names import _rows  # noqa: E402

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

#: A call of every op that the table adds to arithmetic, by the name of Keras's class. `o` is the
#: module of ops, `x` has the shape (n, 4, 4), `y` is another such, `i` holds 0 to 3.
CALLS = {
    "Append": lambda o, x, y, i: o.append(x, y, axis=1),
    "ArraySplit": lambda o, x, y, i: o.array_split(x, 3, axis=1)[0],
    "Argsort": lambda o, x, y, i: o.argsort(x, axis=-1),
    "Average": lambda o, x, y, i: o.average(x, axis=1, weights=np.array([0.1, 0.2, 0.3, 0.4])),
    "BroadcastTo": lambda o, x, y, i: o.add(o.broadcast_to(o.mean(x), (4, 4)), x),
    "Cholesky": lambda o, x, y, i: o.cholesky(
        o.add(o.matmul(x, o.transpose(x, (0, 2, 1))), np.eye(4, dtype="float32"))),
    "CountNonzero": lambda o, x, y, i: o.count_nonzero(o.relu(x), axis=1),
    "Cross": lambda o, x, y, i: o.cross(x[:, :, :3], y[:, :, :3]),
    "Cumprod": lambda o, x, y, i: o.cumprod(x, axis=1),
    "Cumsum": lambda o, x, y, i: o.cumsum(x, axis=2),
    "DepthToSpace": lambda o, x, y, i: o.depth_to_space(o.reshape(x, (-1, 2, 2, 4)), 2),
    "Det": lambda o, x, y, i: o.det(x),
    "Diagonal": lambda o, x, y, i: o.diagonal(x, offset=1, axis1=1, axis2=2),
    "Diff": lambda o, x, y, i: o.diff(x, n=2, axis=1),
    "Digitize": lambda o, x, y, i: o.digitize(x, np.array([-0.5, 0.0, 0.5], "float32")),
    "Dstack": lambda o, x, y, i: o.dstack([x, y]),
    "Einsum": lambda o, x, y, i: o.einsum("nij,njk->nik", x, y),
    "ExtractSequences": lambda o, x, y, i: o.extract_sequences(x[:, 0], 2, 1),
    "Flip": lambda o, x, y, i: o.flip(x, axis=1),
    "FullLike": lambda o, x, y, i: o.add(o.full_like(x, 2.5), x),
    "HardShrink": lambda o, x, y, i: o.hard_shrink(x, 0.3),
    "Hsplit": lambda o, x, y, i: o.hsplit(x, 2)[1],
    "Hstack": lambda o, x, y, i: o.hstack([x, y]),
    "Inv": lambda o, x, y, i: o.inv(o.add(o.multiply(x, 0.1), np.eye(4, dtype="float32"))),
    "Median": lambda o, x, y, i: o.median(x, axis=1, keepdims=True),
    "Moments": lambda o, x, y, i: o.moments(x, axes=[1])[1],
    "NanToNum": lambda o, x, y, i: o.nan_to_num(o.log(x), nan=7.0),
    "Normalize": lambda o, x, y, i: o.normalize(x, axis=-1, order=2),
    "OneHot": lambda o, x, y, i: o.one_hot(i, 4),
    "OnesLike": lambda o, x, y, i: o.add(o.ones_like(x), y),
    "Pad": lambda o, x, y, i: o.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=3.0),
    "Repeat": lambda o, x, y, i: o.repeat(x, 2, axis=1),
    "Roll": lambda o, x, y, i: o.roll(x, 1, axis=2),
    "Round": lambda o, x, y, i: o.round(x, 1),
    "Slice": lambda o, x, y, i: o.multiply(o.slice(y[:1, :], [0, 1, 1], [1, 2, 2]), x[:, :2, :2]),
    "Solve": lambda o, x, y, i: o.solve(o.add(o.multiply(x, 0.1), np.eye(4, dtype="float32")), y),
    "Sort": lambda o, x, y, i: o.sort(x, axis=1),
    "SpaceToDepth": lambda o, x, y, i: o.space_to_depth(o.reshape(x, (-1, 4, 2, 2)), 2),
    "Split": lambda o, x, y, i: o.split(x, 2, axis=1)[1],
    "Squareplus": lambda o, x, y, i: o.squareplus(x, 2.0),
    "TakeAlongAxis": lambda o, x, y, i: o.take_along_axis(x, i, axis=2),
    "Tensordot": lambda o, x, y, i: o.tensordot(x, np.ones((4, 2), "float32"), axes=1),
    "Threshold": lambda o, x, y, i: o.threshold(x, 0.1, -1.0),
    "Tile": lambda o, x, y, i: o.tile(x, (1, 2, 1)),
    "TopK": lambda o, x, y, i: o.top_k(x, 2)[0],
    "Trace": lambda o, x, y, i: o.trace(x, axis1=1, axis2=2),
    "Tril": lambda o, x, y, i: o.tril(x, k=-1),
    "Triu": lambda o, x, y, i: o.triu(x),
    "Unstack": lambda o, x, y, i: o.unstack(x, 4, axis=1)[2],
    "ZerosLike": lambda o, x, y, i: o.add(o.zeros_like(x), y),
}  # fmt: skip
UNARY = (
    "exp2 log2 log10 cbrt tan sinh cosh arcsin arccos arctan arcsinh arctanh trunc signbit sinc i0 "
    "isneginf isposinf deg2rad rad2deg erfc erfinv hard_tanh tanh_shrink sparse_plus sparse_sigmoid"
    " soft_shrink nanmax nanmean nansum"
).split()
BINARY = "fmax fmin fmod arctan2 hypot logaddexp logaddexp2 heaviside divide_no_nan".split()
CALLS |= {n: lambda o, x, y, i, n=n: getattr(o, n)(o.multiply(x, 0.3)) for n in UNARY}
CALLS |= {n: lambda o, x, y, i, n=n: getattr(o, n)(x, y) for n in BINARY}


def model_of(k, call):
    x, y = k.Input((4, 4)), k.Input((4, 4))
    i = k.Input((4, 4), dtype="int32")
    out = call(k.ops, x, y, i)
    if len(out.shape) == 0:
        out = k.ops.add(k.ops.reshape(out, (1, 1)), x[:, 0])
    return k.Model([x, y, i], k.ops.cast(out, "float32"))


@pytest.mark.parametrize("name", CALLS)
def test_both_read_an_op_of_the_other(name, tmp_path):
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(3, 4, 4)).astype("float32"),
            rng.normal(size=(3, 4, 4)).astype("float32"),
            rng.integers(0, 4, (3, 4, 4)).astype("int32")]  # fmt: skip
    for maker, reader in ((fastnn, keras), (keras, fastnn)):
        k = maker if maker is keras else fastnn.keras
        model = model_of(k, CALLS[name])
        path = str(tmp_path / f"{maker.__name__}.keras")
        model.save(path)
        again = (reader if reader is keras else fastnn.keras).models.load_model(path)
        want, got = model.predict(data, verbose=0), again.predict(data, verbose=0)
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def test_the_table_has_keras_classes_and_arguments():
    import importlib
    import inspect

    for row in _rows():
        cls = getattr(importlib.import_module(row.module), row.class_name)
        settings = inspect.signature(cls.__init__).parameters
        given = inspect.signature(cls.call).parameters
        assert set(row.config) <= set(settings), row
        assert set(row.call) <= set(given) | {"xs"}, row
        assert hasattr(fastnn.ops, row.function), row
