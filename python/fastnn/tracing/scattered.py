"""Updates of parts of a variable, as TensorFlow's programs write them: `v.scatter_nd_add(...)`.

Depends on `known_ops`.
"""

from __future__ import annotations

from typing import Any

from fastnn.tracing.known_ops import known_ops

__all__ = ["Scattered"]


class Scattered:
    """What a variable has beside `assign` for updates at places. Each method gives the variable."""

    __slots__ = ()

    def _put(self: Any, indices: Any, updates: Any, reduction: str | None, sign: int = 1) -> Any:
        ops = known_ops()
        new = ops["convert_to_tensor"](updates)
        new = new if sign > 0 else -new
        self.assign(ops["scatter_update"](self.value, indices, new, reduction))
        return self

    def _rows(self, sparse_delta: Any, reduction: str | None, sign: int = 1) -> Any:
        if not hasattr(sparse_delta, "indices") or not hasattr(sparse_delta, "values"):
            raise TypeError(
                f"rows of a variable are updated by tf.IndexedSlices, got "
                f"{type(sparse_delta).__name__}\n"
                "  hint: tf.IndexedSlices(values, indices), or scatter_nd_update(indices, updates)"
            )
        rows = known_ops()["expand_dims"](sparse_delta.indices, -1)
        return self._put(rows, sparse_delta.values, reduction, sign)

    def scatter_nd_update(self, indices: Any, updates: Any, name: str | None = None) -> Any:
        """Puts updates at positions (n, axes); of repeated ones the last counts.

        Args:
            indices: Positions (n, axes).
            updates: Values (n, …).
            name: Taken and not needed.

        Returns:
            The variable.

        Example:
            >>> v = fastnn.Variable([1.0, 2.0, 3.0])
            >>> v.scatter_nd_update([[0], [2]], [8.0, 9.0]).numpy()
            array([8., 2., 9.], dtype=float32)
        """
        return self._put(indices, updates, None)

    def scatter_nd_add(self, indices: Any, updates: Any, name: str | None = None) -> Any:
        """Adds updates at positions (n, axes).

        Args:
            indices: Positions (n, axes).
            updates: Values (n, …).
            name: Taken and not needed.

        Returns:
            The variable.

        Example:
            >>> fastnn.Variable([1.0, 2.0]).scatter_nd_add([[1], [1]], [1.0, 1.0]).numpy()
            array([1., 4.], dtype=float32)
        """
        return self._put(indices, updates, "add")

    def scatter_nd_sub(self, indices: Any, updates: Any, name: str | None = None) -> Any:
        """Subtracts updates at positions (n, axes).

        Args:
            indices: Positions (n, axes).
            updates: Values (n, …).
            name: Taken and not needed.

        Returns:
            The variable.

        Example:
            >>> fastnn.Variable([1.0, 2.0]).scatter_nd_sub([[1]], [1.0]).numpy()
            array([1., 1.], dtype=float32)
        """
        return self._put(indices, updates, "add", -1)

    def scatter_nd_max(self, indices: Any, updates: Any, name: str | None = None) -> Any:
        """Keeps the larger of element and update at positions (n, axes).

        Args:
            indices: Positions (n, axes).
            updates: Values (n, …).
            name: Taken and not needed.

        Returns:
            The variable.

        Example:
            >>> fastnn.Variable([1.0, 2.0]).scatter_nd_max([[0], [1]], [3.0, 0.0]).numpy()
            array([3., 2.], dtype=float32)
        """
        return self._put(indices, updates, "max")

    def scatter_nd_min(self, indices: Any, updates: Any, name: str | None = None) -> Any:
        """Keeps the smaller of element and update at positions (n, axes).

        Args:
            indices: Positions (n, axes).
            updates: Values (n, …).
            name: Taken and not needed.

        Returns:
            The variable.

        Example:
            >>> fastnn.Variable([1.0, 2.0]).scatter_nd_min([[0], [1]], [3.0, 0.0]).numpy()
            array([1., 0.], dtype=float32)
        """
        return self._put(indices, updates, "min")

    def scatter_update(
        self, sparse_delta: Any, use_locking: bool = False, name: str | None = None
    ) -> Any:
        """Puts rows at their numbers.

        Args:
            sparse_delta: `tf.IndexedSlices(values, indices)`.
            use_locking: Taken and not needed.
            name: Taken and not needed.

        Returns:
            The variable.

        Raises:
            TypeError: It is no `tf.IndexedSlices`.

        Example:
            >>> import fastnn as tf
            >>> tf.Variable([1.0, 2.0]).scatter_update(tf.IndexedSlices([9.0], [1])).numpy()
            array([1., 9.], dtype=float32)
        """
        return self._rows(sparse_delta, None)

    def scatter_add(
        self, sparse_delta: Any, use_locking: bool = False, name: str | None = None
    ) -> Any:
        """Adds rows at their numbers; arguments as for `scatter_update`.

        Args:
            sparse_delta: `tf.IndexedSlices(values, indices)`.
            use_locking: Taken and not needed.
            name: Taken and not needed.

        Returns:
            The variable.

        Example:
            >>> import fastnn as tf
            >>> tf.Variable([1.0, 2.0]).scatter_add(tf.IndexedSlices([9.0], [1])).numpy()
            array([ 1., 11.], dtype=float32)
        """
        return self._rows(sparse_delta, "add")

    def scatter_sub(
        self, sparse_delta: Any, use_locking: bool = False, name: str | None = None
    ) -> Any:
        """Subtracts rows at their numbers; arguments as for `scatter_update`.

        Args:
            sparse_delta: `tf.IndexedSlices(values, indices)`.
            use_locking: Taken and not needed.
            name: Taken and not needed.

        Returns:
            The variable.

        Example:
            >>> import fastnn as tf
            >>> tf.Variable([1.0, 2.0]).scatter_sub(tf.IndexedSlices([9.0], [1])).numpy()
            array([ 1., -7.], dtype=float32)
        """
        return self._rows(sparse_delta, "add", -1)

    def scatter_max(
        self, sparse_delta: Any, use_locking: bool = False, name: str | None = None
    ) -> Any:
        """Keeps the larger of row and update; arguments as for `scatter_update`.

        Args:
            sparse_delta: `tf.IndexedSlices(values, indices)`.
            use_locking: Taken and not needed.
            name: Taken and not needed.

        Returns:
            The variable.

        Example:
            >>> import fastnn as tf
            >>> tf.Variable([1.0, 2.0]).scatter_max(tf.IndexedSlices([9.0], [1])).numpy()
            array([1., 9.], dtype=float32)
        """
        return self._rows(sparse_delta, "max")

    def scatter_min(
        self, sparse_delta: Any, use_locking: bool = False, name: str | None = None
    ) -> Any:
        """Keeps the smaller of row and update; arguments as for `scatter_update`.

        Args:
            sparse_delta: `tf.IndexedSlices(values, indices)`.
            use_locking: Taken and not needed.
            name: Taken and not needed.

        Returns:
            The variable.

        Example:
            >>> import fastnn as tf
            >>> tf.Variable([1.0, 2.0]).scatter_min(tf.IndexedSlices([0.5], [1])).numpy()
            array([1. , 0.5], dtype=float32)
        """
        return self._rows(sparse_delta, "min")

    def scatter_mul(
        self, sparse_delta: Any, use_locking: bool = False, name: str | None = None
    ) -> Any:
        """Multiplies rows at their numbers; arguments as for `scatter_update`.

        Args:
            sparse_delta: `tf.IndexedSlices(values, indices)`.
            use_locking: Taken and not needed.
            name: Taken and not needed.

        Returns:
            The variable.

        Example:
            >>> import fastnn as tf
            >>> tf.Variable([1.0, 2.0]).scatter_mul(tf.IndexedSlices([3.0], [1])).numpy()
            array([1., 6.], dtype=float32)
        """
        return self._rows(sparse_delta, "mul")

    def sparse_read(self: Any, indices: Any, name: str | None = None) -> Any:
        """Rows by their numbers, as a tensor.

        Args:
            indices: Numbers of rows.
            name: Taken and not needed.

        Returns:
            A tensor.

        Example:
            >>> fastnn.Variable([1.0, 2.0]).sparse_read([1, 1]).numpy()
            array([2., 2.], dtype=float32)
        """
        return known_ops()["take"](self.value, indices, axis=0)
