"""What a report says in words: headline, reasons, changes, money, limits, in either language.

Sentences are built from the largest differences of the result, never from a fixed text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from fastnn.exit_strategy.catalogue import group_name, leaf_name, text
from fastnn.exit_strategy.gates.hard import runway_months
from fastnn.exit_strategy.process.advice import last_conversion
from fastnn.exit_strategy.resources import load_json
from fastnn.exit_strategy.scoring.explain import Flip
from fastnn.exit_strategy.scoring.record import MIN_LEAD, MIN_P_FIRST, Record
from fastnn.exit_strategy.wording import fact, join_words, money, option_name, percent, source_name

__all__ = [
    "base_sentences",
    "cash_sentence",
    "change_sentences",
    "headline",
    "limits",
    "money_sentences",
    "reasons",
    "share_of",
    "unknown_sentence",
]


def headline(result: Record, lang: str = "en") -> str:
    """Return the answer in a few words."""
    answer = result.recommendation
    if answer == "near_tie":
        a, b = (option_name(name, lang) for name in result.advice.pair)
        return text("report.headline_tie", lang, a=a, b=b)
    if answer == "insufficient_information":
        return text("report.headline_info", lang)
    if answer == "none_open":
        return text("report.headline_closed", lang)
    return text("report.headline", lang, option=option_name(answer, lang))


def reasons(result: Record, lang: str = "en") -> list[str]:
    """Return the sentences under the headline: how sure, why, why not."""
    out: list[str] = []
    advice = result.advice
    pair = [option_name(name, lang) for name in advice.pair]
    if not pair:
        out.append(text("text.all_closed", lang))
    elif len(pair) == 1:
        out.append(text("text.only", lang, leader=pair[0]))
    else:
        first = result.ranking[0]
        out.append(
            text(
                "text.sure",
                lang,
                leader=pair[0],
                other=pair[1],
                p=percent(advice.p_first),
                draws=f"{result.provenance.draws:,}",
                err=percent(max(first.mc_error, 1 / result.provenance.draws), 1),
                lead=f"{advice.lead:.3f}",
            )
        )
        out.append(share_of(result, lang))
        out += _difference_sentences(result, pair, lang)
        out.append(text("text.agree" if advice.methods_agree else "text.disagree", lang))
    settle = join_words(
        [leaf_name(name, lang, result.criteria) for name in advice.settle[:3]], lang
    )
    none = text("word.none", lang)
    if advice.answer == "near_tie":
        out.append(
            text("text.tie_because", lang, items=join_words(_tie_reasons(result, lang), lang))
        )
        out.append(text("text.tie", lang, a=pair[0], b=pair[1], items=settle or none))
    if advice.answer == "insufficient_information":
        share = percent(advice.unknown_weight)
        out.append(text("text.info", lang, share=share, items=settle or none))
    for gate in result.gates.hard:
        if gate.state == "fail":
            out.append(
                text(
                    "text.closed",
                    lang,
                    option=option_name(gate.option, lang),
                    reason=gate.reason.text(lang),
                )
            )
    return out


def share_of(result: Record, lang: str = "en") -> str:
    """Return what the shares are shares of, and what is left when the curves are drawn too."""
    leader = result.ranking[0].option
    drawn = percent(result.other_kappa["curve_doubt"][leader])
    doubt = f"{load_json('spreads.json')['curve_doubt']:g}"
    return text("text.share_of", lang, leader=option_name(leader, lang), q=drawn, doubt=doubt)


def _tie_reasons(result: Record, lang: str) -> list[str]:
    """Return which parts of the recommendation rule were not met."""
    advice = result.advice
    out = []
    if advice.p_first < MIN_P_FIRST:
        shown = percent(advice.p_first)
        if shown == percent(MIN_P_FIRST):  # just short of it
            shown = percent(advice.p_first, 2)
        out.append(text("text.tie_p", lang, p=shown))
    if advice.lead < MIN_LEAD:
        out.append(text("text.tie_lead", lang, lead=f"{advice.lead:.4f}"))
    if not advice.methods_agree:
        out.append(text("text.tie_methods", lang))
    return out


def _difference_sentences(result: Record, pair: Sequence[str], lang: str) -> list[str]:
    """Say what puts the leader ahead, and where the runner-up is better."""

    def item(leaf: str, value: float | None, gap: float) -> str:
        name = leaf_name(leaf, lang, result.criteria)
        shown = (
            f" ({fact(leaf, value, lang, result.criteria, result.profile)}, {gap:+.3f})"
            if value is not None
            else f" ({gap:+.3f})"
        )
        return name + shown

    ahead = [
        item(d.leaf, d.value, d.difference) for d in result.differences[:3] if d.difference > 0
    ]
    behind = [
        item(d.leaf, d.value, d.difference)
        for d in result.differences[::-1][:2]
        if d.difference < 0
    ]
    out = []
    if ahead:
        out.append(
            text("text.ahead", lang, leader=pair[0], other=pair[1], items=join_words(ahead, lang))
        )
    if behind:
        out.append(text("text.against", lang, other=pair[1], items=join_words(behind, lang)))
    return out


def change_sentences(result: Record, lang: str = "en", count: int = 3) -> list[str]:
    """Return what single changes would bring another option to first place."""
    if not result.flips:
        return [text("text.flip_none", lang)]
    near = [flip for flip in result.flips if flip.plausible]
    if not near:
        nearest = _flip_sentence(result.flips[0], result, lang)
        return [text("text.flip_implausible", lang, nearest=nearest)]
    return [_flip_sentence(flip, result, lang) for flip in near[:count]]


def _flip_sentence(flip: Flip, result: Record, lang: str) -> str:
    open_rows = [row for row in result.ranking if row.open]
    leader = max(open_rows, key=lambda row: row.wsm).option
    names = {"leader": option_name(leader, lang), "other": option_name(flip.new_first, lang)}
    if flip.kind == "weight":
        return text(
            "text.flip_weight",
            lang,
            name=group_name(flip.name, lang),
            now=f"{flip.now:.2f}",
            then=f"{flip.then:.2f}",
            **names,
        )
    return text(
        "text.flip_input",
        lang,
        name=leaf_name(flip.name, lang, result.criteria),
        now=fact(flip.name, flip.now, lang, result.criteria, result.profile),
        then=fact(flip.name, flip.then, lang, result.criteria, result.profile),
        **names,
    )


def unknown_sentence(result: Record, lang: str = "en") -> str:
    """Return which inputs were drawn from priors."""
    if not result.unknown:
        return text("text.all_known", lang)
    return text(
        "text.unknown",
        lang,
        items=join_words([leaf_name(name, lang, result.criteria) for name in result.unknown], lang),
    )


def money_sentences(result: Record, lang: str = "en") -> list[str]:
    """Return what stands out in the money: preferences, floor, indifference prices."""
    out = []
    proceeds = result.proceeds
    currency = proceeds.currency
    if result.profile.cap_table is None:
        out.append(text("text.no_cap_table", lang))
    if proceeds.lost_to_preferences > 0.0005:
        out.append(text("text.lost", lang, share=percent(proceeds.lost_to_preferences, 1)))
    if proceeds.break_points:
        out.append(f"{last_conversion(result, lang)}{text('ui.stop', lang)}")
    told = [row for row in proceeds.indifference if result.leader in row[:2]]
    for a, b, price in told[:3]:
        if math.isfinite(price):
            out.append(
                text(
                    "text.indifferent",
                    lang,
                    a=option_name(b, lang),
                    b=option_name(a, lang),
                    price=money(price, currency, lang),
                )
            )
    return out


def cash_sentence(result: Record, lang: str = "en") -> str:
    """Return runway and need in one sentence."""
    profile = result.profile
    return text(
        "text.runway",
        lang,
        months=f"{runway_months(profile):.0f}",
        need=money(profile.need_24m, profile.currency, lang),
    )


def base_sentences(result: Record, lang: str = "en") -> list[str]:
    """Return the base rates and what they are not."""
    p = result.base.probabilities
    out = [
        text(
            "text.base",
            lang,
            acquired=percent(p.acquired, 1),
            ipo=percent(p.ipo, 1),
            none=percent(p.none, 1),
            source=source_name("", p.source, lang),
        ),
        text("text.base_note", lang),
    ]
    if any(p.spread):
        sale, listing = (percent(p.spread[k], 1) for k in (1, 2))
        out.insert(1, text("text.base_spread", lang, acquired=sale, ipo=listing))
    return out


def limits(lang: str = "en") -> list[str]:
    """Return the limits that every report states."""
    out = [text("report.disclaimer", lang)]
    return [*out, *(text(f"limit.{number}", lang) for number in range(1, 8))]
