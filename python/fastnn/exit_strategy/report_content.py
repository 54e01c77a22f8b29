"""What a report says, before how it looks: headline, sentences, tables, in either language.

Terminal, Markdown and HTML all print these; sentences are built from the largest differences of the
result, never from a fixed text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .catalogue import has_text, leaf_name, text
from .criteria import load_criteria
from .explain import Flip
from .gates import GateReport, VenueResult, VenueTest, runway_months
from .result import MIN_LEAD, MIN_P_FIRST, Result

__all__ = [
    "Table",
    "break_point_table",
    "change_sentences",
    "completion_table",
    "fact",
    "fact_table",
    "headline",
    "kappa_table",
    "limits",
    "money",
    "money_sentences",
    "money_table",
    "payout_table",
    "percent",
    "price_table",
    "ranking_table",
    "reasons",
    "regulator_table",
    "unknown_sentence",
    "venue_rows",
    "venue_table",
]


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of texts; columns in `numeric` align right and sort by number."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()


def percent(value: float, digits: int = 0) -> str:
    """Return a share as percent text; a small chance is never shown as zero."""
    shown = f"{value * 100:.{digits}f} %"
    if value > 0 and float(f"{value * 100:.{digits}f}") == 0:
        return f"< {10**-digits:.{digits}f} %"
    if value < 1 and float(f"{value * 100:.{digits}f}") == 100:
        return f"> {100 - 10**-digits:.{digits}f} %"
    return shown


def money(value: float, currency: str, lang: str = "en") -> str:
    """Return an amount such as "USD 12.3m" or "1,230 万 USD"."""
    size, sign = abs(value), "-" if value < 0 else ""
    if lang == "zh":
        if size >= 1e8:
            return f"{sign}{size / 1e8:,.2f} 亿 {currency}"
        if size >= 1e4:
            return f"{sign}{size / 1e4:,.0f} 万 {currency}"
        return f"{sign}{size:,.0f} {currency}"
    for limit, unit in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if size >= limit * 0.9995:
            return f"{currency} {sign}{size / limit:,.4g}{unit}"
    return f"{currency} {sign}{size:,.4g}"


def fact(leaf: str, value: float, lang: str = "en") -> str:
    """Return a leaf's value in its unit."""
    unit = load_criteria().leaf(leaf).unit
    if unit == "USD":
        return money(value, "USD", lang)
    if unit == "months":
        return f"{value:.0f} " + ("个月" if lang == "zh" else "months")
    if unit == "ratio" and leaf in ("growth_yoy", "ebitda_margin"):
        return f"{value:+.0%}"
    return f"{value:.2f}" + ("x" if unit == "ratio" else "")


def _option(name: str, lang: str) -> str:
    return text(f"option.{name}", lang)


def _join(items: Sequence[str], lang: str) -> str:
    if lang == "zh":
        return "、".join(items)
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def headline(result: Result, lang: str = "en") -> str:
    """Return the answer in a few words."""
    answer = result.recommendation
    if answer == "near_tie":
        a, b = (_option(name, lang) for name in result.advice.pair)
        return text("report.headline_tie", lang, a=a, b=b)
    if answer == "insufficient_information":
        return text("report.headline_info", lang)
    if answer == "none_open":
        return text("report.headline_closed", lang)
    return text("report.headline", lang, option=_option(answer, lang))


def reasons(result: Result, lang: str = "en") -> list[str]:
    """Return the sentences under the headline: how sure, why, why not."""
    out: list[str] = []
    advice = result.advice
    pair = [_option(name, lang) for name in advice.pair]
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
                err=percent(first.mc_error, 1),
                lead=f"{advice.lead:.3f}",
            )
        )
        out += _difference_sentences(result, pair, lang)
        out.append(text("text.agree" if advice.methods_agree else "text.disagree", lang))
    settle = _join([leaf_name(name, lang) for name in advice.settle[:3]], lang)
    none = text("word.none", lang)
    if advice.answer == "near_tie":
        out.append(text("text.tie_because", lang, items=_join(_tie_reasons(result, lang), lang)))
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
                    option=_option(gate.option, lang),
                    reason=gate.reason if lang == "en" else text(f"gate.{gate.name}", lang),
                )
            )
    return out


def _tie_reasons(result: Result, lang: str) -> list[str]:
    """Return which parts of the recommendation rule were not met."""
    advice = result.advice
    out = []
    if advice.p_first < MIN_P_FIRST:
        out.append(text("text.tie_p", lang, p=percent(advice.p_first)))
    if advice.lead < MIN_LEAD:
        out.append(text("text.tie_lead", lang, lead=f"{advice.lead:.4f}"))
    if not advice.methods_agree:
        out.append(text("text.tie_methods", lang))
    return out


