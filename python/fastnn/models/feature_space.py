"""`FeatureSpace`: columns of a table as inputs of a model, each encoded as its kind says.

Depends on `features`, `layers`, `files`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnn import config, layers, ops
from fastnn._core import Tensor
from fastnn.data.adapting import batches_to_adapt
from fastnn.errors import ConfigError, DataError
from fastnn.files.native import save_model
from fastnn.layers import Input, Layer
from fastnn.layers.preprocessing.host import array_of
from fastnn.models.features import Cross, Feature, written
from fastnn.tracing.symbolic import KerasTensor

__all__ = ["Cross", "Feature", "FeatureSpace"]


class FeatureSpace(Layer):
    """The columns of a table, each encoded as its kind says: joined to vectors, or in a dict.

    Kinds by name are `"float"`, `"float_normalized"`, `"float_rescaled"`, `"float_discretized"`,
    `"integer_categorical"`, `"string_categorical"`, `"integer_hashed"` and `"string_hashed"`; the
    methods of these names take settings. `adapt` learns vocabularies, means and bins. Then it is
    called on a dict of columns, is mapped over a data set, or gives the inputs of a model and what
    they become (`get_inputs`, `get_encoded_features`).

    Shapes: a dict of arrays (batch,) or (batch, 1), or of single values -> (batch, sizes of all
    features together), or (sizes,) of single values; a dict of arrays for `output_mode="dict"`.
    Features stand in the order of their names, crosses after them.

    Args:
        features: The kind of each column by its name.
        output_mode: `"concat"` or `"dict"`.
        crosses: Tuples of names, or what `FeatureSpace.cross` gives.
        crossing_dim: The number of bins of crosses that do not say it.
        hashing_dim: The number of bins of hashed features that do not say it.
        num_discretization_bins: The number of bins of discretized features that do not say it.
        name: The name; made from the class name when left out.

    Raises:
        ValueError: A kind or mode is not known, or a cross names an unknown feature.

    Example:
        >>> space = fastnn.utils.FeatureSpace(
        ...     {"age": "float_normalized", "city": "string_categorical"}, crosses=None)
        >>> table = {"age": [20.0, 40.0], "city": ["Rome", "Oslo"]}
        >>> space.adapt(table)
        >>> space(table).numpy()
        array([[-1.,  0.,  1.,  0.],
               [ 1.,  0.,  0.,  1.]], dtype=float32)
    """

    compiled: bool
    optimizer: Any
    crossing_dim: int
    hashing_dim: int
    features: dict[str, Feature]
    crosses: list[Cross]
    preprocessors: dict[str, Any]
    inputs: dict[str, Any]
    built: bool
    crossers: dict[str, Any]

    model_kind: str = "feature_space"
    #: What files ask of models: it is not trained.
    compiled, optimizer, _compile_config, _shuffle_seed = False, None, None, None

    @classmethod
    def cross(
        cls, feature_names: Iterable[str], crossing_dim: int, output_mode: str = "one_hot"
    ) -> Cross:
        """A cross of features with settings of its own.

        Args:
            feature_names: The names of the features.
            crossing_dim: The number of bins.
            output_mode: `"one_hot"` or `"int"`.

        Returns:
            What `crosses` takes.

        Example:
            >>> fastnn.utils.FeatureSpace.cross(("age", "city"), crossing_dim=64).name
            'age_X_city'
        """
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """A column read by a layer of your choice.

        Args:
            dtype: The type of the input: `"float32"`, `"int32"` or `"string"`.
            preprocessor: The layer.
            output_mode: `"one_hot"` of its whole numbers, or what it gives: `"int"`, `"float"`.

        Returns:
            What `features` takes.

        Example:
            >>> layer = fastnn.layers.TextVectorization(output_mode="tf_idf")
            >>> fastnn.utils.FeatureSpace.feature("string", layer, "float").dtype
            'string'
        """
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Numbers as they are.

        Args:
            name: The layer's name begins with it.

        Returns:
            What `features` takes.

        Example:
            >>> fastnn.utils.FeatureSpace.float().output_mode
            'float'
        """
        return Feature("float32", layers.Identity(name=_named(name, "float")), "float")

    @classmethod
    def float_rescaled(
        cls, scale: Any = 1.0, offset: Any = 0.0, name: str | None = None
    ) -> Feature:
        """Numbers times `scale`, plus `offset`.

        Args:
            scale: The factor.
            offset: The summand.
            name: The layer's name begins with it.

        Returns:
            What `features` takes.

        Example:
            >>> fastnn.utils.FeatureSpace.float_rescaled(scale=0.5).preprocessor.scale
            0.5
        """
        layer = layers.Rescaling(scale, offset, name=_named(name, "float_rescaled"))
        return Feature("float32", layer, "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers with mean 0 and variance 1, which `adapt` learns.

        Args:
            name: The layer's name begins with it.

        Returns:
            What `features` takes.

        Example:
            >>> fastnn.utils.FeatureSpace.float_normalized().output_mode
            'float'
        """
        layer = layers.Normalization(axis=-1, name=_named(name, "float_normalized"))
        return Feature("float32", layer, "float")

    @classmethod
    def float_discretized(
        cls, num_bins: int | None = None, bin_boundaries: Any = None,
        output_mode: str = "one_hot", name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Numbers as the number of the bin they lie in.

        Args:
            num_bins: How many bins `adapt` is to make; None with `bin_boundaries`.
            bin_boundaries: The boundaries between bins, rising.
            output_mode: `"one_hot"` or `"int"`.
            name: The layer's name begins with it.

        Returns:
            What `features` takes.

        Example:
            >>> fastnn.utils.FeatureSpace.float_discretized(num_bins=4).preprocessor.num_bins
            4
        """
        layer = layers.Discretization(
            bin_boundaries, num_bins, name=_named(name, "float_discretized")
        )
        return Feature("float32", layer, output_mode)

    @classmethod
    def integer_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1,
        output_mode: str = "one_hot", name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Whole numbers as categories, which `adapt` learns.

        Args:
            max_tokens: The largest number of categories; None: no bound.
            num_oov_indices: How many categories stand for numbers that were not seen.
            output_mode: `"one_hot"` or `"int"`.
            name: The layer's name begins with it.

        Returns:
            What `features` takes.

        Example:
            >>> fastnn.utils.FeatureSpace.integer_categorical(num_oov_indices=0).dtype
            'int32'
        """
        layer = layers.IntegerLookup(
            max_tokens, num_oov_indices, name=_named(name, "integer_categorical")
        )
        return Feature("int32", layer, output_mode)

    @classmethod
    def string_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1,
        output_mode: str = "one_hot", name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Texts as categories, which `adapt` learns.

        Args:
            max_tokens: The largest number of categories; None: no bound.
            num_oov_indices: How many categories stand for texts that were not seen.
            output_mode: `"one_hot"` or `"int"`.
            name: The layer's name begins with it.

        Returns:
            What `features` takes.

        Example:
            >>> fastnn.utils.FeatureSpace.string_categorical(max_tokens=10).dtype
            'string'
        """
        layer = layers.StringLookup(
            max_tokens, num_oov_indices, name=_named(name, "string_categorical")
        )
        return Feature("string", layer, output_mode)

    @classmethod
    def string_hashed(
        cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Texts as the number of a bin, by a hash.

        Args:
            num_bins: The number of bins.
            output_mode: `"one_hot"` or `"int"`.
            name: The layer's name begins with it.

        Returns:
            What `features` takes.

        Example:
            >>> fastnn.utils.FeatureSpace.string_hashed(num_bins=32).dtype
            'string'
        """
        layer = layers.Hashing(num_bins, name=_named(name, "string_hashed"))
        return Feature("string", layer, output_mode)

    @classmethod
    def integer_hashed(
        cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Whole numbers as the number of a bin, by a hash.

        Args:
            num_bins: The number of bins.
            output_mode: `"one_hot"` or `"int"`.
            name: The layer's name begins with it.

        Returns:
            What `features` takes.

        Example:
            >>> fastnn.utils.FeatureSpace.integer_hashed(num_bins=32).dtype
            'int32'
        """
        layer = layers.Hashing(num_bins, name=_named(name, "integer_hashed"))
        return Feature("int32", layer, output_mode)

    def __init__(
        self,
        features: dict[str, Any],
        output_mode: str = "concat",
        crosses: Any = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not isinstance(features, dict) or not features:
            raise ValueError(
                "The `features` argument cannot be None or empty.\n  hint: {'age': 'float'}"
            )
        if output_mode not in ("dict", "concat"):
            raise ValueError(
                "Invalid value for argument `output_mode`. Expected one of {'dict', 'concat'}. "
                f"Received: output_mode={output_mode}\n  hint: output_mode='concat'"
            )
        self.output_mode = output_mode
        self.crossing_dim, self.hashing_dim = crossing_dim, hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.features = {key: self._feature(key, value) for key, value in features.items()}
        self.crosses = [self._cross(c) for c in crosses or ()]
        self.preprocessors = {key: f.preprocessor for key, f in self.features.items()}
        self.crossers = {
            c.name: layers.HashedCrossing(c.crossing_dim, name=c.name) for c in self.crosses
        }
        self.one_hot_encoders: dict[str, Any] = {}
        self.inputs = {
            key: Input((1,), dtype=f.dtype, name=key) for key, f in self.features.items()
        }
        self.encoded_features: Any = None
        self.built = self._is_adapted = not self._adaptable()

    def _feature(self, key: str, kind: Any) -> Feature:
        if isinstance(kind, Feature):
            return kind
        if isinstance(kind, dict):
            return Feature.from_config(kind.get("config", {}))
        given = {
            "float_discretized": {"num_bins": self.num_discretization_bins},
            "integer_hashed": {"num_bins": self.hashing_dim},
            "string_hashed": {"num_bins": self.hashing_dim},
        }
        kinds = ("float", "float_normalized", "float_rescaled", "float_discretized",
                 "integer_categorical", "string_categorical", "integer_hashed",
                 "string_hashed")  # fmt: skip
        if kind not in kinds:
            raise ValueError(
                f"Invalid feature type: {kind!r} (feature {key!r}), wanted one of "
                f"{', '.join(kinds)}\n  hint: 'float', or FeatureSpace.feature(...)"
            )
        made: Feature = getattr(self, kind)(**given.get(kind, {}), name=key)
        return made

    def _cross(self, given: Any) -> Cross:
        if isinstance(given, dict):
            given = Cross.from_config(given.get("config", {}))
        if isinstance(given, Cross):
            cross = given
        else:
            if not self.crossing_dim:
                raise ValueError(
                    "When specifying `crosses`, the argument `crossing_dim` (dimensionality of "
                    "the crossing space) should be specified as well.\n  hint: crossing_dim=32"
                )
            cross = Cross(given, self.crossing_dim)
        unknown = [key for key in cross.feature_names if key not in self.features]
        if unknown:
            raise ValueError(
                "All features referenced in the `crosses` argument should be present in the "
                f"`features` dict. Received unknown features: {unknown}\n"
                "  hint: a tuple of names of features"
            )
        return cross

    # ---- learning --------------------------------------------------------------------------------

    def _adaptable(self) -> list[str]:
        """The features whose layers learn something."""
        found = []
        for key, layer in self.preprocessors.items():
            given = isinstance(layer, layers.Normalization) and layer.input_mean is not None
            given |= isinstance(layer, layers.Discretization) and layer.num_bins is None
            given |= isinstance(layer, layers.TextVectorization) and _has_vocabulary(layer)
            if hasattr(layer, "adapt") and not given:
                found.append(key)
        return found

    def adapt(self, dataset: Any) -> None:
        """Learns vocabularies, means and bins from the columns of a table.

        Args:
            dataset: A dict of arrays or lists, or a data set of such dicts: of rows or of batches.

        Raises:
            ValueError: The data are neither, or have no rows.
            DataError: A column is missing or holds values that its layer does not take.

        Example:
            >>> space = fastnn.utils.FeatureSpace({"city": "string_categorical"})
            >>> space.adapt({"city": ["Rome", "Oslo", "Rome"]})
            >>> space.preprocessors["city"].get_vocabulary()
            ['[UNK]', 'Rome', 'Oslo']
        """
        where = f"FeatureSpace {self.name!r}"
        if isinstance(dataset, np.ndarray | list | tuple | str):
            raise ValueError(
                "`adapt()` can only be called on a tf.data.Dataset or a dict of arrays/lists. "
                f"Received instead: {type(dataset).__name__}\n  hint: adapt({{'age': ages}})"
            )
        wanted = self._adaptable()
        columns: dict[str, list[Any]] = {key: [] for key in wanted}
        for batch in [dataset] if _is_table(dataset) else batches_to_adapt(dataset, None, where):
            if not _is_table(batch):
                raise DataError(
                    f"{where}: adapt got a batch that is a {type(batch).__name__}, wanted dicts of "
                    "columns\n  hint: dataset.map(lambda x, y: x)"
                )
            for key in wanted:
                if key not in batch:
                    raise self._lacking(key, batch)
                columns[key].append(array_of(batch[key]).reshape(-1))
        for key in wanted:
            self.preprocessors[key].adapt(_joined(columns[key])[:, None])
        self._is_adapted, self._build_config = True, self._built_for()
        self.one_hot_encoders, self.encoded_features = {}, None
        self.get_encoded_features()
        self.built = True

    def _lacking(self, key: str, table: Any) -> DataError:
        return DataError(
            f"FeatureSpace {self.name!r}: there is no column {key!r} among "
            f"{', '.join(map(repr, sorted(table)))}\n  hint: one column a feature"
        )

    def _refuse_unadapted(self) -> None:
        if not self._is_adapted:
            raise ValueError(
                "You need to call `.adapt(dataset)` on the FeatureSpace before you can start using "
                "it.\n  hint: space.adapt({'age': ages})"
            )

    # ---- encoding --------------------------------------------------------------------------------

    def get_inputs(self) -> dict[str, Any]:
        """The inputs of a model that encodes the columns itself.

        Returns:
            A dict of symbolic tensors by the names of the features.

        Raises:
            ValueError: `adapt` is missing.

        Example:
            >>> space = fastnn.utils.FeatureSpace({"age": "float"})
            >>> model = fastnn.Model(space.get_inputs(), space.get_encoded_features())
            >>> model.predict({"age": np.array([1.0, 2.0])}, verbose=0).ravel()
            array([1., 2.], dtype=float32)
        """
        self._refuse_unadapted()
        return self.inputs

    def get_encoded_features(self) -> Any:
        """What the inputs become.

        Returns:
            A symbolic tensor, or a dict of them for `output_mode="dict"`.

        Raises:
            ValueError: `adapt` is missing, or a feature that is not encoded is to be joined.
        """
        self._refuse_unadapted()
        if self.encoded_features is None:
            self.encoded_features = self._encoded(self.inputs)
        return self.encoded_features

    def _encoded(self, columns: dict[str, Any]) -> Any:
        read = {key: layer(columns[key]) for key, layer in self.preprocessors.items()}
        crossed = {
            c.name: self.crossers[c.name]([read[key] for key in c.feature_names])
            for c in self.crosses
        }
        modes = {key: f.output_mode for key, f in self.features.items()}
        modes |= {c.name: c.output_mode for c in self.crosses}
        found = {}
        for key, x in [*sorted(read.items()), *sorted(crossed.items())]:
            x = self._one_hot(key, x) if modes[key] == "one_hot" else x
            if self.output_mode == "concat" and not str(x.dtype).startswith("float"):
                raise ValueError(
                    f"Cannot concatenate features because feature '{key}' has not been encoded "
                    f"(it has dtype {x.dtype}). Consider using `output_mode='dict'`.\n"
                    "  hint: output_mode='dict', or 'one_hot' for the feature"
                )
            found[key] = x
        if self.output_mode == "dict":
            return found
        parts = list(found.values())
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)

    def _one_hot(self, key: str, x: Any) -> Any:
        if key not in self.one_hot_encoders:
            if not str(x.dtype).startswith("int"):
                raise ValueError(
                    f"Feature '{key}' has `output_mode='one_hot'`. Thus its preprocessor should "
                    f"return an integer dtype. Instead it returns a {x.dtype} dtype.\n"
                    "  hint: output_mode='float'"
                )
            depth = self._categories(key)
            name = f"{self.name}_{key}_one_hot"
            encoder = layers.CategoryEncoding(depth, "multi_hot", name=name)
            self.one_hot_encoders = {**self.one_hot_encoders, key: encoder}
        return self.one_hot_encoders[key](x)

    def _categories(self, key: str) -> int:
        layer = self.crossers.get(key) or self.preprocessors[key]
        if isinstance(layer, layers.IntegerLookup | layers.StringLookup):
            return layer.vocabulary_size()
        if isinstance(layer, layers.CategoryEncoding):
            return layer.num_tokens
        if isinstance(layer, layers.Discretization):
            return len(layer.bin_boundaries) + 1
        if isinstance(layer, layers.HashedCrossing | layers.Hashing):
            return layer.num_bins
        raise ValueError(
            f"Feature '{key}' has `output_mode='one_hot'`. However it isn't a standard feature and "
            "the dimensionality of its output space is not known, thus it cannot be one-hot "
            "encoded. Try using `output_mode='int'`.\n  hint: output_mode='int'"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """A dict of columns, or of single values, encoded."""
        data: Any = args[0] if args else kwargs.get("data", {})
        self._refuse_unadapted()
        if not _is_table(data):
            raise ValueError(
                f"A FeatureSpace can only be called with a dict. Received: data={data!r:.80} (of "
                f"type {type(data).__name__})\n  hint: space({{'age': [20.0, 40.0]}})"
            )
        for key in self.features:
            if key not in data:
                raise self._lacking(key, data)
        if more := [key for key in data if key not in self.features]:
            raise DataError(
                f"FeatureSpace {self.name!r}: {', '.join(map(repr, more))} are no features\n"
                "  hint: frame[list(space.features)]"
            )
        columns = {key: _column(value) for key, value in data.items()}
        single = [len(x.shape) == 0 for x in columns.values()]
        out = self._encoded({key: _upright(x) for key, x in columns.items()})
        if not any(single):
            return out
        if self.output_mode == "dict":
            return {key: x[0] if tuple(x.shape)[:1] == (1,) else x for key, x in out.items()}
        if out.shape[0] != 1:
            raise DataError(
                f"FeatureSpace {self.name!r}: single values beside columns of {out.shape[0]} rows\n"
                "  hint: one value a feature, or one column each"
            )
        return out[0]

    # ---- files -----------------------------------------------------------------------------------

    def _input_shapes(self) -> None:
        """No graph is written for it: it reads text."""

    def save(self, filepath: Any, overwrite: bool = True) -> None:
        """Writes the feature space to a file; `fastnn.models.load_model` reads it.

        Args:
            filepath: A name that ends in `.keras`, or in `.safetensors`.
            overwrite: Whether a file that is there is replaced.

        Raises:
            ValueError: `adapt` is missing.

        Example:
            >>> space = fastnn.utils.FeatureSpace({"age": "float"})
            >>> space.save("space.safetensors")
            >>> fastnn.models.load_model("space.safetensors")({"age": [2.0]}).numpy()
            array([[2.]], dtype=float32)
        """
        self._refuse_unadapted()
        save_model(self, filepath, overwrite)

    def get_config(self) -> dict[str, Any]:
        """The arguments, with what the layers of the features have learned."""
        return {
            "features": {key: written(f) for key, f in self.features.items()},
            "output_mode": self.output_mode,
            "crosses": [written(c) for c in self.crosses],
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FeatureSpace:
        """A feature space from its config; what it had learned is there again."""
        config = dict(config)
        for key in ("trainable", "dtype"):
            config.pop(key, None)
        features = config.get("features")
        entries = features.values() if isinstance(features, dict) else ()
        for entry in [*entries, *(config.get("crosses") or ())]:
            if isinstance(entry, dict) and not isinstance(entry.get("config"), dict):
                raise ConfigError(
                    f"FeatureSpace: {str(entry)[:80]} is no config of a feature or a cross\n"
                    "  hint: give what get_config() returned"
                )
        return cls(**config)

    def _built_for(self) -> dict[str, Any]:
        return {key: {"input_shape": [None, 1]} for key in self.preprocessors}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Makes room for what the layers of the features learned; a file holds it.

        Args:
            config: What `get_build_config` returned.
        """
        for layer in self.preprocessors.values():
            if not layer.built:
                layer.build((None, 1))
        self._is_adapted, self._build_config = True, self._built_for()
        self.built = True


def _named(name: str | None, kind: str) -> str:
    return f"{name or config.unique_name(kind)}_preprocessor"


def _has_vocabulary(layer: Any) -> bool:
    return len(layer.get_vocabulary(include_special_tokens=False)) > 0


def _is_table(data: Any) -> bool:
    """A dict of columns, or a frame of pandas."""
    return isinstance(data, dict) or (hasattr(data, "columns") and hasattr(data, "to_numpy"))


def _column(value: Any) -> Any:
    return value if isinstance(value, Tensor | KerasTensor) else array_of(value)


def _upright(x: Any) -> Any:
    """A column as (rows, 1)."""
    if len(x.shape) > 1:
        return x
    return x.reshape((-1, 1)) if isinstance(x, np.ndarray) else ops.reshape(x, (-1, 1))


def _joined(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
