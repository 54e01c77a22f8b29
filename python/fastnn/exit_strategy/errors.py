"""Errors of the exit tool: one stable code per fault, every fault reported at once.

An `Issue` is one fault (code, field, value, what is wrong, how to mend it); an `ExitError` carries
all issues found. Codes are stable: EX1xx profile, EX2xx weights and criteria, EX3xx cap table and
money, EX4xx gates and currency, EX5xx sampling, EX6xx learned model, EX7xx process, EX8xx reports
and command line. Depends on the standard library only.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from fastnn.exit_strategy.records import dataclass

__all__ = [
    "CODES", "EXAMPLE", "AmountError", "ExitError", "Issue", "code_title", "suggest", "unwritable",
    "visible",
]  # fmt: skip

#: Stable code -> what it means. Never reuse a number.
CODES: dict[str, str] = {
    "EX101": "required field is missing",
    "EX102": "unknown field",
    "EX103": "wrong type",
    "EX104": "number is not finite",
    "EX105": "value is out of range",
    "EX106": "value is not one of the choices",
    "EX107": "date cannot be read",
    "EX108": "date lies in the future",
    "EX109": "low, mid and high are out of order",
    "EX110": "list has the wrong length",
    "EX111": "text is empty or too long",
    "EX112": "file cannot be read",
    "EX113": "file format is not known",
    "EX114": "file is not valid TOML, JSON, YAML or CSV",
    "EX115": "valuation is missing or incomplete",
    "EX116": "distribution is not valid",
    "EX117": "checklist answer is not yes, no or unknown",
    "EX118": "fields contradict each other",
    "EX119": "currencies are mixed without a rate",
    "EX120": "correlation matrix is not valid",
    "EX121": "field is given twice",
    "EX122": "number can be read in two ways",
    "EX123": "row cannot be read",
    "EX201": "weights do not sum to one",
    "EX202": "weight is negative or not finite",
    "EX203": "pairwise matrix is not positive and reciprocal",
    "EX204": "pairwise judgements are inconsistent",
    "EX205": "weights preset is not known",
    "EX206": "criteria file is not valid",
    "EX207": "option is not known",
    "EX208": "decision matrix is not valid",
    "EX301": "cap table is empty",
    "EX302": "share count is zero or negative",
    "EX303": "class terms are not valid",
    "EX304": "price is below debt and costs",
    "EX305": "no conversion equilibrium was found",
    "EX306": "unknown cap table field",
    "EX307": "deal assumption is not valid",
    "EX308": "money amount is not valid",
    "EX309": "cap table file cannot be read",
    "EX401": "currency is not known",
    "EX402": "exchange rate is missing or not valid",
    "EX403": "gate file is not valid",
    "EX404": "gate data is out of date",
    "EX501": "draws, seed, kappa or threads are out of range",
    "EX502": "sampling specification is not valid",
    "EX503": "memory limit would be passed",
    "EX601": "model is not known",
    "EX602": "model files are not valid",
    "EX603": "table lacks a column",
    "EX604": "leaked column offered as a feature",
    "EX605": "table has no usable rows",
    "EX701": "event is not legal in this state",
    "EX702": "state is not known",
    "EX703": "event date is not valid",
    "EX801": "language is not available",
    "EX802": "output cannot be written",
    "EX803": "command line argument is not valid",
    "EX804": "extra package is not installed",
}


def code_title(code: str) -> str:
    """Return the meaning of a stable code; KeyError if it was never given out."""
    return CODES[code]


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word nearest to `word`, or None when nothing is near."""
    import difflib  # a run without mistakes needs none

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else None


def visible(text: str, keep: str = "") -> str:
    """Return a text with control characters, direction marks and stray surrogates written out.

    They could move a terminal's cursor or turn the order of what a reader sees; those in `keep`
    stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\u{ord(char):04x}"
        if char not in keep
        and (unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _DIRECTIONS)
        else char
        for char in text
    )


_DIRECTIONS = frozenset(map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F),
                                  *range(0x2066, 0x206A), 0xFEFF)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault: its stable code, the field it sits in, the value seen, the text, the mend."""

    code: str
    field: str
    message: str
    hint: str
    value: str = ""

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(f"error code {self.code} is not registered in errors.CODES")

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return visible(f"{self.code} {where}{self.message}\n  hint: {self.hint}", keep="\n")


def unwritable(path: object, error: OSError, field: str = "") -> Issue:
    """Return EX802 for a file that the system refuses; what the core says is said once."""
    reason, _, hint = (error.strerror or str(error)).partition("\n  hint: ")
    _, told, after = reason.partition(f"cannot write {path}: ")
    reason = after if told else reason.removeprefix("cannot write ")
    return Issue("EX802", field, f"cannot write {path}: {reason}", hint or "check the folder")


class ExitError(ValueError):
    """Input that the exit tool refuses; `issues` holds every fault found, `code` the first one."""

    def __init__(self, issues: Issue | Sequence[Issue]) -> None:
        found = (issues,) if isinstance(issues, Issue) else tuple(issues)
        if not found:
            raise ValueError("ExitError needs at least one issue")
        self.issues: tuple[Issue, ...] = found
        self.code: str = found[0].code
        head = "" if len(found) == 1 else f"{len(found)} problems:\n"
        super().__init__(head + "\n".join(str(issue) for issue in found))

    @property
    def hint(self) -> str:
        """What mends each fault, a line an issue."""
        return "\n".join(issue.hint for issue in self.issues)


class AmountError(ValueError):
    """Text that is not a number, or that can be read in two ways (`two_ways`)."""

    message: str
    hint: str
    two_ways: bool

    def __init__(self, message: str, hint: str, *, two_ways: bool = False) -> None:
        super().__init__(message)
        self.message, self.hint, self.two_ways = message, hint, two_ways


#: What is said where a text is no amount and nothing nearer can be said.
EXAMPLE = "write a number such as 12_000_000, 12m or EUR 1.2bn"