def _difference_sentences(result: Result, pair: Sequence[str], lang: str) -> list[str]:
    """Say what puts the leader ahead, and where the runner-up is better."""

    def item(leaf: str, value: float | None, gap: float) -> str:
        name = leaf_name(leaf, lang)
        shown = (
            f" ({fact(leaf, value, lang)}, {gap:+.3f})" if value is not None else f" ({gap:+.3f})"
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
            text("text.ahead", lang, leader=pair[0], other=pair[1], items=_join(ahead, lang))
        )
    if behind:
        out.append(text("text.against", lang, other=pair[1], items=_join(behind, lang)))
    return out


def change_sentences(result: Result, lang: str = "en", count: int = 3) -> list[str]:
    """Return what single changes would bring another option to first place."""
    if not result.flips:
        return [text("text.flip_none", lang)]
    return [_flip_sentence(flip, result, lang) for flip in result.flips[:count]]


def _flip_sentence(flip: Flip, result: Result, lang: str) -> str:
    open_rows = [row for row in result.ranking if row.open]
    leader = max(open_rows, key=lambda row: row.wsm).option
    names = {"leader": _option(leader, lang), "other": _option(flip.new_first, lang)}
    if flip.kind == "weight":
        return text(
            "text.flip_weight",
            lang,
            name=text(f"group.{flip.name}", lang),
            now=f"{flip.now:.2f}",
            then=f"{flip.then:.2f}",
            **names,
        )
    return text(
        "text.flip_input",
        lang,
        name=leaf_name(flip.name, lang),
        now=fact(flip.name, flip.now, lang),
        then=fact(flip.name, flip.then, lang),
        **names,
    )


def unknown_sentence(result: Result, lang: str = "en") -> str:
    """Return which inputs were drawn from priors."""
    if not result.unknown:
        return text("text.all_known", lang)
    return text(
        "text.unknown", lang, items=_join([leaf_name(name, lang) for name in result.unknown], lang)
    )


def ranking_table(result: Result, lang: str = "en") -> Table:
    """Return the ranking with its certainty."""
    rows = tuple(
        (
            _option(row.option, lang),
            percent(row.p_first),
            f"{row.score_mean:.3f}",
            f"{row.score_p05:.3f} – {row.score_p95:.3f}",
            f"{row.wsm:.3f}",
            f"{row.topsis:.3f}",
            text("state.open" if row.open else "state.closed", lang),
        )
        for row in result.ranking
    )
    keys = ("option", "p_first", "score", "range", "wsm", "topsis", "state")
    head = tuple(text(f"head.{key}", lang) for key in keys)
    return Table(text("report.ranking", lang), head, rows, (1, 2, 3, 4, 5))


def venue_name(venue: VenueResult, lang: str = "en") -> str:
    """Return a venue's name; one from an overlay keeps the name it came with."""
    return text(f"venue.{venue.id}", lang) if has_text(f"venue.{venue.id}") else venue.name


def nearest_test(venue: VenueResult) -> VenueTest:
    """Return the test that is passed, or else has the fewest open conditions."""
    order = {"pass": 0, "unknown": 1, "fail": 2}
    return min(
        venue.tests,
        key=lambda test: (order[test.state], sum(row.state != "pass" for row in test.conditions)),
    )


def venue_table(result: Result, lang: str = "en") -> Table:
    """Return every venue with its nearest test and what is missing for it."""
    keys = ("venue", "state", "best_test", "gap", "checked", "confidence")
    return Table(
        text("report.gates", lang),
        tuple(text(f"head.{k}", lang) for k in keys),
        venue_rows(result.gates, lang),
    )


def venue_rows(report: GateReport, lang: str = "en") -> tuple[tuple[str, ...], ...]:
    """Return name, state, nearest test, what is missing, date and confidence of every venue."""
    rows = []
    for venue in report.venues:
        test = nearest_test(venue)
        short, unknown = [], []
        for row in (*venue.common, *test.conditions):
            if row.state == "fail":
                short.append(_shortage(row.field, row.gap, row.money, venue.currency, lang))
            elif row.state == "unknown":
                unknown.append(text(f"cond.{row.field}", lang))
        if unknown:
            short.append(
                text("text.missing_unknown", lang, fields=", ".join(dict.fromkeys(unknown)))
            )
        short = list(dict.fromkeys(short))
        rows.append(
            (
                venue_name(venue, lang),
                text(f"state.{venue.state}", lang),
                test.id,
                "; ".join(short) or text("text.met", lang),
                venue.checked,
                venue.confidence,
            )
        )
    return tuple(rows)


