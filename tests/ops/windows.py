"""What rows over images compute, in NumPy and float64: their formulas call these by name."""

import itertools

import numpy as np

SAME = (-1,)


def _axes(sizes, kernel, strides, padding, dilation):
    """(size, taps, stride, dilation, before, after, places) along each axis."""
    count = len(sizes)

    def each(values):
        return tuple(values) * count if len(values) == 1 else tuple(values) or (1,) * count

    kernel, strides, dilation = each(tuple(kernel)), each(tuple(strides)), each(tuple(dilation))
    out = []
    for i, (n, k, s, d) in enumerate(zip(sizes, kernel, strides, dilation, strict=True)):
        span = (k - 1) * d + 1
        if tuple(padding) == SAME:
            both = max((-(-n // s) - 1) * s + span - n, 0)
            low, high = both // 2, both - both // 2
        else:
            low, high = tuple(padding)[2 * i : 2 * i + 2] if len(padding) else (0, 0)
        out.append((n, k, s, d, low, high, max((n + low + high - span) // s + 1, 0)))
    return out


def _taps(axes):
    """Each tap with the part of the padded image that it sees."""
    for tap in itertools.product(*(range(axis[1]) for axis in axes)):
        where = [
            slice(t * d, t * d + (out - 1) * s + 1, s) if out else slice(0, 0)
            for t, (_, _, s, d, _, _, out) in zip(tap, axes, strict=True)
        ]
        yield tap, (slice(None), *where, slice(None))


def _padded(x, axes, value=0.0):
    widths = [(0, 0), *((low, high) for *_, low, high, _ in axes), (0, 0)]
    return np.pad(x, widths, constant_values=value)


def _inside(x, axes):
    where = [slice(low, low + n) for n, _, _, _, low, _, _ in axes]
    return x[(slice(None), *where, slice(None))]


def _groups(count, channels, filters):
    """Which channels and filters belong together."""
    c, m = channels // count, filters // count
    return [(slice(g * c, g * c + c), slice(g * m, g * m + m)) for g in range(count)]


def convolved(x, w, strides, padding, dilation, groups):
    axes = _axes(x.shape[1:-1], w.shape[:-2], strides, padding, dilation)
    y = np.zeros((x.shape[0], *(axis[-1] for axis in axes), w.shape[-1]))
    wide = _padded(x, axes)
    for tap, where in _taps(axes):
        for channels, filters in _groups(groups, x.shape[-1], w.shape[-1]):
            y[..., filters] += wide[where][..., channels] @ w[tap][:, filters]
    return y


def convolved_back(dy, w, size, strides, padding, dilation, groups):
    axes = _axes(size, w.shape[:-2], strides, padding, dilation)
    wide = _padded(np.zeros((dy.shape[0], *size, w.shape[-2] * groups)), axes)
    for tap, where in _taps(axes):
        for channels, filters in _groups(groups, wide.shape[-1], w.shape[-1]):
            wide[where][..., channels] += dy[..., filters] @ w[tap][:, filters].T
    return _inside(wide, axes)


def convolved_weights(x, dy, kernel, strides, padding, dilation, groups):
    axes = _axes(x.shape[1:-1], kernel, strides, padding, dilation)
    wide = _padded(x, axes)
    dw = np.zeros((*kernel, x.shape[-1] // groups, dy.shape[-1]))
    lead = tuple(range(dy.ndim - 1))
    for tap, where in _taps(axes):
        for channels, filters in _groups(groups, x.shape[-1], dy.shape[-1]):
            seen = wide[where][..., channels]
            dw[tap][:, filters] = np.tensordot(seen, dy[..., filters], (lead, lead))
    return dw


def _seen(x, window, strides, padding):
    """What each element of the window sees, one after the other, and where that is no padding."""
    axes = _axes(x.shape[1:-1], window, strides, padding, ())
    wide, inside = _padded(x, axes), _padded(np.ones(x.shape, bool), axes, value=False)
    parts = [(wide[where], inside[where]) for _, where in _taps(axes)]
    return np.stack([a for a, _ in parts]), np.stack([b for _, b in parts]), axes


def pooled(x, window, strides, padding):
    values, inside, _ = _seen(x, window, strides, padding)
    # NaN before all, then the largest, of equals the first; never padding.
    rank = np.where(np.isnan(values), 2, np.where(inside, 1, 0))
    rank = np.where(rank == rank.max(0), 1, 0)
    best = np.where(rank == 1, np.where(np.isnan(values), np.inf, values), -np.inf)
    first = np.argmax((rank == 1) & (best == best.max(0)), axis=0)
    return np.take_along_axis(values, first[None], 0)[0], first


def picked(x, indices, window, strides, padding):
    values, inside, _ = _seen(x, window, strides, padding)
    numbers = np.arange(len(values)).reshape(-1, *(1,) * x.ndim)
    return np.where((numbers == indices) & inside, values, 0.0).sum(0)


def unpooled(dy, indices, size, window, strides, padding):
    axes = _axes(size, window, strides, padding, ())
    wide = _padded(np.zeros((dy.shape[0], *size, dy.shape[-1])), axes)
    for number, (_, where) in enumerate(_taps(axes)):
        wide[where] += np.where(indices == number, dy, 0.0)
    return _inside(wide, axes)


def averaged(x, window, strides, padding, count_padding):
    values, inside, _ = _seen(x, window, strides, padding)
    return values.sum(0) / (len(values) if count_padding else inside.sum(0))


def averaged_back(dy, size, window, strides, padding, count_padding):
    image = np.zeros((dy.shape[0], *size, dy.shape[-1]))
    values, inside, axes = _seen(image, window, strides, padding)
    share = dy / (len(values) if count_padding else inside.sum(0))
    wide = _padded(image, axes)
    for _, where in _taps(axes):
        wide[where] += share
    return _inside(wide, axes)


def _resampler(at, by, size):
    """The matrix that places and weights stand for."""
    matrix = np.zeros((len(at), size))
    for (i, k), weight in np.ndenumerate(by):
        if 0 <= at[i] + k < size:
            matrix[i, at[i] + k] = weight
    return matrix


def _between(x, rows, columns):
    """Sums over what has a weight; 0 times infinity counts nowhere."""
    out = np.zeros((x.shape[0], len(rows), len(columns), x.shape[-1]))
    for (i, h), by in np.ndenumerate(rows):
        for (j, w), across in np.ndenumerate(columns):
            if by != 0 and across != 0:
                out[:, i, j] += by * across * x[:, h, w]
    return out


def resampled(x, row_at, row_by, column_at, column_by):
    rows = _resampler(row_at, row_by, x.shape[1])
    return _between(x, rows, _resampler(column_at, column_by, x.shape[2]))


def resampled_back(dy, row_at, row_by, column_at, column_by, size):
    rows = _resampler(row_at, row_by, size[0])
    return _between(dy, rows.T, _resampler(column_at, column_by, size[1]).T)


#: Names that formulas may call.
NAMES = {
    f.__name__: f
    for f in (
        averaged, averaged_back, convolved, convolved_back, convolved_weights,
        picked, pooled, resampled, resampled_back, unpooled,
    )
}  # fmt: skip
