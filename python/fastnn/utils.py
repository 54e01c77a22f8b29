"""Helpers under the names of `keras.utils`. Depends on `data`, `random`, `serialization`."""

from __future__ import annotations

import os
import random as _python_random
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import ops, random
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import as_number, hints_arguments, local_path, whole_number
from fastnn.base.atomic import write_text
from fastnn.base.messages import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from fastnn.base.typing import DTypeLike
from fastnn.config import clear_session, stored_dtype
from fastnn.data.arrays import numbers_of, unmasked
from fastnn.data.batches import (
    PyDataset,
    Sequence,
    pack as pack_x_y_sample_weight,
    unpack as unpack_x_y_sample_weight,
)
from fastnn.data.folders import image_dataset_from_directory
from fastnn.data.images import array_to_img, img_to_array, load_img, save_img
from fastnn.data.texts import text_dataset_from_directory
from fastnn.display.progress import Progbar
from fastnn.errors import DataError
from fastnn.models.feature_space import FeatureSpace
from fastnn.serialization.custom_objects import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    register_keras_serializable,
)
from fastnn.serialization.objects import (
    deserialize_keras_object,
    get_registered_object,
    serialize_keras_object,
)
from fastnn.tracing.symbolic import KerasTensor

if TYPE_CHECKING:
    from fastnn.base.named_values import Config
    from fastnn.data import bounding_boxes as bounding_boxes
    from fastnn.data.cached_files import get_file
    from fastnn.data.sounds import audio_dataset_from_directory

#: Paths of older Keras below this module are found by `fastnn.base.finder`.
__path__: list[str] = []

__all__ = [
    "Config",
    "CustomObjectScope",
    "FeatureSpace",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]  # fmt: skip


@hints_arguments
def set_random_seed(seed: int) -> None:
    """Seeds Python, NumPy and fastnn: two runs give the same bits.

    Args:
        seed: A whole number of at least 0.

    Example:
        >>> fastnn.utils.set_random_seed(42)
    """
    seed = as_number(seed)
    random.set_seed(seed)
    _python_random.seed(seed)
    np.random.seed(seed % 2**32)


@hints_arguments
def standardize_dtype(dtype: DTypeLike) -> str:
    """The type that fastnn stores for a type of NumPy or Keras.

    Args:
        dtype: A name, a type of NumPy, or None for "float32".

    Returns:
        The name of the type.

    Raises:
        ValueError: It is no type.

    Example:
        >>> fastnn.utils.standardize_dtype(np.float32)
        'float32'
    """
    return "float32" if dtype is None else stored_dtype(dtype)


@hints_arguments
def is_keras_tensor(x: Any) -> bool:
    """Whether something is what `Input`, and calls of layers on it, give.

    Args:
        x: Anything.

    Returns:
        True or False.

    Example:
        >>> fastnn.backend.is_keras_tensor(fastnn.Input((2,)))
        True
    """
    return isinstance(x, KerasTensor)


@hints_arguments
def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """One-hot rows of class numbers; a last axis of size 1 is dropped.

    Args:
        x: Class numbers (…) or (…, 1).
        num_classes: The number of classes; None: the largest number plus 1.

    Returns:
        A float array (…, num_classes).

    Raises:
        ValueError: A number lies outside 0 to num_classes - 1.

    Example:
        >>> fastnn.utils.to_categorical([0, 2], num_classes=3)
        array([[1., 0., 0.],
               [0., 0., 1.]])
    """
    given = numbers_of(x, "x")
    labels = given.astype(np.int64)
    if given.dtype.kind == "f" and (odd := given != labels).any():
        raise DataError(
            f"to_categorical: {given[odd][0]} is no class number\n  hint: x.round(), or number them"
        )
    shape = labels.shape
    if len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    labels = labels.reshape(-1)
    if num_classes is None or num_classes == 0:
        num_classes = int(labels.max()) + 1 if labels.size else 0
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        bad = labels[(labels < 0) | (labels >= num_classes)][0]
        raise DataError(
            f"to_categorical: class {bad} is outside 0…{num_classes - 1}\n"
            "  hint: number the classes from 0"
        )
    out = np.zeros((labels.size, num_classes))
    out[np.arange(labels.size), labels] = 1.0
    return out.reshape((*shape, num_classes))


