"""What a reader is told of one company's figures: slips, doubts, what the data do not cover."""

from __future__ import annotations

from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.profile.plausible import doubts
from fastnn.exit_strategy.profile.profile import Profile

from .base_rates import PRICE_BAND, price_over_raised
from .judging import Judgement
from .record import MAX_UNKNOWN, Recommendation

__all__ = ["told_of"]

#: Beyond this a rate may have been typed as per cent: 8 is 800 %.
_FAST = 5.0


def told_of(company: Profile, made: Judgement, advice: Recommendation) -> list[Note]:
    """Return the notes on a company's figures and its money; those on rules are the gates' own."""
    money = made.money
    flags = [*money.flags, *(flag for row in money.options.values() for flag in row.flags)]
    out = [*made.notes, *(Note(flag) for flag in flags)]
    multiple = price_over_raised(company)
    if multiple is not None and not PRICE_BAND[0] <= multiple <= PRICE_BAND[2]:
        low, middle, high = (f"{v:g}" for v in PRICE_BAND)
        band = {"ratio": f"{multiple:.1f}", "low": low, "middle": middle, "high": high}
        out.append(Note("price_band", band))
    if advice.unknown_weight > MAX_UNKNOWN and advice.answer in made.scores.options:
        sure = {"share": f"{advice.unknown_weight:.0%}", "p": f"{advice.p_first:.0%}"}
        out.append(Note("sure_all_the_same", sure))
    for name in ("growth_yoy", "ebitda_margin"):
        rate = company[name]
        if rate is not None and abs(rate) > _FAST:
            out.append(Note("percent_slip", {"field": name, "rate": f"{rate:.0%}"}))
    out += [Note(key) for key in doubts(company)]
    if company.country != "US":
        out.append(Note("us_rates"))
    if not made.base.in_hull:
        out.append(Note("outside_model", {"features": " ".join(made.base.outside)}))
    return out