def _shortage(field: str, gap: float | None, is_money: bool, currency: str, lang: str) -> str:
    name = text(f"cond.{field}", lang)
    if gap is None:
        return f"{name} ✗"
    amount = money(abs(gap), currency, lang) if is_money else f"{abs(gap):.4g}"
    return f"{name}: " + text("text.missing_money", lang, amount=amount)


def regulator_table(result: Result, lang: str = "en") -> Table:
    """Return the regulators that apply or may apply, and market practice."""
    rows = tuple(
        (
            text(f"reg.{gate.id}", lang) if has_text(f"reg.{gate.id}") else gate.rule,
            gate.jurisdiction,
            text(f"state.{gate.state}", lang),
            gate.effect or "–",
            f"{gate.months:.1f}" if gate.months else "–",
            gate.checked,
            gate.confidence,
        )
        for gate in result.gates.regulatory
        if gate.state != "not"
    )
    keys = ("rule", "jurisdiction", "state", "effect", "months", "checked", "confidence")
    head = [text(f"head.{key}", lang) for key in keys]
    return Table(text("report.regulators", lang), tuple(head), rows, (4,))


def money_table(result: Result, lang: str = "en") -> Table:
    """Return what the founders get per option, in today's money."""
    currency = result.proceeds.currency
    rows = []
    for row in result.ranking:
        got = result.proceeds.options[row.option]
        low, mid, high = (money(value, currency, lang) for value in got.founder_npv)
        wait = result.computed[row.option]["months_to_cash"][1]
        rows.append(
            (
                _option(row.option, lang),
                low,
                mid,
                high,
                percent(got.founder_share, 1),
                f"{wait:.0f}",
                percent(got.control_after),
            )
        )
    keys = ("option", "low", "mid", "high", "share", "cash_in", "control")
    title = f"{text('head.npv', lang)} ({currency})"
    return Table(
        title, tuple(text(f"head.{k}", lang) for k in keys), tuple(rows), (1, 2, 3, 4, 5, 6)
    )


def money_sentences(result: Result, lang: str = "en") -> list[str]:
    """Return what stands out in the money: preferences, floor, indifference prices."""
    out = []
    proceeds = result.proceeds
    currency = proceeds.currency
    if result.profile.cap_table is None:
        out.append(text("text.no_cap_table", lang))
    if proceeds.lost_to_preferences > 0.0005:
        out.append(text("text.lost", lang, share=percent(proceeds.lost_to_preferences, 1)))
    if proceeds.break_points:
        last = money(proceeds.break_points[-1].price, currency, lang)
        out.append(text("text.floor", lang, price=last))
    told = [row for row in proceeds.indifference if result.leader in row[:2]]
    for a, b, price in told[:3]:
        if math.isfinite(price):
            out.append(
                text(
                    "text.indifferent",
                    lang,
                    a=_option(b, lang),
                    b=_option(a, lang),
                    price=money(price, currency, lang),
                )
            )
    return out


def payout_table(result: Result, lang: str = "en") -> Table:
    """Return what every holder gets in the sale at the middle price (or the leading option)."""
    options = result.proceeds.options
    name = "ma" if "ma" in options else result.leader
    got, currency = options[name], result.proceeds.currency
    rows = tuple(
        (holder, money(float(amount), currency, lang)) for holder, amount in got.payouts.items()
    )
    price = money(got.price, currency, lang)
    net = text("text.net", lang, price=money(got.net_price, currency, lang))
    title = f"{_option(name, lang)}: {price}, {net}"
    return Table(title, (text("head.holder", lang), text("head.payout", lang)), rows, (1,))


def price_table(result: Result, lang: str = "en") -> Table:
    """Return the founders' payout at a few round prices, read off the proceeds curve."""
    curve = result.proceeds.curve
    currency = result.proceeds.currency
    if len(curve) < 2:
        return Table(text("report.money", lang), (), ())
    xs, ys = zip(*curve, strict=True)
    rows = tuple(
        (money(price, currency, lang), money(_interpolate(price, xs, ys), currency, lang))
        for price in round_prices(xs[-1])
    )
    head = (text("head.price", lang), text("head.founders_get", lang))
    return Table("", head, rows, (0, 1))