@hints_arguments
def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """An array or tensor divided by its norm along an axis; zero rows stay zero.

    Args:
        x: An array, or a tensor.
        axis: The axis of the vectors.
        order: 2 for the Euclidean norm, 1 for the sum of absolute values.

    Returns:
        An array of the same shape; of a tensor a tensor.

    Example:
        >>> fastnn.utils.normalize(np.array([[3.0, 4.0]]))
        array([[0.6, 0.8]])
    """
    if isinstance(x, Tensor | KerasTensor):
        return ops.normalize(x, axis=axis, order=order)
    x = unmasked(x, "x")
    # Rows are brought near 1 first: squares of large numbers overflow, of small ones vanish.
    wide = np.asarray(x, np.float64)
    if order != 0:
        largest = np.max(np.abs(wide), axis=axis, keepdims=True, initial=0.0)
        wide = wide / np.where((largest > 0) & (largest < np.inf), largest, 1.0)
    norms = np.expand_dims(np.atleast_1d(np.linalg.norm(wide, order, axis)), axis)
    norms[norms == 0] = 1
    scaled: np.ndarray[Any, Any] = wide / norms
    return scaled.astype(np.result_type(x.dtype, np.float16), copy=False)


@hints_arguments
def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: str = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray[Any, Any]:
    """Lists of unlike length as one array, padded and cut.

    Args:
        sequences: A list of lists of numbers.
        maxlen: The length of the rows; None: that of the longest list.
        dtype: The type of the array.
        padding: `"pre"` or `"post"`: where padding stands.
        truncating: `"pre"` or `"post"`: where lists that are too long are cut.
        value: The number that pads.

    Returns:
        An array (n, maxlen).

    Raises:
        ValueError: An argument is of no use, or a number does not fit `dtype`: a fraction or one
            that is too large for whole numbers.

    Example:
        >>> fastnn.utils.pad_sequences([[1, 2, 3], [4]])
        array([[1, 2, 3],
               [0, 0, 4]], dtype=int32)
    """
    for name, where in (("padding", padding), ("truncating", truncating)):
        if where not in ("pre", "post"):
            raise ValueError(f"{name} is {where!r}\n  hint: 'pre' or 'post'")
    rows = []
    for i, s in enumerate(sequences):
        if not hasattr(s, "__len__"):
            raise ValueError(f"sequences[{i}] is {s!r}, wanted a list\n  hint: a list of lists")
        rows.append(unmasked(s, f"sequences[{i}]"))
    longest = max((len(r) for r in rows), default=0)
    length = longest if maxlen is None else whole_number("maxlen", maxlen, 0)
    inner = next((r.shape[1:] for r in rows if len(r)), ())
    if not isinstance(value, str) and np.issubdtype(np.dtype(dtype), np.str_):
        raise ValueError(f"value {value!r} does not fit dtype {dtype}\n  hint: dtype=object")
    out = np.full((len(rows), length, *inner), value, dtype=dtype)
    for i, row in enumerate(rows):
        if not len(row):
            continue
        if row.shape[1:] != inner:
            raise ValueError(
                f"sequences[{i}] has items of shape {row.shape[1:]}, wanted {inner}"
                "\n  hint: items of one shape in all sequences"
            )
        cut = row[-length:] if truncating == "pre" else row[:length]
        cut = cut[:0] if length == 0 else cut
        place = slice(len(cut)) if padding == "post" else slice(length - len(cut), None)
        try:
            with np.errstate(invalid="ignore"):  # NaN is told below
                out[i, place] = cut
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(
                f"sequences[{i}] does not fit dtype {np.dtype(dtype)}: {error}"
                "\n  hint: number the words first, or dtype=object"
            ) from None
        if (
            out.dtype.kind in "iu"
            and cut.dtype.kind in "iuf"
            and (odd := out[i, place] != cut).any()
        ):
            number = cut[odd].ravel()[0]
            raise ValueError(
                f"sequences[{i}] holds {number}, which dtype {out.dtype} does not\n"
                f"  hint: dtype='{'int64' if number % 1 == 0 else 'float32'}'"
            )
    return out


