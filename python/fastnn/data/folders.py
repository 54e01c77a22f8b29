"""Folders of files with a subfolder a class: what is in them, and data sets of their pictures.

Depends on `images`, `image_resize`, `pipeline`, `prefetch`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.base.arguments import hints_arguments
from fastnn.base.messages import print_msg
from fastnn.config import floatx, standardize_data_format
from fastnn.data.image_resize import METHODS, resize_picture
from fastnn.data.images import CHANNELS, img_to_array, load_img, size_of
from fastnn.data.pipeline import Dataset
from fastnn.data.prefetch import gather
from fastnn.errors import DataError

__all__ = [
    "check_format", "check_label_mode", "check_on_error", "class_folders", "files_in",
    "image_dataset_from_directory", "index_directory", "told_of_broken", "told_of_one_class",
]  # fmt: skip

Array = np.ndarray[Any, Any]

_FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def check_label_mode(label_mode: str | None) -> None:
    """ValueError for a mode that loaders of folders do not have."""
    if label_mode not in ("int", "categorical", "binary", None):
        raise ValueError(
            '`label_mode` argument must be one of "int", "categorical", "binary", or None. '
            f"Received: label_mode={label_mode}\n  hint: label_mode='int'"
        )


def check_format(format: str) -> None:
    """ValueError for a kind of data set that is not there."""
    if format != "tf":
        raise ValueError(f"`format` is {format!r}, fastnn has 'tf'\n  hint: leave format out")


def check_on_error(on_error: str) -> str:
    """`"stop"` or `"skip"`."""
    if on_error not in ("stop", "skip"):
        raise ValueError(
            f"on_error is {on_error!r}, wanted what happens at a file that cannot be read\n"
            "  hint: 'stop' raises an error, 'skip' leaves it out and says so"
        )
    return on_error


def told_of_broken(error: DataError) -> None:
    """Warns of a picture that was left out."""
    head = str(error).partition("\n  hint:")[0]
    warnings.warn(f"{head}; it is left out", stacklevel=3)


def checked_folder(directory: Any) -> str:
    """A folder's path as text; DataError if there is none."""
    path = os.path.expanduser(os.fsdecode(directory))
    if not os.path.isdir(path):
        kind = "is a file" if os.path.exists(path) else "does not exist"
        raise DataError(
            f"the folder {path!r} {kind}\n"
            f"  hint: the path is looked up from {os.getcwd()!r}; give one that holds a subfolder "
            "for each class"
        )
    return path


def class_folders(directory: str) -> list[str]:
    """Names of the subfolders, sorted; hidden ones are left out."""
    return sorted(
        name for name in os.listdir(directory)
        if not name.startswith(".") and os.path.isdir(os.path.join(directory, name))
    )  # fmt: skip


def told_of_one_class(folder: str, names: Sequence[str]) -> None:
    """Warns of a folder with one subfolder: pictures of one class teach nothing, and often it is
    the folder above the one that was meant.
    """
    if len(names) != 1:
        return
    inner = os.path.join(folder, names[0])
    below = class_folders(inner)
    mend = f"directory={inner!r}, whose subfolders are {below[:5]}" if below else "label_mode=None"
    warnings.warn(
        f"the folder {folder!r} has one subfolder, {names[0]!r}, so all files are of one class\n"
        f"  hint: {mend}; or one subfolder a class",
        stacklevel=4,
    )


def files_in(folder: str, formats: tuple[str, ...], follow_links: bool = False) -> Iterator[str]:
    """Paths of the files below a folder with one of these endings, sorted folder by folder."""
    seen: set[str] = set()
    found = []
    for root, folders, names in os.walk(folder, followlinks=follow_links):
        real = os.path.realpath(root)
        if real in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add(real)
        found.append((root, sorted(n for n in names if n.lower().endswith(formats))))
    for root, names in sorted(found, key=lambda entry: entry[0]):
        yield from (os.path.join(root, name) for name in names)


