"""What noise promises, reckoned by dp-accounting (extra `[privacy]`)."""

from __future__ import annotations

import math
from typing import Any

from fastnn.base.arguments import as_number, hints_arguments, is_whole

__all__ = ["epsilon"]


@hints_arguments
def epsilon(
    noise_multiplier: float,
    *,
    epochs: int,
    delta: float,
    sampling: str = "epochs",
    batch_size: int | None = None,
    rows: int | None = None,
) -> float:
    """The epsilon of (epsilon, delta) differential privacy that a training has.

    Reckoned with privacy loss distributions by Google's dp-accounting.

    With `"epochs"`, which is what `fit` over arrays does, each row is in one batch of each epoch:
    an epoch is one Gaussian mechanism for it. It counts a row that is left out as one whose
    gradient is zero. `"poisson"` is what is often reported: each row joins each batch by chance,
    with the share batch_size / rows. It is smaller, and true only for batches that are drawn so.

    Args:
        noise_multiplier: As of `PrivateModel`.
        epochs: How many epochs.
        delta: Well below one over the number of rows.
        sampling: `"epochs"` or `"poisson"`.
        batch_size: Rows of a batch, for `"poisson"`.
        rows: How many rows there are, for `"poisson"`.

    Returns:
        Epsilon; infinity without noise.

    Raises:
        ImportError: dp-accounting is not installed.
        ValueError: An argument is out of range.

    Example:
        >>> fastnn.privacy.epsilon(0.0, epochs=1, delta=1e-5)
        inf
    """
    noise, delta = as_number([noise_multiplier, delta])
    if not noise >= 0 or not 0 < delta < 1:
        raise ValueError(
            f"noise_multiplier is {noise_multiplier!r} and delta {delta!r}, wanted at least 0 and "
            "between 0 and 1\n  hint: noise_multiplier=1.1, delta=1e-5"
        )
    if not is_whole(epochs) or epochs < 0:
        raise ValueError(
            f"epochs is {epochs!r}, wanted a whole number of at least 0\n  hint: epochs=10"
        )
    if sampling not in ("epochs", "poisson"):
        raise ValueError(f"sampling is {sampling!r}\n  hint: 'epochs' or 'poisson'")
    if sampling == "poisson" and not (
        is_whole(batch_size) and is_whole(rows) and 1 <= batch_size <= rows  # type: ignore[operator]
    ):
        raise ValueError(
            f"batch_size is {batch_size!r} and rows {rows!r}, wanted 1 <= batch_size <= rows\n"
            "  hint: epsilon(..., sampling='poisson', batch_size=256, rows=len(x))"
        )
    if epochs == 0:
        return 0.0
    if noise == 0:
        return math.inf
    try:
        import dp_accounting
        from dp_accounting import pld
    except ImportError:
        raise ImportError(
            "privacy.epsilon needs dp-accounting, which is not installed\n"
            '  hint: pip install "fastnn-rs[privacy]"'
        ) from None
    event: Any = dp_accounting.GaussianDpEvent(noise)
    times = int(epochs)
    if sampling == "poisson" and batch_size is not None and rows is not None:
        event = dp_accounting.PoissonSampledDpEvent(batch_size / rows, event)
        times *= math.ceil(rows / batch_size)
    accountant = pld.PLDAccountant()
    accountant.compose(dp_accounting.SelfComposedDpEvent(event, times))
    return float(accountant.get_epsilon(delta))
