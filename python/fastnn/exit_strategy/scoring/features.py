"""What the base rates and a learned model see of a company: counts, times, amounts, two labels.

Names and units are those of the landmark tables that models are trained on. Standard library only.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

__all__ = ["CATEGORIES", "NUMBERS", "money_raised", "profile_row"]

#: Numeric features; amounts in US dollars, times in years or months.
NUMBERS = (
    "age_years", "n_rounds", "undisclosed_rounds", "total_raised_usd", "max_round_usd",
    "last_round_usd", "raised_per_year", "months_since_first", "months_since_last",
    "mean_gap_months", "n_angel", "n_venture", "n_series_a", "n_series_b", "n_series_cplus",
    "n_private_equity", "n_crowdfunding", "n_other",
)  # fmt: skip
CATEGORIES = ("category_code", "last_round_type")

_ROUNDS = {
    "angel": "n_angel", "venture": "n_venture", "series-a": "n_series_a",
    "series-b": "n_series_b", "series-c+": "n_series_cplus", "private-equity": "n_private_equity",
    "crowdfunding": "n_crowdfunding", "other": "n_other",
}  # fmt: skip

#: Profile sector -> sector code of the training data; None where it has no counterpart.
_SECTORS: dict[str, str | None] = {
    "foundation_model": None, "ai_application": None, "ai_infra": None, "software": "software",
    "consumer_internet": "web", "fintech": "finance", "healthcare": "health", "biotech": "biotech",
    "hardware": "hardware", "semiconductor": "semiconductor", "robotics": None,
    "cleantech": "cleantech", "education": "education", "media_games": "games_video",
    "commerce": "ecommerce", "other": "other",
}  # fmt: skip


def money_raised(profile: Any) -> float | None:
    """All money raised, in the profile's currency; None when nothing tells.

    `total_raised`, or the larger of the disclosed rounds and what the cap table shows paid in.
    """
    if profile.total_raised is not None:
        return float(profile.total_raised)
    known = [float(r.amount) for r in profile.funding_rounds or () if r.amount is not None]
    table = getattr(profile, "cap_table", None)
    paid = table.raised if table is not None else 0.0
    return max(sum(known), paid) if known or paid > 0 else None


def profile_row(profile: Any) -> tuple[dict[str, float], dict[str, str], tuple[str, ...]]:
    """Features of a profile: numbers, categories, and the names that are not known.

    Months are 30.4375 days, as in the training table; amounts are turned into US dollars.
    """
    rounds = sorted(profile.funding_rounds or (), key=lambda r: r.date)
    as_of: dt.date = profile.as_of

    def months(day: dt.date) -> float:
        return (as_of - day).days / 30.4375

    known = [float(profile.usd(r.amount)) for r in rounds if r.amount is not None]
    raised = money_raised(profile)
    total = float("nan") if raised is None else float(profile.usd(raised))
    out = dict.fromkeys(NUMBERS, 0.0)
    nan = float("nan")
    out["age_years"] = nan if profile.founded is None else (as_of - profile.founded).days / 365.25
    out["n_rounds"] = float(len(rounds)) if rounds else nan
    out["undisclosed_rounds"] = float(len(rounds) - len(known))
    out["total_raised_usd"] = total
    out["max_round_usd"] = max(known) if known else nan
    last_known = rounds[-1].amount if rounds else None
    out["last_round_usd"] = nan if last_known is None else float(profile.usd(last_known))
    first = months(rounds[0].date) if rounds else nan
    out["months_since_first"] = first
    out["months_since_last"] = months(rounds[-1].date) if rounds else nan
    out["raised_per_year"] = total / max(first / 12.0, 0.25) if rounds else nan
    gaps = len(rounds) - 1
    out["mean_gap_months"] = (first - out["months_since_last"]) / gaps if gaps > 0 else nan
    for r in rounds:
        out[_ROUNDS.get(_round_type(r.type), "n_other")] += 1.0
    category = _SECTORS.get(profile.sector)
    last = _round_type(rounds[-1].type) if rounds else ""
    labels = {"category_code": category or "", "last_round_type": last}
    unknown = [name for name in NUMBERS if out[name] != out[name] and name != "mean_gap_months"]
    unknown += [name for name, label in labels.items() if not label]
    return out, labels, tuple(unknown)


def _round_type(name: str) -> str:
    text = str(name).lower().replace("_", "-").replace(" ", "-")
    if text in ("series-c", "series-d", "series-e", "series-f", "series-g", "growth"):
        return "series-c+"
    if text in ("seed", "pre-seed"):
        return "angel"
    return text if text in _ROUNDS else "other"