def index_directory(
    directory: Any,
    labels: Any,
    formats: tuple[str, ...],
    class_names: Sequence[str] | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> tuple[list[str], Any, list[str] | None]:
    """Paths, class numbers and class names of the files of a folder.

    Args:
        directory: The folder.
        labels: `"inferred"` from the subfolders, None, or one number a file in order of paths.
        formats: Endings of the files, in lower case.
        class_names: The subfolders in the order of their numbers; None: sorted.
        shuffle: Whether the files are mixed.
        seed: Of the order.
        follow_links: Whether links to folders are followed.
        verbose: Whether to say how many files were found.

    Returns:
        (paths, labels or None, class names or None).
    """
    root = checked_folder(directory)
    if labels == "inferred":
        folders = class_folders(root)
        if class_names is not None:
            if not set(class_names) <= set(folders):
                raise ValueError(
                    "The `class_names` passed did not match the names of the subdirectories of the "
                    f"target directory. Expected: {folders} (or a subset of it), but received: "
                    f"class_names={list(class_names)}\n  hint: names of subfolders of {root!r}"
                )
            folders = list(class_names)
        if not folders:
            raise DataError(
                f"the folder {root!r} has no subfolders, so the classes are not known\n"
                "  hint: one subfolder a class, or labels=None"
            )
    elif class_names is not None:
        raise ValueError(
            "`class_names` goes with labels='inferred' only\n  hint: leave class_names out"
        )
    else:
        folders = [""]
    paths: list[str] = []
    numbers: list[int] = []
    for number, name in enumerate(folders):
        found = list(files_in(os.path.join(root, name) if name else root, formats, follow_links))
        paths += found
        numbers += [number] * len(found)
    if labels == "inferred" and paths:
        told_of_one_class(root, folders)
    names: list[str] | None = folders
    result: Any = np.asarray(numbers, np.int32)
    if labels is None:
        result = names = None
    elif labels != "inferred":
        if len(labels) != len(paths):
            raise ValueError(
                "Expected the lengths of `labels` to match the number of files in the target "
                f"directory. len(labels) is {len(labels)} while we found {len(paths)} files in "
                f"directory {root}.\n  hint: one label a file, in order of the paths"
            )
        result, names = np.asarray(labels), [str(label) for label in sorted(set(labels))]
    if verbose:
        classes = f" belonging to {len(names)} classes" if names is not None else ""
        print_msg(f"Found {len(paths)} files{classes}.")
    if shuffle:
        order = np.random.RandomState(seed).permutation(len(paths))
        paths = [paths[i] for i in order]
        result = None if result is None else result[order]
    return paths, result, names


def _checked_split(share: Any, subset: Any, shuffle: bool, seed: int | None) -> None:
    if share and not 0 < share < 1:
        raise ValueError(
            f"`validation_split` must be between 0 and 1, received: {share}\n"
            "  hint: validation_split=0.2"
        )
    if bool(share) != bool(subset):
        raise ValueError(
            "If `subset` is set, `validation_split` must be set, and inversely.\n"
            "  hint: validation_split=0.2, subset='training'"
        )
    if subset not in ("training", "validation", "both", None):
        raise ValueError(
            '`subset` must be either "training", "validation" or "both", '
            f"received: {subset}\n  hint: subset='both' gives two data sets"
        )
    if share and shuffle and seed is None and subset != "both":
        raise ValueError(
            "If using `validation_split` and shuffling the data, you must provide a `seed` "
            "argument, to make sure that there is no overlap between the training and validation "
            "subset.\n  hint: seed=1 in both calls"
        )


class _Pictures:
    """Reads pictures of one size, with their labels."""

    def __init__(self, labels: Any, label_mode: str | None, classes: int, **how: Any) -> None:
        self.labels, self.mode, self.classes = labels, label_mode, classes
        self.how = how

    def target(self, i: int) -> Array:
        """The label as losses want it."""
        if self.mode == "binary":
            return np.asarray([self.labels[i]], floatx())
        if self.mode == "categorical":
            one: Array = np.eye(self.classes, dtype=floatx())[int(self.labels[i])]
            return one
        return np.asarray(self.labels[i], np.int32)

    def picture(self, path: str) -> Array:
        """Its pixels as float32."""
        how = self.how
        x: Array = img_to_array(load_img(path, how["color_mode"]), "channels_last")
        height, width = how["size"]
        if how["crop"]:
            x = _cropped(x, height, width)
        if how["pad"]:
            x = _padded(x, height, width, how["kind"])
        else:
            x = resize_picture(x, (height, width), how["kind"])
        if how["data_format"] == "channels_first":
            x = x.transpose(2, 0, 1)
        return x

    def dataset(self, paths: list[str], chosen: Array, shuffle: bool, seed: int | None) -> Dataset:
        """Elements (picture, label), or pictures alone."""
        order = Dataset.from_tensor_slices(chosen)
        if shuffle:
            order = order.shuffle(len(chosen), seed=seed)
        skip = self.how["on_error"] == "skip"
        told: set[int] = set()

        def read(i: Any) -> Any:
            try:
                x = self.picture(paths[int(i)])
            except DataError as error:
                if not skip:
                    raise
                if int(i) not in told:
                    told.add(int(i))
                    told_of_broken(error)
                return None
            return x if self.mode is None else (x, self.target(int(i)))

        def make() -> Iterator[Any]:
            workers = max(2, _core.get_num_threads())
            found = gather(read, order.as_numpy_iterator(), 2 * workers)
            return (element for element in found if element is not None)

        return Dataset(make, len(chosen), sources=(order,))


def _cropped(x: Array, height: int, width: int) -> Array:
    """The largest part in the middle with the target's ratio of sides."""
    rows, columns = x.shape[:2]
    high = max(min(rows, int(columns * height / width)), 1)
    wide = max(min(columns, int(rows * width / height)), 1)
    top, left = (rows - high) // 2, (columns - wide) // 2
    return x[top : top + high, left : left + wide]


def _padded(x: Array, height: int, width: int, kind: str) -> Array:
    """The whole picture in the middle of a black one."""
    rows, columns = x.shape[:2]
    ratio = max(columns / width, rows / height)
    high, wide = max(1, int(rows / ratio)), max(1, int(columns / ratio))
    top, left = (height - high) // 2, (width - wide) // 2
    out = np.zeros((height, width, x.shape[2]), np.float32)
    out[top : top + high, left : left + wide] = resize_picture(x, (high, wide), kind)
    return out


@hints_arguments
def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
    on_error: str = "stop",
) -> Any:
    """A data set of the pictures in a folder, read and resized on all cores, ahead of training.

    The folder has a subfolder for each class. Pictures (.bmp, .gif, .jpeg, .jpg, .png) come as
    float32 from 0 to 255, turned upright, in another order in each pass. The data set has
    `class_names` and `file_paths`; the latter are in the order of the pictures where
    `shuffle=False`.

    Args:
        directory: The folder.
        labels: `"inferred"` from the subfolders, None, or a list with a number for each file in
            order of paths.
        label_mode: `"int"` (int32), `"binary"` (float32 of shape (batch, 1)), `"categorical"`
            (one-hot float32) or None.
        class_names: Subfolders in the order of their class numbers; None: sorted.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
        batch_size: Pictures of a batch; None for single pictures.
        image_size: (height, width) of the pictures.
        shuffle: Whether they are mixed.
        seed: Of the order; a number makes it the same in each run.
        validation_split: The share of the files, the last ones, that is for validation.
        subset: `"training"`, `"validation"` or `"both"` (two data sets).
        interpolation: `"bilinear"`, `"nearest"`, `"bicubic"`, `"area"`, `"lanczos3"`, `"lanczos5"`,
            `"gaussian"` or `"mitchellcubic"`.
        follow_links: Whether links to folders are followed.
        crop_to_aspect_ratio: Whether to cut off what does not fit the ratio of sides.
        pad_to_aspect_ratio: Whether to keep the whole picture, with black bars.
        data_format: `"channels_last"` (default) or `"channels_first"`.
        format: `"tf"`.
        verbose: Whether to say how many files were found.
        on_error: `"stop"` raises a DataError at a picture that cannot be read; `"skip"` warns and
            leaves it out.

    Returns:
        A `fastnn.data.Dataset`, or two of them.

    Raises:
        DataError: There is no such folder, no picture in it, or a broken one.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (folder / name).mkdir()
        ...     fastnn.utils.save_img(folder / name / "0.png", np.zeros((4, 4, 3)))
        >>> ds = fastnn.utils.image_dataset_from_directory(folder, image_size=(8, 8), verbose=False)
        >>> [x.shape for x, y in ds], ds.class_names
        ([(2, 8, 8, 3)], ['cat', 'dog'])
    """
    if labels not in ("inferred", None) and not isinstance(labels, list | tuple):
        raise ValueError(
            "`labels` argument should be a list/tuple of integer labels, of the same size as the "
            f"number of image files in the target directory. Received: labels={labels}\n"
            "  hint: labels='inferred' takes them from the subfolders"
        )
    check_label_mode(label_mode)
    if labels is None or label_mode is None:
        labels = label_mode = None
    if color_mode not in CHANNELS:
        raise ValueError(
            f"`color_mode` must be one of {set(CHANNELS)}. Received: color_mode={color_mode}\n"
            "  hint: color_mode='rgb'"
        )
    if str(interpolation).lower() not in METHODS:
        raise ValueError(
            f"Argument `interpolation` should be one of {METHODS}. "
            f"Received: interpolation={interpolation}\n  hint: interpolation='bilinear'"
        )
    check_format(format)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            "Only one of `pad_to_aspect_ratio`, `crop_to_aspect_ratio` can be set to `True`."
            "\n  hint: choose what happens to pictures of another ratio of sides"
        )
    _checked_split(validation_split, subset, shuffle, seed)
    size = size_of(image_size, "image_size")
    if shuffle and seed is None:
        seed = int(np.random.randint(10**6))
    paths, numbers, names = index_directory(
        directory, labels, _FORMATS, class_names, shuffle, seed, follow_links, verbose
    )
    if label_mode == "binary" and len(names or ()) != 2:
        raise ValueError(
            'When passing `label_mode="binary"`, there must be exactly 2 class_names. '
            f"Received: class_names={names}\n  hint: label_mode='int' or 'categorical'"
        )
    if not paths:
        raise DataError(
            f"No images found in directory {os.fsdecode(directory)!r}. Allowed formats: {_FORMATS}"
            "\n  hint: one subfolder a class, pictures in it"
        )
    reader = _Pictures(
        numbers, label_mode, len(names or ()), color_mode=color_mode, size=size,
        kind=interpolation.lower(), crop=crop_to_aspect_ratio, pad=pad_to_aspect_ratio,
        data_format=standardize_data_format(data_format), on_error=check_on_error(on_error),
    )  # fmt: skip
    held = int((validation_split or 0) * len(paths))
    parts = {"training": (0, len(paths) - held), "validation": (len(paths) - held, len(paths))}
    wanted = (subset,) if subset in parts else tuple(parts) if subset == "both" else (None,)
    made = []
    for part in wanted:
        first, last = parts.get(part or "", (0, len(paths)))
        if first == last:
            raise DataError(
                f"No {part} images found in directory {os.fsdecode(directory)!r}: "
                f"validation_split={validation_split} of {len(paths)} pictures\n"
                "  hint: another share"
            )
        if part is not None and verbose:
            print_msg(f"Using {last - first} files for {part}.")
        mixed = shuffle and not (subset == "both" and part == "validation")
        ds = reader.dataset(paths, np.arange(first, last), mixed, seed)
        ds = ds if batch_size is None else ds.batch(batch_size)
        vars(ds).update(class_names=names, file_paths=paths[first:last])
        made.append(ds)
    return made if subset == "both" else made[0]
