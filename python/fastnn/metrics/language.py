"""How well a language model says what comes next, and how near translations are to others'.

Sources: Papineni et al. 2002, "BLEU"; Lin and Och 2004 (smoothing). Depends on `metric`, `losses`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fastnn import losses, ops
from fastnn.base.arguments import hints_arguments, whole_number
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.losses.base import match_weights
from fastnn.metrics.metric import Metric
from fastnn.tracing.variables import Variable

__all__ = ["Perplexity", "bleu"]


class Perplexity(Metric):
    """e to the mean loss a token: among how many tokens, as it were, the model hesitates.

    Args:
        from_logits: Whether predictions are scores before softmax.
        mask_token_id: A token that does not count, such as that of padding; None: all count.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        name: The name of the metric.

    Example:
        >>> metric = fastnn.metrics.Perplexity(from_logits=True)
        >>> metric.update_state([[0, 1, 2]], np.zeros((1, 3, 4)))
        >>> round(float(metric.result()), 4)
        4.0
    """

    from_logits: bool
    mask_token_id: int | None
    total: Variable
    count: Variable

    _direction = "down"

    def __init__(
        self,
        from_logits: bool = False,
        mask_token_id: int | None = None,
        dtype: DTypeLike = None,
        name: str = "perplexity",
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.from_logits, self.mask_token_id = from_logits, mask_token_id
        self.total = self._add_sum("total")
        self.count = self._add_sum("count")

    @hints_arguments
    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> None:
        """Adds the losses of a batch's tokens.

        Args:
            y_true: Token numbers (batch, steps).
            y_pred: Probabilities or scores (batch, steps, tokens).
            sample_weight: How much samples or tokens count.
        """
        y_true = ops.cast(y_true, "int32")
        keep = None
        if self.mask_token_id is not None:  # it may lie outside the classes, such as -1
            keep = ops.not_equal(y_true, self.mask_token_id)
            y_true = ops.where(keep, y_true, 0)
        lost = losses.sparse_categorical_crossentropy(y_true, y_pred, self.from_logits)
        weights = ops.ones_like(lost)
        if keep is not None:
            lost = ops.where(keep, lost, 0.0)
            weights = weights * ops.cast(keep, "float32")
        if sample_weight is not None:
            given, _ = match_weights(ops.convert_to_tensor(sample_weight, "float32"), lost)
            weights = weights * given
        self._accumulate(self.total, ops.sum(lost * weights))
        self._accumulate(self.count, ops.sum(weights))

    def result(self) -> Any:
        """The perplexity; 0 before there are tokens."""
        count = self.count.value
        mean = self.total.value / ops.maximum(count, 1e-7)
        return ops.where(count > 0, ops.exp(mean), 0.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            **super().get_config(), "from_logits": self.from_logits,
            "mask_token_id": self.mask_token_id,
        }  # fmt: skip


@hints_arguments
def bleu(
    references: Sequence[Any], candidates: Sequence[Any], max_order: int = 4, smooth: bool = False
) -> float:
    """How near texts are to those of people: shared n-grams of a corpus, short texts punished.

    Args:
        references: For each candidate a text or a list of texts; texts are split at spaces, lists
            of tokens, none of which has a space, taken as they are.
        candidates: The texts to judge.
        max_order: The longest n-grams that are compared.
        smooth: Whether 1 is added to counts of longer n-grams than one, so that none is 0.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: There are not as many references as candidates, a text stands for a list of
            texts, or `max_order` is not a whole number above 0.

    Example:
        >>> round(fastnn.metrics.bleu(["the cat sat on the mat"], ["the cat sat on a mat"]), 4)
        0.5373
    """
    max_order = whole_number("max_order", max_order, 1, "bleu: ")
    for name, given in (("references", references), ("candidates", candidates)):
        if isinstance(given, str):
            raise ValueError(
                f"bleu: {name} is one text, wanted a list of texts\n  hint: {name}=[{given[:40]!r}]"
            )
    if len(references) != len(candidates):
        raise ValueError(
            f"bleu: {len(references)} references for {len(candidates)} candidates\n"
            "  hint: one entry of references for each candidate"
        )
    hits, totals = [0] * max_order, [0] * max_order
    length = wanted = 0
    for reference, candidate in zip(references, candidates, strict=True):
        tokens = _tokens(candidate)
        several = isinstance(reference, list | tuple) and reference and (
            isinstance(reference[0], list | tuple) or any(" " in str(r) for r in reference)
        )  # fmt: skip
        others = [_tokens(r) for r in (reference if several else [reference])]
        length += len(tokens)
        wanted += min((abs(len(o) - len(tokens)), len(o)) for o in others)[1]
        for n in range(1, max_order + 1):
            found = _grams(tokens, n)
            best: Counter[Any] = Counter()
            for o in others:
                best |= _grams(o, n)
            hits[n - 1] += sum((found & best).values())
            totals[n - 1] += sum(found.values())
    if not length:
        return 0.0
    logs = 0.0
    for n, (hit, total) in enumerate(zip(hits, totals, strict=True)):
        more = 1 if smooth and n else 0
        if hit + more == 0 or total + more == 0:
            return 0.0
        logs += math.log((hit + more) / (total + more)) / max_order
    return math.exp(logs) * (1.0 if length > wanted else math.exp(1 - wanted / length))


def _tokens(text: Any) -> list[Any]:
    return text.split() if isinstance(text, str) else list(text)


def _grams(tokens: list[Any], n: int) -> Counter[Any]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
