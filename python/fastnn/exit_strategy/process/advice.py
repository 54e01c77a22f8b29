"""What to do next on the road of the leading option, with the numbers that advice quotes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastnn.exit_strategy.catalogue import gate_names, leaf_name, text
from fastnn.exit_strategy.gates.hard import runway_months
from fastnn.exit_strategy.scoring.record import Record
from fastnn.exit_strategy.wording import join_words, money, option_name, percent

__all__ = ["ROADS", "advice_numbers", "last_conversion", "road", "sale_floor"]

#: Option -> the states of its road, first steps first.
ROADS: dict[str, tuple[str, ...]] = {
    "ipo": ("IPO_CONSIDER", "IPO_MARKET", "IPO_PREP"),
    "ma": ("DEAL_MARKET", "PARTNER_SCREEN", "MA_NEGOTIATE"),
    "transform": ("TRANSFORM_PLAN", "TRANSFORM_RUN"),
    "license_hire": ("LICENSE_HIRE",),
    "private_round": ("PRIVATE_ROUND",),
    "dual_track": ("DUAL_TRACK", "IPO_PREP", "MA_NEGOTIATE"),
    "ma_buy": ("DEAL_MARKET", "PARTNER_SCREEN"),
    "hold": ("HOLD",),
    "secondary": ("SECONDARY",),
    "mbo": ("BUY_OUT",),
    "esop": ("EMPLOYEE_SALE",),
    "minority": ("MINORITY",),
    "wind_down": ("WIND_DOWN",),
}


def road(result: Record, lang: str = "en") -> tuple[tuple[str, str], ...]:
    """Return (title, advice) of the leading option's road; first the unknown inputs, if any."""
    numbers = advice_numbers(result, lang)
    states = list(ROADS[result.leader])
    if result.unknown:
        states.insert(0, "PROFILE")
    return tuple(
        (text(f"state.{state}", lang), text(f"advice.{state}", lang, **numbers)) for state in states
    )


def advice_numbers(result: Record, lang: str) -> Mapping[str, Any]:
    """Return the numbers that advice texts quote."""
    open_venues = [v.id for v in result.gates.venues if v.state != "fail"]
    waiting = [g for g in result.gates.regulatory if g.state in ("applies", "unknown")]
    regulators = [g.id for g in waiting if "ma" in g.options]
    return {
        "leader": text(f"option.{result.leader}", lang),
        "p_first": percent(result.ranking[0].p_first),
        "window": f"{result.leaves['ipo_window'].value:.2f}",
        "readiness": f"{result.leaves['ipo_readiness'].value:.2f}",
        "venues": gate_names(open_venues, lang) or text("word.none", lang),
        "unknown": join_words(
            [leaf_name(name, lang, result.criteria) for name in result.unknown[:3]], lang
        )
        or text("word.none", lang),
        "runway": f"{runway_months(result.profile):.0f}",
        "floor": sale_floor(result, lang),
        "preferences": last_conversion(result, lang),
        "regulators": gate_names(regulators, lang) or text("word.none", lang),
        "need": money(result.profile.need_24m, result.profile.currency, lang),
        "audited": str(result.profile.audited_years),
    }


def last_conversion(result: Record, lang: str = "en") -> str:
    """Return where preferences stop to matter, as a headline price and as the net one."""
    points = result.proceeds.break_points
    if not points:
        return text("text.floor_unknown", lang)
    last, currency = points[-1], result.proceeds.currency
    net = money(last.price, currency, lang)
    headline = net if last.headline is None else money(last.headline, currency, lang)
    return text("text.floor_known", lang, price=headline, net=net)


def sale_floor(result: Record, lang: str = "en") -> str:
    """Return the headline price below which another option pays the founders more than a sale."""
    free = {row.option for row in result.ranking if row.open} - {"ma", "dual_track"}
    rivals = [row for row in result.proceeds.indifference if row[1] == "ma" and row[0] in free]
    if not rivals:
        return text("text.no_rival", lang)
    other, _, price = max(rivals, key=lambda row: row[2])
    shown = money(price, result.proceeds.currency, lang)
    return text("text.sale_floor", lang, price=shown, other=option_name(other, lang))