def plot_model(
    model: Any, to_file: str | os.PathLike[str] | None = "model.svg", **unknown: Any
) -> str:
    """Writes the graph of layers to a file; gives its text, which a notebook shows as a drawing.

    Shapes and parameter counts are always shown.

    Args:
        model: A built model.
        to_file: The ending says the format: `.svg` and `.mmd` (Mermaid) need nothing, `.png`,
            `.pdf` and `.jpg` need matplotlib (extra `[plot]`), whose `dpi` may be given. None
            writes nothing.
        **unknown: Given to the function.

    Returns:
        The text of the drawing.

    Raises:
        ImportError: matplotlib is needed and not installed.
        ValueError: The ending is another one.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> fastnn.utils.plot_model(model, "net.mmd").splitlines()[0]
        'flowchart TD'
    """
    from fastnn import plot
    from fastnn.errors import reject_arguments

    known = {
        "show_shapes", "show_dtype", "show_layer_names", "rankdir", "expand_nested", "dpi",
        "show_layer_activations", "show_trainable",
    }  # fmt: skip
    if set(unknown) - known:
        raise reject_arguments("plot_model()", sorted(set(unknown) - known), plot_model)
    path = None if to_file is None else local_path(to_file)
    ending = ".svg" if path is None else os.path.splitext(path)[1].lower()
    if ending not in (".svg", ".mmd", *plot.PICTURES):
        raise ValueError(
            f"to_file is {path!r}, wanted a name ending in .svg, .mmd, .png, .pdf or .jpg\n"
            "  hint: plot_model(model, 'model.svg')"
        )
    svg = plot.model(model, "svg")
    text = plot.Drawing(plot.model(model, "mermaid") if ending == ".mmd" else svg)
    text.svg = svg
    if ending in plot.PICTURES and path is not None:
        plot.write_picture(svg, path, float(as_number(unknown.get("dpi") or 96)))
    elif path is not None:
        write_text(path, text)
    return text


