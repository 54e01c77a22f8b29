"""`ImageDataGenerator`: pictures changed at random and brought to the numbers a network wants.

Depends on `transforms`, `iterators`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastnn.base.arguments import as_number
from fastnn.base.typing import DTypeLike
from fastnn.config import floatx, standardize_data_format
from fastnn.errors import DataError, ShapeError
from fastnn.preprocessing.image.frames import DataFrameIterator
from fastnn.preprocessing.image.iterators import DirectoryIterator, NumpyArrayIterator
from fastnn.preprocessing.image.transforms import (
    FILL_MODES,
    apply_affine_transform,
    apply_brightness_shift,
    apply_channel_shift,
    flip_axis,
)

__all__ = ["ImageDataGenerator"]

Array = np.ndarray[Any, Any]


def _range_of(value: Any) -> list[float]:
    """[low, high] of a zoom from a share or a pair."""
    if isinstance(value, float | int):
        return [1 - value, 1 + value]
    pair = list(value) if isinstance(value, list | tuple) else []
    if len(pair) != 2 or not all(isinstance(v, float | int) for v in pair):
        raise ValueError(
            "`zoom_range` should be a float or a tuple or list of two floats. "
            f"Received: {value}\n  hint: zoom_range=0.2, or (0.8, 1.2)"
        )
    return pair


class ImageDataGenerator:
    """Batches of pictures, each changed at random and then brought to the range a network wants.

    `flow` reads arrays, `flow_from_directory` a folder with a subfolder a class,
    `flow_from_dataframe` files that a table names; `fit`, `evaluate` and `predict` take what they
    return, with the true number of steps. Pictures are read and changed on several threads, ahead
    of training; with a seed the numbers are the same in each run, on any number of threads.
    `height_shift_range` moves rows and `width_shift_range` columns.

    Args:
        featurewise_center: Whether the mean of the pictures given to `fit` is taken off.
        samplewise_center: Whether each picture's mean is taken off.
        featurewise_std_normalization: Whether to divide by the deviation that `fit` found.
        samplewise_std_normalization: Whether to divide each picture by its deviation.
        zca_whitening: Whether to whiten with the matrix that `fit` found.
        zca_epsilon: Added to the singular values.
        rotation_range: Degrees to either side.
        width_shift_range: A share of the width, pixels from 1, or a list of pixels to choose from.
        height_shift_range: The same for the height.
        brightness_range: Factors of the brightness, (low, high).
        shear_range: Degrees to either side.
        zoom_range: [1 - z, 1 + z], or (low, high); below 1 enlarges.
        channel_shift_range: What is added to all channels, to either side.
        fill_mode: What stands outside: `"nearest"`, `"constant"`, `"reflect"` or `"wrap"`.
        cval: The number outside for `"constant"`.
        horizontal_flip: Whether half of the pictures are mirrored left to right.
        vertical_flip: Whether half of the pictures are mirrored top to bottom.
        rescale: A factor such as 1 / 255.
        preprocessing_function: A function of one picture, applied before `rescale`.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        validation_split: The share of the pictures that `subset="validation"` gives.
        interpolation_order: 0 takes the nearest pixel, 1 interpolates; 2 to 5 need SciPy.
        dtype: The type of the batches; None: float32.

    Example:
        >>> gen = fastnn.preprocessing.image.ImageDataGenerator(rescale=1 / 255, rotation_range=20)
        >>> batches = gen.flow(np.zeros((10, 8, 8, 3)), np.arange(10), batch_size=4, seed=1)
        >>> x, y = batches[0]
        >>> x.shape, len(batches)
        ((4, 8, 8, 3), 3)
    """

    featurewise_center: bool
    samplewise_center: bool
    featurewise_std_normalization: bool
    zca_whitening: bool
    zca_epsilon: float
    rotation_range: float
    shear_range: float
    zoom_range: list[float]
    fill_mode: str
    cval: float
    horizontal_flip: bool
    vertical_flip: bool
    rescale: float | None
    preprocessing_function: Any
    dtype: Any | str
    data_format: str

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Any = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Any = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: DTypeLike = None,
    ) -> None:
        self.featurewise_center = featurewise_center
        self.samplewise_center = samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range = width_shift_range
        self.height_shift_range = height_shift_range
        self.channel_shift_range = channel_shift_range
        self.zoom_range = _range_of(zoom_range)
        self.fill_mode, self.cval = fill_mode, cval
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        if not isinstance(as_number(rescale or 0), float | int):
            raise ValueError(
                f"`rescale` is {rescale!r}, wanted a number by which pixels are multiplied\n"
                "  hint: rescale=1 / 255"
            )
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.dtype = dtype or floatx()
        self.interpolation_order = interpolation_order
        self.data_format = standardize_data_format(data_format)
        first = self.data_format == "channels_first"
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if first else (3, 1, 2)
        if fill_mode not in FILL_MODES:
            raise ValueError(
                f"fill_mode is {fill_mode!r}, wanted one of {FILL_MODES}\n"
                "  hint: fill_mode='nearest'"
            )
        if validation_split and not 0 < validation_split < 1:
            raise ValueError(
                "`validation_split` must be strictly between 0 and 1. "
                f"Received: {validation_split}\n  hint: validation_split=0.2"
            )
        self._validation_split = validation_split
        if brightness_range is not None and (
            not isinstance(brightness_range, tuple | list) or len(brightness_range) != 2
        ):
            raise ValueError(
                "`brightness_range should be tuple or list of two floats. "
                f"Received: {brightness_range}\n  hint: brightness_range=(0.8, 1.2)"
            )
        self.brightness_range = brightness_range
        self.mean: Array | None = None
        self.std: Array | None = None
        self.zca_whitening_matrix: Array | None = None
        self._settle()

    def _settle(self) -> None:
        """Switches on what others need, and off what they replace, as Keras does."""

        def told(setting: str, other: str) -> None:
            warnings.warn(
                f"This ImageDataGenerator specifies `{setting}`, which overrides setting of "
                f"`{other}`.",
                stacklevel=4,
            )

        if self.zca_whitening:
            if not self.featurewise_center:
                self.featurewise_center = True
                told("zca_whitening", "featurewise_center")
            if self.featurewise_std_normalization:
                self.featurewise_std_normalization = False
                told("zca_whitening", "featurewise_std_normalization")
        if self.featurewise_std_normalization and not self.featurewise_center:
            self.featurewise_center = True
            told("featurewise_std_normalization", "featurewise_center")
        if self.samplewise_std_normalization and not self.samplewise_center:
            self.samplewise_center = True
            told("samplewise_std_normalization", "samplewise_center")

    # ---- sources -------------------------------------------------------------------------------

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> NumpyArrayIterator:
        """Batches of pictures in arrays.

        Args:
            x: Pictures (n, height, width, channels), or a pair of them and further arrays.
            y: Labels, or None.
            batch_size: Pictures of a batch.
            shuffle: Whether they are mixed in each epoch.
            sample_weight: Weights of the samples.
            seed: Of order and changes.
            save_to_dir: A folder that the changed pictures are written to.
            save_prefix: What their names begin with.
            save_format: Their format.
            ignore_class_split: Whether parts with other classes are accepted.
            subset: `"training"` or `"validation"`, where `validation_split` is set.

        Returns:
            A `NumpyArrayIterator`.
        """
        return NumpyArrayIterator(
            x, y, self, batch_size=batch_size, shuffle=shuffle, sample_weight=sample_weight,
            seed=seed, data_format=self.data_format, save_to_dir=save_to_dir,
            save_prefix=save_prefix, save_format=save_format,
            ignore_class_split=ignore_class_split, subset=subset, dtype=self.dtype,
        )  # fmt: skip

    def flow_from_directory(
        self,
        directory: Any,
        target_size: Any = (256, 256),
        color_mode: str = "rgb",
        classes: Any = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        on_error: str = "stop",
    ) -> DirectoryIterator:
        """Batches of the pictures in a folder with a subfolder a class.

        Args:
            directory: The folder.
            target_size: (height, width) of the pictures.
            color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
            classes: Names of the subfolders in the order of their numbers; None: sorted.
            class_mode: Labels: `"categorical"` (one-hot), `"binary"`, `"sparse"` (numbers),
                `"input"` (the pictures) or None.
            batch_size: Pictures of a batch.
            shuffle: Whether they are mixed in each epoch.
            seed: Of order and changes.
            save_to_dir: A folder that the changed pictures are written to.
            save_prefix: What their names begin with.
            save_format: Their format.
            follow_links: Whether links to folders are followed.
            subset: `"training"` or `"validation"`, where `validation_split` is set.
            interpolation: How pictures are resized, by Pillow's names.
            keep_aspect_ratio: Whether to cut instead of stretching.
            on_error: `"stop"` raises a DataError at a picture that cannot be read, `"skip"` warns
                and leaves it out of its batch; `broken` of the iterator lists them.

        Returns:
            A `DirectoryIterator`, with `class_indices`, `filenames` and `classes`.
        """
        return DirectoryIterator(
            directory, self, target_size=target_size, color_mode=color_mode, classes=classes,
            class_mode=class_mode, data_format=self.data_format, batch_size=batch_size,
            shuffle=shuffle, seed=seed, save_to_dir=save_to_dir, save_prefix=save_prefix,
            save_format=save_format, follow_links=follow_links, subset=subset,
            interpolation=interpolation, keep_aspect_ratio=keep_aspect_ratio, dtype=self.dtype,
            on_error=on_error,
        )  # fmt: skip

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: Any = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: Any = (256, 256),
        color_mode: str = "rgb",
        classes: Any = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
        on_error: str = "stop",
        **kwargs: Any,
    ) -> DataFrameIterator:
        """Batches of the pictures that a table names.

        Args:
            dataframe: A pandas or polars table.
            directory: The folder that names are looked up in; None: they are whole paths.
            x_col: The column of names.
            y_col: The column of labels, or a list of columns.
            weight_col: The column of sample weights.
            target_size: (height, width) of the pictures.
            color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
            classes: Names of the classes in the order of their numbers; None: sorted.
            class_mode: `"categorical"`, `"binary"`, `"sparse"`, `"raw"` (the column as it is),
                `"multi_output"` (a list of columns), `"input"` (the pictures) or None.
            batch_size: Pictures of a batch.
            shuffle: Whether they are mixed in each epoch.
            seed: Of order and changes.
            save_to_dir: A folder that the changed pictures are written to.
            save_prefix: What their names begin with.
            save_format: Their format.
            subset: `"training"` or `"validation"`, where `validation_split` is set.
            interpolation: How pictures are resized, by Pillow's names.
            validate_filenames: Whether names without a file are left out.
            on_error: `"stop"` or `"skip"`, as in `flow_from_directory`.
            **kwargs: `sort`, `has_ext` and `drop_duplicates` of older programs are accepted.

        Returns:
            A `DataFrameIterator`.
        """
        from fastnn.errors import reject_arguments

        extra = set(kwargs) - {"has_ext", "sort", "drop_duplicates"}
        if extra:
            raise reject_arguments("flow_from_dataframe()", sorted(extra), self.flow_from_dataframe)
        return DataFrameIterator(
            dataframe, directory, self, x_col=x_col, y_col=y_col, weight_col=weight_col,
            target_size=target_size, color_mode=color_mode, classes=classes,
            class_mode="raw" if class_mode == "other" else class_mode,
            data_format=self.data_format, batch_size=batch_size, shuffle=shuffle, seed=seed,
            save_to_dir=save_to_dir, save_prefix=save_prefix, save_format=save_format,
            subset=subset, interpolation=interpolation, validate_filenames=validate_filenames,
            dtype=self.dtype, on_error=on_error,
        )  # fmt: skip

    # ---- one picture ---------------------------------------------------------------------------

    def standardize(self, x: Any) -> Array:
        """A picture, or a batch of them, after `preprocessing_function`, `rescale` and the rest.

        An array of floats may be changed in place.
        """
        if self.preprocessing_function:
            x = self.preprocessing_function(x)
        x = np.asarray(x)
        if x.dtype.kind != "f":
            x = x.astype(self.dtype)
        if not x.flags.writeable:
            x = x.copy()
        if self.rescale:
            x *= self.rescale
        if self.samplewise_center:
            x -= np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x /= np.std(x, keepdims=True) + 1e-6
        if self.featurewise_center:
            x -= self._found("mean", "featurewise_center")
        if self.featurewise_std_normalization:
            x /= self._found("std", "featurewise_std_normalization") + 1e-6
        if self.zca_whitening:
            matrix = self._found("zca_whitening_matrix", "zca_whitening")
            x = np.reshape(x.reshape(-1, len(matrix)) @ matrix, x.shape)
        done: Array = x
        return done

    def _found(self, name: str, setting: str) -> Array:
        value: Array | None = getattr(self, name)
        if value is None:
            raise DataError(
                f"This ImageDataGenerator specifies `{setting}`, but it hasn't been fit on any "
                "training data\n  hint: call generator.fit(numpy_data) first"
            )
        return value

    def get_random_transform(self, img_shape: Any, seed: Any = None) -> dict[str, Any]:
        """Random numbers for the change of one picture.

        Args:
            img_shape: The shape of the picture.
            seed: A number, a `numpy.random.RandomState`, or None for NumPy's global one.

        Returns:
            A dict with `theta`, `tx`, `ty`, `shear`, `zx`, `zy`, `flip_horizontal`,
            `flip_vertical`, `channel_shift_intensity` and `brightness`.
        """
        if isinstance(seed, np.random.RandomState):
            draw: Any = seed
        else:
            draw = np.random if seed is None else np.random.RandomState(seed)
        theta = draw.uniform(-self.rotation_range, self.rotation_range) if (
            self.rotation_range
        ) else 0  # fmt: skip
        ty = _shift(draw, self.height_shift_range, img_shape[self.row_axis - 1])
        tx = _shift(draw, self.width_shift_range, img_shape[self.col_axis - 1])
        shear = draw.uniform(-self.shear_range, self.shear_range) if self.shear_range else 0
        low, high = self.zoom_range
        zx, zy = (1, 1) if low == high == 1 else draw.uniform(low, high, 2)
        flip_horizontal = bool(draw.random_sample() < 0.5) and bool(self.horizontal_flip)
        flip_vertical = bool(draw.random_sample() < 0.5) and bool(self.vertical_flip)
        shift = brightness = None
        if self.channel_shift_range != 0:
            shift = draw.uniform(-self.channel_shift_range, self.channel_shift_range)
        if self.brightness_range is not None:
            brightness = draw.uniform(*self.brightness_range)
        return {
            "theta": theta, "tx": tx, "ty": ty, "shear": shear, "zx": zx, "zy": zy,
            "flip_horizontal": flip_horizontal, "flip_vertical": flip_vertical,
            "channel_shift_intensity": shift, "brightness": brightness,
        }  # fmt: skip

    def apply_transform(self, x: Any, transform_parameters: dict[str, Any]) -> Array:
        """A picture changed by the numbers of `get_random_transform`; those left out do nothing."""
        given = transform_parameters
        rows, columns, channels = self.row_axis - 1, self.col_axis - 1, self.channel_axis - 1
        x = apply_affine_transform(
            x, given.get("theta", 0), given.get("tx", 0), given.get("ty", 0),
            given.get("shear", 0), given.get("zx", 1), given.get("zy", 1), row_axis=rows,
            col_axis=columns, channel_axis=channels, fill_mode=self.fill_mode, cval=self.cval,
            order=self.interpolation_order,
        )  # fmt: skip
        if given.get("channel_shift_intensity") is not None:
            x = apply_channel_shift(x, given["channel_shift_intensity"], channels)
        if given.get("flip_horizontal", False):
            x = flip_axis(x, columns)
        if given.get("flip_vertical", False):
            x = flip_axis(x, rows)
        if given.get("brightness") is not None:
            x = apply_brightness_shift(x, given["brightness"], False)
        changed: Array = x
        return changed

    def random_transform(self, x: Any, seed: int | None = None) -> Array:
        """A picture changed at random."""
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Finds mean, deviation and whitening matrix of pictures, where they are asked for.

        Args:
            x: Pictures (n, height, width, channels).
            augment: Whether they are changed at random first.
            rounds: How many times each is changed.
            seed: Of the changes.
        """
        x = np.array(x, dtype=self.dtype)
        if x.ndim != 4:
            raise ShapeError(
                f"Input to `.fit()` should have rank 4. Got array with shape: {x.shape}\n"
                "  hint: (n, height, width, channels)"
            )
        if x.shape[self.channel_axis] not in (1, 3, 4):
            warnings.warn(
                f"Expected input with 1, 3 or 4 channels on axis {self.channel_axis} "
                f"({self.data_format}). However, it was passed an array with shape {x.shape} "
                f"({x.shape[self.channel_axis]} channels).",
                stacklevel=2,
            )
        if self.rescale:
            x *= self.rescale
        if augment:
            draw = None if seed is None else np.random.RandomState(seed)
            x = np.stack(
                [
                    self.apply_transform(one, self.get_random_transform(one.shape, draw))
                    for _ in range(rounds)
                    for one in x
                ]
            )
        over = (0, self.row_axis, self.col_axis)
        shape = [1, 1, 1]
        shape[self.channel_axis - 1] = x.shape[self.channel_axis]
        if self.featurewise_center:
            self.mean = np.mean(x, axis=over, dtype=np.float64).reshape(shape).astype(self.dtype)
            x -= self.mean
        if self.featurewise_std_normalization:
            self.std = np.std(x, axis=over, dtype=np.float64).reshape(shape).astype(self.dtype)
            x /= self.std + 1e-6
        if self.zca_whitening:
            u, s, _ = np.linalg.svd(x.reshape(len(x), -1).T, full_matrices=False)
            self.zca_whitening_matrix = (u * (np.sqrt(len(x)) / (s + self.zca_epsilon))) @ u.T


def _shift(draw: Any, wanted: Any, size: int) -> float:
    """Pixels of a shift: a share of the size below 1, else whole pixels or one of a list."""
    if not isinstance(wanted, list | tuple | np.ndarray):
        if not wanted:
            return 0.0
        whole = isinstance(wanted, int | np.integer)
        by = draw.choice(wanted) * draw.choice([-1, 1]) if whole else draw.uniform(-wanted, wanted)
    else:
        by = draw.choice(wanted) * draw.choice([-1, 1])
    return float(by * size) if np.max(wanted) < 1 else float(by)
