"""Batches of pictures from arrays and from folders, in an order and with changes that a seed fixes.

Each batch draws from a generator of its own, which follows from the seed and the batch's number, so
that it does not matter which thread makes it, or when. Depends on `data`.
"""

from __future__ import annotations

import functools
import os
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.base.arguments import whole_number
from fastnn.base.messages import print_msg
from fastnn.base.typing import DTypeLike
from fastnn.config import floatx, standardize_data_format
from fastnn.data.arrays import stacked
from fastnn.data.batches import PyDataset
from fastnn.data.folders import (
    check_on_error,
    checked_folder,
    class_folders,
    files_in,
    told_of_broken,
    told_of_one_class,
)
from fastnn.data.images import CHANNELS, array_to_img, img_to_array, load_img, size_of
from fastnn.data.pass_numbers import Passes
from fastnn.data.prefetch import gather
from fastnn.errors import DataError, ShapeError

__all__ = ["BatchFromFiles", "DirectoryIterator", "Iterator", "NumpyArrayIterator"]

Array = np.ndarray[Any, Any]


class Iterator(PyDataset):
    """Batches of pictures by number, or one after the other without end with `next`.

    A subclass defines `_get_batches_of_transformed_samples(index_array)`.

    Args:
        n: The number of pictures.
        batch_size: Pictures of a batch.
        shuffle: Whether they are mixed in each epoch.
        seed: Of order and changes; None takes a number from NumPy's global generator.
        **kwargs: Of `PyDataset`.

    Example:
        >>> class Numbers(fastnn.preprocessing.image.Iterator):
        ...     def _get_batches_of_transformed_samples(self, index_array):
        ...         return index_array
        >>> Numbers(5, 2, shuffle=False, seed=None)[2]
        array([4])
    """

    n: int
    batch_size: int
    shuffle: bool
    seed: int | None
    batch_index: int
    total_batches_seen: int
    lock: Any

    white_list_formats: tuple[str, ...] = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")

    def __init__(
        self, n: int, batch_size: int, shuffle: bool, seed: int | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.n, self.batch_size = n, whole_number("batch_size", batch_size, 1)
        self.shuffle, self.seed = shuffle, seed
        self.batch_index = self.total_batches_seen = 0
        self.lock = threading.Lock()
        self._start = int(np.random.randint(2**31 - 1)) if seed is None else int(seed)
        self._turn = 0
        #: Numbers the epochs; a run that goes on after a crash sets it.
        self._passes = (Passes(),)
        self._here = threading.local()

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def _draws(self, epoch: int, index: int) -> tuple[np.random.RandomState, Array | None]:
        """The generator of a batch; the first one of an epoch mixes the pictures first."""
        state = np.random.RandomState((self._start + epoch * len(self) + index) % 2**32)
        order = state.permutation(self.n) if self.shuffle and index == 0 else None
        return state, order

    def _order(self, epoch: int) -> Array:
        order = self._draws(epoch, 0)[1]
        return np.arange(self.n) if order is None else order

    @property
    def _epoch(self) -> int:
        return self._passes[0].count

    @property
    def index_array(self) -> Array:
        """The numbers of the pictures in the order of this epoch."""
        return self._order(self._epoch)

    def _batch(self, epoch: int, order: Array, index: int) -> Any:
        draw, _ = self._draws(epoch, index)
        self._here.draw = draw
        try:
            chosen = order[self.batch_size * index : self.batch_size * (index + 1)]
            return self._get_batches_of_transformed_samples(chosen)
        finally:
            self._here.draw = None

    @property
    def _draw(self) -> Any:
        """The generator of the batch that this thread makes; NumPy's global one outside of any."""
        return getattr(self._here, "draw", None) or np.random

    def __getitem__(self, index: int) -> Any:
        count = len(self)
        if not -count <= index < count:
            raise ValueError(
                f"Asked to retrieve element {index}, but the Sequence has length {count}\n"
                f"  hint: batches are numbered from 0 to {count - 1}"
            )
        return self._batch(self._epoch, self._order(self._epoch), index % count)

    def begin_pass(self) -> Callable[[int], Any]:
        """Batches by number for one pass over the pictures, in one order whatever happens else."""
        return functools.partial(self._batch, self._epoch, self._order(self._epoch))

    def on_epoch_end(self) -> None:
        """The pictures come in another order."""
        next(self._passes[0])

    def reset(self) -> None:
        """`next` begins at the first batch again."""
        with self.lock:
            self._turn += self.batch_index > 0
            self.batch_index = 0

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        with self.lock:
            turn, index = self._turn, self.batch_index
            if not len(self):
                raise DataError("there are no pictures\n  hint: look at the folder or the table")
            self.total_batches_seen += 1
            self.batch_index = (index + 1) % len(self)
            self._turn += self.batch_index == 0
        return self._batch(turn, self._order(turn), index)

    def _get_batches_of_transformed_samples(self, index_array: Array) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__} must define _get_batches_of_transformed_samples(index_array)"
            "\n  hint: return the batch of these pictures"
        )

    # ---- what arrays and files share -----------------------------------------------------------

    def _changed(self, generator: Any, pictures: Iterable[Any], count: int, shape: Any) -> Any:
        """Functions that give pictures, changed on threads: an array, and which ones there are."""
        if generator is None:
            changes: list[Any] = [None] * count
        else:
            changes = [generator.get_random_transform(shape, self._draw) for _ in range(count)]
        # A function of the user's runs on one thread, in order: it may draw numbers of its own.
        own = generator is not None and generator.preprocessing_function is not None
        sources = list(pictures)

        def finish(x: Array, i: int) -> Array:
            if generator is None:
                return x
            done: Array = generator.standardize(generator.apply_transform(x, changes[i]))
            return done

        def read(i: int) -> Any:
            x = sources[i]()
            return x if x is None or own else finish(x, i)

        workers = min(count, max(2, _core.get_num_threads()))
        out = np.zeros((count, *shape), self.dtype)
        there: list[int] = []
        for i, x in enumerate(gather(read, range(count), workers)):
            if x is not None:
                out[len(there)] = finish(x, i) if own else x
                there.append(i)
        return out[: len(there)], np.asarray(there, np.intp)

    def _saved(self, batch: Array, chosen: Array, digits: int) -> None:
        """Writes the pictures of a batch, where that was asked for."""
        if not self.save_to_dir:
            return
        os.makedirs(self.save_to_dir, exist_ok=True)
        for x, number in zip(batch, chosen, strict=True):
            name = (
                f"{self.save_prefix}_{number}_{self._draw.randint(10**digits)}.{self.save_format}"
            )
            array_to_img(x, self.data_format, scale=True).save(os.path.join(self.save_to_dir, name))

    dtype: Any
    data_format: str
    save_to_dir: Any
    save_prefix: str
    save_format: str