@hints_arguments
def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Any:
    """Windows of rows as a data set of batches, with the target of each window's first row.

    Args:
        data: rows in order of time, (n, …).
        targets: `targets[i]` belongs to the window that starts at row i; None for inputs alone.
        sequence_length: rows of a window.
        sequence_stride: rows between the starts of two windows.
        sampling_rate: rows between two rows of a window.
        batch_size: windows of a batch; None for single windows.
        shuffle: windows in random order, another one in each pass.
        seed: of that order.
        start_index: rows before it are not used.
        end_index: nor rows from here on.
        format: "tf", the one kind of data set there is.

    Returns:
        A `fastnn.data.Dataset` of windows (batch, sequence_length, …), or of (windows, targets).

    Example:
        >>> import numpy as np
        >>> x = np.arange(5.0)
        >>> ds = fastnn.preprocessing.timeseries_dataset_from_array(x, x * 10, 2, batch_size=4)
        >>> [(x.tolist(), y.tolist()) for x, y in ds]
        [([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 4.0]], [0.0, 10.0, 20.0, 30.0])]
    """
    from fastnn.data.folders import check_format
    from fastnn.data.pipeline import Dataset

    check_format(format)
    rows = np.asarray(data)
    first, last = start_index or 0, len(rows) if end_index is None else end_index
    counts = {
        "sequence_length": sequence_length, "sequence_stride": sequence_stride,
        "sampling_rate": sampling_rate, "batch_size": 1 if batch_size is None else batch_size,
    }  # fmt: skip
    for name, given in counts.items():
        whole_number(name, given, 1)
    if not 0 <= first < len(rows) or not first < last <= len(rows):
        raise ValueError(
            f"start_index={start_index}, end_index={end_index} for {len(rows)} rows\n"
            "  hint: 0 <= start_index < end_index <= number of rows"
        )
    count = last - first - (sequence_length - 1) * sampling_rate
    labels = None if targets is None else np.asarray(targets)
    if labels is not None:
        count = min(count, len(labels) - first)
    starts = first + np.arange(0, max(count, 0), sequence_stride)
    if not len(starts):
        raise ValueError(
            f"{last - first} rows hold no window of {sequence_length} rows\n"
            "  hint: a shorter sequence_length"
        )
    steps = np.arange(sequence_length) * sampling_rate

    def window(start: Any) -> Any:
        at = np.asarray(start)
        x = rows[at[..., None] + steps]
        return x if labels is None else (x, labels[at])

    chosen = Dataset.from_tensor_slices(starts)
    if shuffle:
        chosen = chosen.shuffle(len(starts), seed=seed)
    if batch_size is not None:
        chosen = chosen.batch(batch_size)
    return chosen.map(window)


@hints_arguments
def split_dataset(
    dataset: Any,
    left_size: float | int | None = None,
    right_size: float | int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
) -> tuple[Any, Any]:
    """Two data sets of the samples of one, or of arrays.

    Args:
        dataset: An array, a tuple, list or dict of arrays of equal length, or a data set.
        left_size: The share (a float) or count (an int) of the first part.
        right_size: The share or count of the second part.
        shuffle: Whether rows are mixed first.
        seed: A whole number or a `SeedGenerator` for numbers that repeat; None takes the global
            seed.

    Returns:
        Two data sets whose elements are samples, in the structure of `dataset`.

    Raises:
        ValueError: The sizes do not fit.

    Example:
        >>> left, right = fastnn.utils.split_dataset(np.arange(10), left_size=0.8)
        >>> len(left), [int(x) for x in right]
        (8, [8, 9])
    """
    from fastnn.base import tree
    from fastnn.data.pipeline import Dataset

    if isinstance(dataset, Dataset):
        elements = list(dataset._make())
        stacked = tree.pack(
            elements[0], [np.stack(c) for c in zip(*map(tree.flatten, elements), strict=True)]
        )
        return split_dataset(stacked, left_size, right_size, shuffle, seed)
    leaves = [unmasked(a, "dataset") for a in tree.flatten(dataset)]
    n = len(leaves[0])
    if left_size is None and right_size is None:
        raise ValueError("split_dataset needs left_size or right_size\n  hint: left_size=0.8")

    def count(size: float | int) -> int:
        return round(size * n) if isinstance(size, float) else size

    left = count(left_size) if left_size is not None else n - count(right_size)  # type: ignore[arg-type]
    right = count(right_size) if right_size is not None else n - left
    order = np.asarray(random.permutation(n, seed)) if shuffle else np.arange(n)
    first, second = order[:left], order[left : left + right]

    def pick(rows: Any) -> Any:
        parts = tree.pack(dataset, [a[rows] for a in leaves])
        return Dataset.from_tensor_slices(tuple(parts) if isinstance(parts, list) else parts)

    return pick(first), pick(second)


#: Names that are seldom used, and the module that is loaded when one is asked for.
_SELDOM = {
    "Config": "fastnn.base.named_values",
    "audio_dataset_from_directory": "fastnn.data.sounds",
    "bounding_boxes": "fastnn.data.bounding_boxes",
    "get_file": "fastnn.data.cached_files",
}

answer_missing(globals(), homes=_SELDOM)