def round_prices(top: float) -> tuple[float, ...]:
    """Return up to six round prices below the curve's end: 1, 3, 10, 30 ... of a power of ten."""
    out = [m * 10.0**k for k in range(3, 16) for m in (1, 3) if m * 10.0**k <= top * 1.0001]
    return tuple(out[-6:])


def _interpolate(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    for k in range(len(xs) - 1):
        if xs[k] <= x <= xs[k + 1]:
            span = xs[k + 1] - xs[k]
            return ys[k] if span == 0 else ys[k] + (ys[k + 1] - ys[k]) * (x - xs[k]) / span
    return ys[0] if x < xs[0] else ys[-1]


def break_point_table(result: Result, lang: str = "en") -> Table:
    """Return the prices at which somebody starts to be paid, converts, exercises or is capped."""
    currency = result.proceeds.currency
    rows = tuple(
        (
            money(point.price, currency, lang),
            point.holder,
            text(f"break.{point.event}", lang) if point.event in _EVENTS else point.event,
        )
        for point in result.proceeds.break_points
    )
    head = tuple(text(f"head.{key}", lang) for key in ("price", "holder", "event"))
    return Table(text("report.break_points", lang), head, rows, (0,))


_EVENTS = ("starts", "exercises", "converts", "reaches_cap")


def completion_table(result: Result, lang: str = "en") -> Table:
    """Return the three numbers behind each chance of completion."""
    rows = tuple(
        (
            _option(row.option, lang),
            percent(done.base, 1),
            f"{done.gate_factor:.2f}",
            f"{done.readiness_factor:.2f}",
            percent(done.value, 1),
            _source(row.option, done.source, lang),
        )
        for row in result.ranking
        for done in (result.completion[row.option],)
    )
    keys = ("option", "base", "gate_factor", "readiness", "chance", "source")
    return Table(
        text("report.completion", lang),
        tuple(text(f"head.{k}", lang) for k in keys),
        rows,
        (1, 2, 3, 4),
    )


def _source(option: str, source: str, lang: str) -> str:
    """Return where a base rate comes from: the model by name, or a text of the catalogue."""
    key = f"source.{option}" if has_text(f"source.{option}") else f"source.{source}"
    return text(key, lang) if has_text(key) else source


def kappa_table(result: Result, lang: str = "en") -> Table:
    """Return first-place chances under looser weights and under none at all."""
    rows = tuple(
        (
            _option(row.option, lang),
            percent(row.p_first),
            percent(result.other_kappa["kappa20"][row.option]),
            percent(result.other_kappa["no_weight_information"][row.option]),
        )
        for row in result.ranking
    )
    keys = ("option", "kappa60", "kappa20", "flat")
    return Table(
        text("report.kappa", lang), tuple(text(f"head.{k}", lang) for k in keys), rows, (1, 2, 3)
    )


def fact_table(result: Result, lang: str = "en") -> Table:
    """Return every input the ranking used, with its weight and where it came from."""
    tree = load_criteria()
    rows = []
    for leaf, group, local in zip(tree.leaves, tree.group_of, tree.local_weights, strict=True):
        if leaf.computed:
            continue
        got = result.leaves[leaf.id]
        source = text("word.given" if got.known else "word.unknown", lang)
        rows.append(
            (
                leaf_name(leaf.id, lang),
                text(f"group.{leaf.group}", lang),
                fact(leaf.id, got.value, lang),
                f"{result.weights[tree.groups[group]] * local:.3f}",
                source if got.known else f"{source}: {got.source}",
            )
        )
    keys = ("leaf", "group", "value", "weight", "source")
    return Table(
        text("report.facts", lang), tuple(text(f"head.{k}", lang) for k in keys), tuple(rows), (3,)
    )


def cash_sentence(result: Result, lang: str = "en") -> str:
    """Return runway and need in one sentence."""
    profile = result.profile
    return text(
        "text.runway",
        lang,
        months=f"{runway_months(profile):.0f}",
        need=money(profile.need_24m, profile.currency, lang),
    )


def base_sentences(result: Result, lang: str = "en") -> list[str]:
    """Return the base rates and what they are not."""
    p = result.base.probabilities
    return [
        text(
            "text.base",
            lang,
            acquired=percent(p.acquired, 1),
            ipo=percent(p.ipo, 1),
            none=percent(p.none, 1),
            source=_source("", p.source, lang),
        ),
        text("text.base_note", lang),
    ]


def limits(lang: str = "en") -> list[str]:
    """Return the limits every report states (section 9 of the design study)."""
    out = [text("report.disclaimer", lang)]
    return [*out, *(text(f"limit.{number}", lang) for number in range(1, 8))]
