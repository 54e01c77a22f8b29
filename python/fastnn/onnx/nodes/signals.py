"""Spectra, determinants and texts: computed on arrays."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.base.typing import DTypeLike
from fastnn.onnx.graph import ELEMENTS, numpy_type
from fastnn.onnx.values import Call, is_known, tensor

__all__ = ["OPS"]

Op = Callable[..., Any]
Array = np.ndarray[Any, Any]


def _back(found: Array, x: Any) -> Any:
    return found if is_known(x) else tensor(found)


def _dft(c: Call, x: Any, length: Any = None, axis: Any = None) -> Any:
    a = c.host(x, "input")
    if axis is not None:
        at = int(c.host(axis, "axis").reshape(-1)[0])
    else:
        at = int(c.attr("axis", 1 if c.opset < 20 else -2))
    at = c.axis(at, a.ndim)
    count = None if length is None else int(c.host(length, "dft_length").reshape(-1)[0])
    inverse, one_sided = bool(c.attr("inverse", 0)), bool(c.attr("onesided", 0))
    z = a[..., 0] if a.shape[-1] == 1 else a[..., 0] + 1j * a[..., 1]
    if count is not None:
        c.check([count])
    if inverse and one_sided:
        found = np.fft.irfft(z, count, at)
        return _back(found[..., None].astype(a.dtype), x)
    spectrum: Any = (np.fft.ifft if inverse else np.fft.fft)(z, count, at)
    if one_sided:
        spectrum = np.take(spectrum, np.arange(spectrum.shape[at] // 2 + 1), at)
    return _back(np.stack([spectrum.real, spectrum.imag], -1).astype(a.dtype), x)


def _stft(c: Call, x: Any, step: Any, window: Any = None, length: Any = None) -> Any:
    a = c.host(x, "signal")
    hop = int(c.host(step, "frame_step").reshape(-1)[0])
    shape_of = None if window is None else c.host(window, "window")
    if length is not None:
        size = int(c.host(length, "frame_length").reshape(-1)[0])
    elif shape_of is not None:
        size = shape_of.shape[0]
    else:
        raise c.wrong("it has neither a window nor a frame_length")
    if hop < 1 or size < 1 or size > a.shape[1]:
        raise c.wrong(f"frames of {size} by {hop} over {a.shape[1]} values")
    z = a[..., 0] if a.ndim == 2 or a.shape[-1] == 1 else a[..., 0] + 1j * a[..., 1]
    z = a if a.ndim == 2 else z
    frames = np.lib.stride_tricks.sliding_window_view(z, size, axis=1)[:, ::hop]
    frames = frames if shape_of is None else frames * shape_of
    found = np.fft.fft(frames, axis=-1)
    if c.attr("onesided", 1):
        found = found[..., : size // 2 + 1]
    return _back(np.stack([found.real, found.imag], -1).astype(a.dtype), x)


def _mel_weights(c: Call, bins: Any, length: Any, rate: Any, low: Any, high: Any) -> Any:
    count, size, per = (int(c.host(v, "a number").reshape(-1)[0]) for v in (bins, length, rate))
    first, last = (float(c.host(v, "a number").reshape(-1)[0]) for v in (low, high))
    c.check([size // 2 + 1, count])
    spectrum = size // 2 + 1

    def mel(f: Any) -> Any:
        return 2595 * np.log10(1 + f / 700)

    steps = (mel(last) - mel(first)) / (count + 2)
    edges = np.arange(count + 2) * steps + mel(first)
    edges = ((size + 1) * (700 * (10 ** (edges / 2595) - 1)) // per).astype(int)
    out = np.zeros((spectrum, count))
    for i in range(count):
        a, b, e = edges[i : i + 3]
        if b == a:
            out[b, i] = 1
        else:
            out[a : b + 1, i] = (np.arange(a, b + 1) - a) / (b - a)
        if e != b:
            out[b:e, i] = (e - np.arange(b, e)) / (e - b)
    return out.astype(numpy_type(ELEMENTS[c.attr("output_datatype", 1)]))


def _det(c: Call, x: Any) -> Any:
    a = c.host(x, "X")
    return _back(np.asarray(np.linalg.det(a)).astype(a.dtype), x)


def _texts(f: Callable[[str], Any], x: Array, dtype: DTypeLike = object) -> Array:
    flat = np.empty(x.size, dtype)
    flat[:] = [f(_text(v)) for v in x.reshape(-1)]
    return flat.reshape(x.shape)


def _text(v: Any) -> str:
    return v.decode("utf-8") if isinstance(v, bytes) else str(v)


def _string_concat(c: Call, a: Any, b: Any) -> Any:
    return np.asarray(_texts(lambda v: v, a) + _texts(lambda v: v, b), object)


def _string_split(c: Call, x: Any) -> Any:
    separator, most = c.attr("delimiter") or None, c.attr("maxsplit")
    parts = [_text(v).split(separator, -1 if most is None else int(most)) for v in x.reshape(-1)]
    longest = max(map(len, parts), default=0)
    table = np.full((len(parts), longest), "", object)
    for row, words in enumerate(parts):
        table[row, : len(words)] = words
    count = np.asarray([len(p) for p in parts], np.int64)
    return table.reshape(*x.shape, longest), count.reshape(x.shape)


def _string_normalizer(c: Call, x: Any) -> Any:
    action, exact = c.attr("case_change_action", "NONE"), bool(c.attr("is_case_sensitive", 0))
    stop = list(c.attr("stopwords") or [])
    rows = x.reshape(1, -1) if x.ndim == 1 else x
    change: dict[str, Callable[[str], str]] = {"LOWER": str.lower, "UPPER": str.upper}
    lowered = {w if exact else w.lower() for w in stop}
    out = []
    for row in rows:
        words = [_text(v) for v in row]
        kept = [w for w in words if (w if exact else w.lower()) not in lowered]
        out.append([change.get(action, str)(w) for w in kept] or [""])
    found = np.empty((len(out), max(map(len, out))), object)
    for i, words in enumerate(out):
        found[i, : len(words)] = words
    return found[0] if x.ndim == 1 else found


def _regex(c: Call, x: Any) -> Any:
    # RE2 knows no look-around and no back references; Python's matcher could be made to run on.
    pattern = str(c.attr("pattern", ""))
    if len(pattern) > 1000 or re.search(r"[+*}]\)?[+*{]|\\\d|\(\?[=!<]", pattern):
        raise c.wrong(f"the pattern {pattern[:40]!r} may run without end", "a simpler pattern")
    compiled = re.compile(pattern)
    return _texts(lambda v: compiled.fullmatch(v) is not None, x, bool)


def _tf_idf(c: Call, x: Any) -> Any:
    a = c.host(x, "X")
    rows = a.reshape(1, -1) if a.ndim == 1 else a
    low, high, skip = (int(c.attr(k)) for k in
                       ("min_gram_length", "max_gram_length", "max_skip_count"))  # fmt: skip
    counts, places = c.ints("ngram_counts"), c.ints("ngram_indexes")
    numbers, words = c.ints("pool_int64s"), c.attr("pool_strings")
    pool = list(words) if words else numbers
    if high > 64 or skip > 1024 or max(places, default=0) > 1 << 24:
        raise c.wrong("its grams, skips or indexes are beyond reason")
    grams: dict[tuple[Any, ...], int] = {}
    ends = [*counts[1:], len(pool)]
    for n, (first, end) in enumerate(zip(counts, ends, strict=True), 1):
        for at in range(first, end, n):
            grams[tuple(pool[at : at + n])] = len(grams)
    out = np.zeros((len(rows), max(places) + 1), np.float32)
    for r, row in enumerate(rows):
        values = [_text(v) if words else int(v) for v in row]
        for n in range(low, high + 1):
            for apart in range(1, (skip + 1 if n > 1 else 1) + 1):
                span = (n - 1) * apart
                for at in range(len(values) - span):
                    found = grams.get(tuple(values[at : at + span + 1 : apart]))
                    if found is not None:
                        out[r, places[found]] += 1
    weights = c.attr("weights")
    scale = np.ones(out.shape[1], np.float32)
    if weights is not None:
        scale[np.asarray(places)] = weights
    mode = c.attr("mode", "TF")
    if mode == "IDF":
        out = (out > 0) * scale
    elif mode == "TFIDF":
        out = out * scale
    out = out.astype(np.float32)
    return tensor(out[0] if a.ndim == 1 else out)


OPS: dict[str, Op] = {
    "DFT": _dft, "STFT": _stft, "MelWeightMatrix": _mel_weights, "Det": _det,
    "StringConcat": _string_concat, "StringSplit": _string_split,
    "StringNormalizer": _string_normalizer, "RegexFullMatch": _regex, "TfIdfVectorizer": _tf_idf,
}  # fmt: skip