def subset_share(subset: str | None, share: float) -> tuple[float, float] | None:
    """Which part of the pictures a subset is; the first ones are for validation."""
    if subset is None:
        return None
    if subset not in ("training", "validation"):
        raise ValueError(
            f'Invalid subset name: {subset}; expected "training" or "validation"'
            "\n  hint: subset='training'"
        )
    if not share:
        raise ValueError(
            f"subset={subset!r} of a generator without validation_split\n"
            "  hint: ImageDataGenerator(validation_split=0.2)"
        )
    return (0.0, share) if subset == "validation" else (share, 1.0)


class NumpyArrayIterator(Iterator):
    """What `ImageDataGenerator.flow` returns: batches of pictures in arrays.

    Args:
        x: Pictures of four axes, or a pair of them and a list of further arrays.
        y: Labels, or None.
        image_data_generator: The `ImageDataGenerator`.
        batch_size: Pictures of a batch.
        shuffle: Whether they are mixed in each epoch.
        sample_weight: Weights of the samples.
        seed: Of order and changes.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        save_to_dir: A folder that the changed pictures are written to.
        save_prefix: What their names begin with.
        save_format: Their format.
        subset: `"training"` or `"validation"`.
        ignore_class_split: Whether parts with other classes are accepted.
        dtype: The type of the batches.

    Example:
        >>> gen = fastnn.preprocessing.image.ImageDataGenerator(rescale=1 / 255)
        >>> next(gen.flow(np.zeros((3, 4, 4, 1)), batch_size=2)).shape
        (2, 4, 4, 1)
    """

    data_format: str
    dtype: Any
    x: Any
    x_misc: list[Array]
    y: Any
    save_to_dir: Any
    save_prefix: str

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: Any,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        ignore_class_split: bool = False,
        dtype: DTypeLike = None,
    ) -> None:
        self.data_format = standardize_data_format(data_format)
        self.dtype = dtype or floatx()
        further: list[Array] = []
        if isinstance(x, tuple | list) and len(x) == 2 and np.ndim(x[0]) == 4:
            rest = x[1] if isinstance(x[1], list) else [x[1]]
            x, further = x[0], [np.asarray(a) for a in rest]
        x = stacked(x, "x") if isinstance(x, tuple | list) and len(x) else np.asarray(x)
        y = None if y is None else np.asarray(y)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        if x.ndim != 4:
            raise ShapeError(
                "Input data in `NumpyArrayIterator` should have rank 4. You passed an array with "
                f"shape {x.shape}\n  hint: (n, height, width, channels); x[..., None] for grey ones"
            )
        for name, other in (("y", y), ("sample_weight", weights), *(("x[1]", a) for a in further)):
            if other is not None and len(other) != len(x):
                raise DataError(
                    f"`x` (images tensor) and `{name}` should have the same length. Found: "
                    f"x.shape = {x.shape}, {name}.shape = {other.shape}\n"
                    "  hint: one entry per picture"
                )
        share = subset_share(subset, image_data_generator._validation_split)
        if share is not None:
            at = int(len(x) * image_data_generator._validation_split)
            if (
                y is not None
                and not ignore_class_split
                and not np.array_equal(np.unique(y[:at]), np.unique(y[at:]))
            ):
                raise DataError(
                    "Training and validation subsets have different number of classes after the "
                    "split. If your numpy arrays are sorted by the label, you might want to "
                    "shuffle them.\n  hint: order = numpy.random.permutation(len(x)); x[order]"
                )
            part = slice(at) if subset == "validation" else slice(at, None)
            x, further = x[part], [a[part] for a in further]
            y = None if y is None else y[part]
            weights = None if weights is None else weights[part]
        axis = 1 if self.data_format == "channels_first" else 3
        if x.shape[axis] not in (1, 3, 4):
            warnings.warn(
                f"NumpyArrayIterator is set to use the data format convention {self.data_format!r} "
                f"(channels on axis {axis}), i.e. expected either 1, 3, or 4 channels on axis "
                f"{axis}. However, it was passed an array with shape {x.shape}",
                stacklevel=3,
            )
        self.x, self.x_misc, self.y, self.sample_weight = x, further, y, weights
        self.image_data_generator = image_data_generator
        self.save_to_dir, self.save_prefix = save_to_dir, save_prefix
        self.save_format = save_format
        super().__init__(len(x), batch_size, shuffle, seed)

    def _get_batches_of_transformed_samples(self, index_array: Array) -> Any:
        generator, shape = self.image_data_generator, self.x.shape[1:]
        pictures = [
            functools.partial(lambda j: self.x[j].astype(self.dtype), j) for j in index_array
        ]
        batch, _ = self._changed(generator, pictures, len(pictures), shape)
        self._saved(batch, index_array, 4)
        x = [batch, *(a[index_array] for a in self.x_misc)] if self.x_misc else batch
        if self.y is None:
            return x
        y = self.y[index_array]
        return (x, y) if self.sample_weight is None else (x, y, self.sample_weight[index_array])


