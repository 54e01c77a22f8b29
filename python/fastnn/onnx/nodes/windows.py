"""Convolutions and pooling: channels stand in front in ONNX and last in the engine's rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Dim
from fastnn.onnx.values import Call, host, is_known, like, ndim, shape, tensor, traced
from fastnn.ops import rows

__all__ = ["OPS", "channels_first", "channels_last", "convolve"]

Op = Callable[..., Any]


def channels_last(t: Any) -> Any:
    """(batch, channels, sizes..) as (batch, sizes.., channels)."""
    return ops.transpose(t, [0, *range(2, ndim(t)), 1])


def channels_first(t: Any) -> Any:
    """(batch, sizes.., channels) as (batch, channels, sizes..)."""
    return ops.transpose(t, [0, ndim(t) - 1, *range(1, ndim(t) - 1)])


class Window:
    """How a window moves: attributes that convolutions and pools share."""

    kernel: list[int]
    strides: Any
    dilations: Any
    spans: list[Any]
    sizes: list[Any]

    def __init__(self, c: Call, x: Any, kernel: list[int]) -> None:
        axes = ndim(x) - 2
        self.kernel = [int(k) for k in kernel]
        self.strides = c.ints("strides", [1] * axes)
        self.dilations = c.ints("dilations", [1] * axes)
        if axes < 1 or not len(self.kernel) == len(self.strides) == len(self.dilations) == axes:
            raise c.wrong(f"its kernel, strides and dilations are not for {axes} spatial axes")
        if min(self.kernel + self.strides + self.dilations) < 1:
            raise c.wrong("a size of its kernel, a stride or a dilation is below 1")
        self.spans = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        self.sizes = list(shape(x)[2:])
        auto = c.attr("auto_pad", "NOTSET") or "NOTSET"
        pads = c.ints("pads", [0] * 2 * axes)
        #: Before and after each axis; None: as many places as ceil(size / stride).
        self.pads: list[tuple[int, int]] | None
        if auto == "NOTSET":
            if len(pads) != 2 * axes:
                raise c.wrong(f"{len(pads)} pads for {axes} spatial axes")
            self.pads = list(zip(pads[:axes], pads[axes:], strict=True))
        elif auto == "VALID":
            self.pads = [(0, 0)] * axes
        elif auto in ("SAME_UPPER", "SAME_LOWER"):
            self.pads = self._same(auto == "SAME_UPPER")
            if self.pads is None and auto == "SAME_LOWER":
                raise c.wrong("SAME_LOWER over an axis of open size", "give it as a number")
        else:
            raise c.wrong(f"there is no auto_pad {auto!r}")

    def _same(self, upper: bool) -> list[tuple[int, int]] | None:
        if any(isinstance(n, Dim) for n in self.sizes):
            return None
        found = []
        for n, s, span in zip(self.sizes, self.strides, self.spans, strict=True):
            total = max((-(-n // s) - 1) * s + span - n, 0)
            small, large = total // 2, total - total // 2
            found.append((small, large) if upper else (large, small))
        return found

    @property
    def flat(self) -> list[int]:
        """Padding as the engine's rows take it."""
        return [-1] if self.pads is None else [p for pair in self.pads for p in pair]

    def places(self, ceil: bool) -> list[int]:
        """How many places the window takes along each axis; sizes are known."""
        found = []
        for n, s, span, (a, b) in zip(self.sizes, self.strides, self.spans, self.pads or (),
                                      strict=True):  # fmt: skip
            room = n + a + b - span
            count = (-(-room // s) if ceil else room // s) + 1
            if ceil and (count - 1) * s >= n + a:
                count -= 1  # a window that would begin behind the array
            found.append(max(count, 0))
        return found

    @property
    def is_open(self) -> bool:
        """Whether a spatial size is open."""
        return any(isinstance(n, Dim) for n in self.sizes)

    def slices(self, t: Any, fill: float, places: list[int]) -> list[Any]:
        """What each tap of the window sees, channels in front."""
        pads = [(0, 0), (0, 0)]
        for n, s, span, (a, b), count in zip(
            self.sizes, self.strides, self.spans, self.pads or (), places, strict=True
        ):
            pads.append((a, max((count - 1) * s + span - n - a, b)))
        wide = ops.pad(t, pads, constant_values=fill) if any(map(any, pads)) else t
        found = []
        for tap in itertools.product(*(range(k) for k in self.kernel)):
            cut = tuple(
                slice(o * d, o * d + (count - 1) * s + 1, s)
                for o, d, s, count in zip(tap, self.dilations, self.strides, places, strict=True)
            )
            found.append(wide[(slice(None), slice(None), *cut)])
        return found


def convolve(c: Call, x: Any, w: Any) -> Any:
    """The convolution of tensors, without a bias."""
    kernel = c.ints("kernel_shape", list(shape(w)[2:]))
    if list(shape(w)[2:]) != kernel:
        raise c.wrong(f"its weights are {shape(w)}, its kernel {kernel}")
    at = Window(c, x, kernel)
    order = [*range(2, ndim(w)), 1, 0]
    found = rows.conv(
        channels_last(x), ops.transpose(w, order), strides=at.strides, padding=at.flat,
        dilation=at.dilations, groups=int(c.attr("group", 1)),
    )  # fmt: skip
    return channels_first(found)


def _biased(y: Any, bias: Any) -> Any:
    if bias is None:
        return y
    return y + ops.reshape(tensor(bias), [1, -1, *[1] * (ndim(y) - 2)])


def _conv(c: Call, x: Any, w: Any, bias: Any = None) -> Any:
    return like(_biased(convolve(c, tensor(x), tensor(w)), bias), x)


def _conv_transpose(c: Call, x: Any, w: Any, bias: Any = None) -> Any:
    t, kernel = tensor(x), tensor(w)
    axes = ndim(t) - 2
    sizes = c.ints("kernel_shape", list(shape(kernel)[2:]))
    strides, dilations = c.ints("strides", [1] * axes), c.ints("dilations", [1] * axes)
    extra = c.ints("output_padding", [0] * axes)
    pads = c.ints("pads", [0] * 2 * axes)
    auto, wanted = c.attr("auto_pad", "NOTSET") or "NOTSET", c.ints("output_shape")
    groups = int(c.attr("group", 1))
    have = shape(t)[2:]
    spans = [(k - 1) * d + 1 for k, d in zip(sizes, dilations, strict=True)]
    whole = [(n - 1) * s + span for n, s, span in zip(have, strides, spans, strict=True)]
    starts: list[int] = []
    lengths: list[Any] = []
    for i in range(axes):
        if wanted is not None or auto.startswith("SAME"):
            length = wanted[i] if wanted is not None else have[i] * strides[i]
            total = whole[i] + extra[i] - length
            if isinstance(total, Dim):
                raise c.wrong("its padding depends on an open size", "give it as a number")
            total = max(total, 0)  # what lacks for a longer output stands at its end
            starts.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
        elif auto == "VALID":
            length = whole[i] + extra[i]
            starts.append(0)
        else:
            length = whole[i] + extra[i] - pads[i] - pads[i + axes]
            starts.append(pads[i])
        lengths.append(length)
    c.check(lengths)
    order = [*range(2, ndim(kernel)), 1, 0]
    y = rows.conv_input_grad(
        channels_last(t), ops.transpose(kernel, order), size=whole, strides=strides,
        dilation=dilations, groups=groups,
    )  # fmt: skip
    y = _fitted(channels_first(y), whole, starts, lengths)
    return like(_biased(y, bias), x)


def _col2im(c: Call, x: Any, image: Any, block: Any) -> Any:
    """Blocks added up where they lie: a transposed convolution that spreads each value alone."""
    sizes, kernel = c.list(image, "image_shape"), c.list(block, "block_shape")
    rank, taps = len(sizes), math.prod(kernel)
    pads = c.ints("pads", [0] * 2 * rank)
    strides, dilations = c.ints("strides", [1] * rank), c.ints("dilations", [1] * rank)
    whole = [n + a + b for n, a, b in zip(sizes, pads[:rank], pads[rank:], strict=True)]
    c.check(whole)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    steps = [(w - span) // s + 1 for w, span, s in zip(whole, spans, strides, strict=True)]
    depth = shape(x)[1] // taps
    spread = np.tile(np.eye(taps, dtype=np.float32).reshape(taps, 1, *kernel),
                     (depth, 1, *[1] * rank))  # fmt: skip
    covered = [(m - 1) * s + span for m, s, span in zip(steps, strides, spans, strict=True)]
    y = rows.conv_input_grad(
        channels_last(ops.reshape(tensor(x), [shape(x)[0], depth * taps, *steps])),
        ops.transpose(tensor(spread), [*range(2, rank + 2), 1, 0]), size=covered,
        strides=strides, dilation=dilations, groups=depth,
    )  # fmt: skip
    return like(_fitted(channels_first(y), covered, pads[:rank], sizes), x)


def _fitted(y: Any, whole: list[Any], starts: list[int], lengths: list[Any]) -> Any:
    """What lies from `starts` on, so many places of it; zeros where nothing was."""
    pads, cut = [(0, 0), (0, 0)], [slice(None), slice(None)]
    for n, first, length in zip(whole, starts, lengths, strict=True):
        before = max(-first, 0)
        lacking = length - before - (n - max(first, 0))
        after = lacking if isinstance(lacking, int) and lacking > 0 else 0
        pads.append((before, after))
        end = max(first, 0) + length - before - after
        cut.append(slice(max(first, 0), end))
    y = y[tuple(cut)]
    return ops.pad(y, pads) if any(map(any, pads)) else y


def _max_pool(c: Call, x: Any) -> Any:
    at = Window(c, x, c.ints("kernel_shape", []))
    ceil = bool(c.attr("ceil_mode", 0))
    if c.outputs > 1 and c.node.outputs[1]:
        return _max_with_places(c, x, at, ceil)
    t = ops.cast(tensor(x), "float32")
    if not ceil and max(at.dilations) == 1:
        found = rows.max_pool(
            channels_last(t), window=at.kernel, strides=at.strides, padding=at.flat
        )[0]
        return like(channels_first(found), x)
    if at.is_open:
        raise c.wrong("dilations or ceil_mode over an axis of open size", "give it as a number")
    parts = at.slices(t, -math.inf, at.places(ceil))
    found = parts[0]
    for part in parts[1:]:
        found = ops.maximum(found, part)
    return like(found, x)


def _max_with_places(c: Call, x: Any, at: Window, ceil: bool) -> Any:
    """Values, and where in the flattened input they stand."""
    if at.is_open:
        raise c.wrong("places of maxima over an axis of open size", "give it as a number")
    places = at.places(ceil)
    if traced(x):
        return _traced_places(c, x, at, places)
    a = host(x)
    numbers = np.arange(a.size).reshape(a.shape)
    if c.attr("storage_order", 0):
        inner = a.shape[2:]
        order = np.arange(math.prod(inner)).reshape(inner[::-1]).T
        lead = np.arange(a.shape[0] * a.shape[1]).reshape(*a.shape[:2], *[1] * len(inner))
        numbers = lead * math.prod(inner) + order
    values = np.stack([np.asarray(v) for v in at.slices(tensor(a), -math.inf, places)])
    which = np.argmax(values, axis=0)
    found = np.take_along_axis(values, which[None], 0)[0]
    seen = [_slices_of(at, numbers, places, tap) for tap in
            itertools.product(*(range(k) for k in at.kernel))]  # fmt: skip
    index = np.take_along_axis(np.stack(seen), which[None], 0)[0].astype(np.int64)
    return (found.astype(a.dtype) if is_known(x) else tensor(found)), index


def _traced_places(c: Call, x: Any, at: Window, places: list[int]) -> Any:
    count, channels, *sizes = shape(x)
    area = math.prod(sizes)
    order = np.arange(area)
    order = order.reshape(sizes[::-1]).T if c.attr("storage_order", 0) else order.reshape(sizes)
    found, where = None, None
    for part, tap in zip(
        at.slices(x, -math.inf, places),
        itertools.product(*(range(k) for k in at.kernel)),
        strict=True,
    ):
        here = tensor(_slices_of(at, order[None, None], places, tap).astype(np.int32))
        better = True if found is None else part > found  # the first of equal ones stays
        if found is None:
            where = here + ops.cast(ops.zeros_like(part), "int32")
        else:
            where = ops.where(better, here, where)
        found = part if found is None else ops.where(better, part, found)
    lead = ops.reshape(ops.iota(count), [-1, 1]) * channels + ops.reshape(
        ops.iota(channels), [1, -1]
    )
    lead = ops.reshape(lead, [count, channels, *[1] * len(sizes)]) * area
    return found, where + lead


def _slices_of(at: Window, numbers: Any, places: list[int], tap: Any) -> Any:
    pads = [(0, 0), (0, 0)]
    for n, s, span, (a, _), count in zip(
        at.sizes, at.strides, at.spans, at.pads or (), places, strict=True
    ):
        pads.append((a, max((count - 1) * s + span - n - a, 0)))
    wide = np.pad(numbers, pads)
    cut = tuple(
        slice(o * d, o * d + (count - 1) * s + 1, s)
        for o, d, s, count in zip(tap, at.dilations, at.strides, places, strict=True)
    )
    return wide[(slice(None), slice(None), *cut)]


def _average_pool(c: Call, x: Any) -> Any:
    at = Window(c, x, c.ints("kernel_shape", []))
    ceil, with_pads = bool(c.attr("ceil_mode", 0)), bool(c.attr("count_include_pad", 0))
    t = tensor(x)
    if not ceil and max(at.dilations) == 1:
        found = rows.average_pool(
            channels_last(t), window=at.kernel, strides=at.strides, padding=at.flat,
            count_padding=with_pads,
        )  # fmt: skip
        return like(channels_first(found), x)
    if at.is_open:
        raise c.wrong("dilations or ceil_mode over an axis of open size", "give it as a number")
    places = at.places(ceil)
    total: Any = 0.0
    for part in at.slices(t, 0.0, places):
        total = total + part
    # What counts: the array and, if asked, the padding that the node names, not what ceil adds.
    inside = np.ones((1, 1, *at.sizes), np.float32)
    if with_pads:
        inside = np.pad(inside, [(0, 0), (0, 0), *(at.pads or ())], constant_values=1)
        at.sizes = list(inside.shape[2:])
        at.pads = [(0, 0)] * len(at.sizes)
    count: Any = sum(np.asarray(p) for p in at.slices(tensor(inside), 0.0, places))
    return like(total / tensor(np.asarray(count, np.float32)), x)


def _lp_pool(c: Call, x: Any) -> Any:
    at = Window(c, x, c.ints("kernel_shape", []))
    if at.is_open:
        raise c.wrong("a pool over an axis of open size", "give it as a number")
    p = float(c.attr("p", 2))
    total: Any = 0.0
    powers = ops.power(ops.absolute(tensor(x)), p)
    for part in at.slices(powers, 0.0, at.places(bool(c.attr("ceil_mode", 0)))):
        total = total + part
    return like(ops.power(total, 1.0 / p), x)


def _global(engine: Op) -> Op:
    def op(c: Call, x: Any) -> Any:
        axes = list(range(2, ndim(x)))
        return c.engine(lambda t: engine(t, axis=axes, keepdims=True), x)

    return op


def _global_lp(c: Call, x: Any) -> Any:
    p, axes = float(c.attr("p", 2)), list(range(2, ndim(x)))

    def f(t: Any) -> Any:
        total = ops.sum(ops.power(ops.absolute(t), p), axis=axes, keepdims=True)
        return ops.power(total, 1.0 / p)

    return c.engine(f, x)


def _max_unpool(c: Call, x: Any, indices: Any, sizes: Any = None) -> Any:
    axes = ndim(x) - 2
    kernel, strides = c.ints("kernel_shape"), c.ints("strides", [1] * axes)
    pads = c.ints("pads", [0] * 2 * axes)
    natural = [
        (n - 1) * s + k - p - q
        for n, s, k, p, q in zip(shape(x)[2:], strides, kernel, pads[:axes], pads[axes:],
                                 strict=True)
    ]  # fmt: skip
    inferred = [*shape(x)[:2], *natural]
    wanted = inferred if sizes is None else c.list(sizes, "output_shape")
    c.check(wanted)
    if traced(x) or traced(indices):
        t = ops.reshape(tensor(x), [-1])
        places = ops.reshape(ops.cast(tensor(indices), "int32"), [-1, 1])
        flat = ops.scatter(places, t, [math.prod(inferred[1:]) * inferred[0]])
        y = ops.reshape(flat, inferred)
        if [str(d) for d in wanted] == [str(d) for d in inferred]:
            return y
        more = [(0, 0) if i < 2 else (0, n - m) for i, (n, m) in
                enumerate(zip(wanted, inferred, strict=True))]  # fmt: skip
        return ops.pad(y, more)
    a, at = host(x), host(indices)
    out = np.zeros(math.prod(inferred), a.dtype)
    out[at.reshape(-1)] = a.reshape(-1)
    out = out.reshape(inferred)
    if wanted != inferred:
        larger = np.zeros(wanted, a.dtype)
        larger[tuple(slice(0, n) for n in inferred)] = out
        out = larger
    return out if is_known(x) else tensor(out)


OPS: dict[str, Op] = {
    "Conv": _conv, "ConvTranspose": _conv_transpose, "MaxPool": _max_pool,
    "AveragePool": _average_pool, "LpPool": _lp_pool, "GlobalAveragePool": _global(ops.mean),
    "GlobalMaxPool": _global(ops.max), "GlobalLpPool": _global_lp, "MaxUnpool": _max_unpool,
    "Col2Im": _col2im,
}  # fmt: skip