class BatchFromFiles(Iterator):
    """What reading folders and tables share: pictures from files, with labels by `class_mode`."""

    filenames: list[str]
    classes: Any
    class_indices: dict[str, int]
    class_mode: str | None
    target_size: tuple[int, int]
    data_format: str
    image_shape: tuple[int, int, int]
    save_to_dir: Any
    save_prefix: str
    save_format: str
    interpolation: str
    keep_aspect_ratio: bool
    subset: str | None
    split: tuple[float, float] | None
    dtype: Any
    on_error: str
    sample_weight: Any = None
    _filepaths: list[str]

    def _take(
        self, generator: Any, target_size: Any, color_mode: str, data_format: str | None,
        save_to_dir: Any, save_prefix: str, save_format: str, subset: str | None,
        interpolation: str, keep_aspect_ratio: bool, dtype: DTypeLike, on_error: str,
    ) -> None:  # fmt: skip
        """Keeps the arguments under Keras's names."""
        if color_mode not in CHANNELS:
            raise ValueError(
                f'Invalid color mode: {color_mode}; expected "rgb", "rgba", or "grayscale".'
                "\n  hint: color_mode='rgb'"
            )
        self.image_data_generator = generator
        self.target_size = size_of(target_size, "target_size")
        self.color_mode = color_mode
        self.data_format = standardize_data_format(data_format)
        last = (*self.target_size, CHANNELS[color_mode])
        self.image_shape = last if self.data_format == "channels_last" else (last[2], *last[:2])
        self.save_to_dir, self.save_prefix = save_to_dir, save_prefix
        self.save_format, self.interpolation = save_format, interpolation
        self.keep_aspect_ratio, self.subset = keep_aspect_ratio, subset
        self.split = subset_share(subset, getattr(generator, "_validation_split", 0.0))
        self.dtype = dtype or floatx()
        self.on_error = check_on_error(on_error)
        #: Paths of the pictures that could not be read, with `on_error="skip"`.
        self.broken: list[str] = []

    @property
    def filepaths(self) -> list[str]:
        """The paths of the pictures."""
        return self._filepaths

    @property
    def labels(self) -> Any:
        """The labels of the pictures, in the order of `filenames`."""
        return self.classes

    def _picture(self, path: str) -> Array | None:
        try:
            image = load_img(
                path, self.color_mode, self.target_size, self.interpolation, self.keep_aspect_ratio
            )
        except DataError as error:
            if self.on_error == "stop":
                raise
            with self.lock:
                new = path not in self.broken
                self.broken += [path] * new
            if new:
                told_of_broken(error)
            return None
        return img_to_array(image, self.data_format, self.dtype)

    def _get_batches_of_transformed_samples(self, index_array: Array) -> Any:
        paths = [functools.partial(self._picture, self._filepaths[j]) for j in index_array]
        batch, there = self._changed(self.image_data_generator, paths, len(paths), self.image_shape)
        if not len(there):
            raise DataError(
                f"none of the {len(paths)} pictures of a batch can be read\n"
                "  hint: `broken` of the iterator lists them"
            )
        chosen = index_array[there]
        self._saved(batch, chosen, 7)
        y = self._targets_of(batch, chosen)
        if y is None:
            return batch
        return (batch, y) if self.sample_weight is None else (batch, y, self.sample_weight[chosen])

    def _targets_of(self, batch: Array, chosen: Array) -> Any:
        if self.class_mode == "input":
            return batch.copy()
        if self.class_mode in ("binary", "sparse"):
            return np.asarray([self.classes[i] for i in chosen], self.dtype)
        if self.class_mode == "categorical":
            y = np.zeros((len(chosen), len(self.class_indices)), self.dtype)
            for row, i in enumerate(chosen):
                y[row, self.classes[i]] = 1.0
            return y
        if self.class_mode == "multi_output":
            return tuple(output[chosen] for output in self.labels)
        return self.labels[chosen] if self.class_mode == "raw" else None


class DirectoryIterator(BatchFromFiles):
    """What `ImageDataGenerator.flow_from_directory` returns: batches of pictures in a folder.

    `class_indices` has the number of each class, `filenames` and `classes` are in order of paths.

    Args:
        directory: The folder, with a subfolder a class.
        image_data_generator: The `ImageDataGenerator`, or None.
        target_size: (height, width) of the pictures.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
        classes: Names of the subfolders in the order of their numbers; None: sorted.
        class_mode: `"categorical"`, `"binary"`, `"sparse"`, `"input"` or None.
        batch_size: Pictures of a batch.
        shuffle: Whether they are mixed in each epoch.
        seed: Of order and changes.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        save_to_dir: A folder that the changed pictures are written to.
        save_prefix: What their names begin with.
        save_format: Their format.
        follow_links: Whether links to folders are followed.
        subset: `"training"` or `"validation"`.
        interpolation: How pictures are resized.
        keep_aspect_ratio: Whether to cut instead of stretching.
        dtype: The type of the batches.
        on_error: `"stop"` or `"skip"`.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (folder / name).mkdir()
        ...     fastnn.utils.save_img(folder / name / "0.png", np.zeros((4, 4, 3)))
        >>> gen = fastnn.preprocessing.image.ImageDataGenerator()
        >>> it = gen.flow_from_directory(folder, target_size=(8, 8))
        Found 2 images belonging to 2 classes.
        >>> it[0][0].shape, it.class_indices
        ((2, 8, 8, 3), {'cat': 0, 'dog': 1})
    """

    directory: str
    class_mode: str | None
    num_classes: int
    class_indices: dict[str, int]
    filenames: list[str]
    samples: int
    classes: Any

    allowed_class_modes: frozenset[str | None] = frozenset(
        {"categorical", "binary", "sparse", "input", None}
    )

    def __init__(
        self,
        directory: Any,
        image_data_generator: Any,
        target_size: Any = (256, 256),
        color_mode: str = "rgb",
        classes: Any = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: DTypeLike = None,
        on_error: str = "stop",
    ) -> None:
        self._take(
            image_data_generator, target_size, color_mode, data_format, save_to_dir, save_prefix,
            save_format, subset, interpolation, keep_aspect_ratio, dtype, on_error,
        )  # fmt: skip
        check_class_mode(class_mode, self.allowed_class_modes)
        self.directory, self.class_mode = checked_folder(directory), class_mode
        names = list(classes) if classes else class_folders(self.directory)
        lacking = [n for n in names if not os.path.isdir(os.path.join(self.directory, n))]
        if lacking:
            raise DataError(
                f"the folder {self.directory!r} has no subfolder {lacking[0]!r}\n"
                f"  hint: there are {class_folders(self.directory)}"
            )
        if class_mode == "binary" and len(names) != 2:
            raise DataError(
                f"class_mode='binary' takes two classes, the folder {self.directory!r} has "
                f"{len(names)}: {names}\n"
                "  hint: class_mode='categorical' or 'sparse', or None for pictures without labels"
            )
        self.num_classes = len(names)
        self.class_indices = {name: i for i, name in enumerate(names)}
        self.filenames, numbers = [], []
        for i, name in enumerate(names):
            endings = tuple(f".{e}" for e in self.white_list_formats)
            found = list(files_in(os.path.join(self.directory, name), endings, follow_links))
            if self.split is not None:
                found = found[slice(*(int(s * len(found)) for s in self.split))]
            self.filenames += [os.path.relpath(path, self.directory) for path in found]
            numbers += [i] * len(found)
        self.samples = len(self.filenames)
        self.classes = np.asarray(numbers, np.int32)
        self._filepaths = [os.path.join(self.directory, name) for name in self.filenames]
        print_msg(f"Found {self.samples} images belonging to {self.num_classes} classes.")
        if not self.samples:
            raise DataError(
                f"there are no pictures in {self.directory!r}"
                + (f" for subset={subset!r}" if subset else "")
                + f"; endings: {', '.join(self.white_list_formats)}\n"
                "  hint: one subfolder a class, pictures in it"
            )
        if class_mode in ("categorical", "sparse"):
            told_of_one_class(self.directory, names)
        super().__init__(self.samples, batch_size, shuffle, seed)


def check_class_mode(class_mode: Any, allowed: Any) -> None:
    """ValueError for a `class_mode` that is not one."""
    if class_mode not in allowed:
        names = sorted(m for m in allowed if m)
        raise ValueError(
            f"Invalid class_mode: {class_mode}; expected one of: {names} or None"
            "\n  hint: class_mode='categorical'"
        )
