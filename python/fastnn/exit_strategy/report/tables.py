"""The tables of a report, before how they look: terminal, Markdown and HTML print these."""

from __future__ import annotations

from collections.abc import Sequence

from fastnn.exit_strategy.catalogue import (
    data_words,
    group_name,
    has_text,
    holder_name,
    leaf_name,
    text,
)
from fastnn.exit_strategy.gates.results import GateReport, VenueResult, VenueTest
from fastnn.exit_strategy.records import dataclass
from fastnn.exit_strategy.scoring.record import Record, TornadoBar
from fastnn.exit_strategy.scoring.whatif import rate_values, scenarios
from fastnn.exit_strategy.wording import (
    fact,
    join_words,
    money,
    option_name,
    percent,
    source_name,
    venue_name,
)

__all__ = [
    "Table",
    "TornadoView",
    "break_point_table",
    "bridge_table",
    "completion_table",
    "fact_table",
    "kappa_table",
    "money_table",
    "nearest_test",
    "payout_table",
    "person_table",
    "price_table",
    "ranking_table",
    "rate_table",
    "regulator_table",
    "return_table",
    "scenario_table",
    "step_name",
    "tornado_view",
    "venue_rows",
    "venue_table",
]


@dataclass(frozen=True, slots=True)
class TornadoView:
    """What a tornado shows: shares of first places, or score leads where they stand still."""

    bars: tuple[TornadoBar, ...]
    base: float
    lead: bool

    def shown(self, value: float) -> str:
        """Return one end of a bar as text."""
        return f"{value:+.3f}" if self.lead else percent(value)

    def title(self, lang: str) -> str:
        """Return what the chart's numbers are."""
        return text("alt.tornado_lead" if self.lead else "alt.tornado", lang)


def tornado_view(result: Record) -> TornadoView:
    """Return the bars that tell inputs apart: by first places, or by the lead when saturated."""
    if result.saturated:
        bars = [bar for bar in result.lead_tornado() if abs(bar.swing) >= 5e-4]
        return TornadoView(tuple(bars), result.advice.lead, True)
    bars = [bar for bar in result.tornado if abs(bar.swing) > 5e-4]
    return TornadoView(tuple(bars), result.ranking[0].p_first, False)


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of texts; columns in `numeric` align right and sort by number."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()


def ranking_table(result: Record, lang: str = "en") -> Table:
    """Return the ranking with its certainty."""
    rows = tuple(
        (
            option_name(row.option, lang),
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


def nearest_test(venue: VenueResult) -> VenueTest:
    """Return the test that is passed, or else has the fewest open conditions."""
    order = {"pass": 0, "unknown": 1, "fail": 2}
    return min(
        venue.tests,
        key=lambda test: (order[test.state], sum(row.state != "pass" for row in test.conditions)),
    )


def venue_table(result: Record, lang: str = "en") -> Table:
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
                text(
                    "text.missing_unknown",
                    lang,
                    fields=("、" if lang == "zh" else ", ").join(dict.fromkeys(unknown)),
                )
            )
        short = list(dict.fromkeys(short))
        rows.append(
            (
                venue_name(venue, lang),
                text(f"state.{venue.word}", lang),
                text(f"test.{test.id}", lang) if has_text(f"test.{test.id}") else test.id,
                ("；" if lang == "zh" else "; ").join(short) or text("text.met", lang),
                venue.read or text("word.from_memory", lang),
                data_words(venue.confidence, lang),
            )
        )
    return tuple(rows)


def _shortage(field: str, gap: float | None, is_money: bool, currency: str, lang: str) -> str:
    name = text(f"cond.{field}", lang)
    if gap is None:
        return f"{name} ✗"
    amount = money(abs(gap), currency, lang) if is_money else f"{abs(gap):.4g}"
    return text("text.missing_money", lang, name=name, amount=amount)


def regulator_table(result: Record, lang: str = "en") -> Table:
    """Return the regulators that apply or may apply, and market practice."""
    rows = tuple(
        (
            text(f"reg.{gate.id}", lang) if has_text(f"reg.{gate.id}") else gate.rule,
            data_words(gate.jurisdiction, lang),
            text(f"state.{gate.state}", lang),
            data_words(gate.effect, lang) or "–",
            f"{gate.months:.1f}" if gate.months else "–",
            gate.read or text("word.from_memory", lang),
            data_words(gate.confidence, lang),
        )
        for gate in result.gates.regulatory
        if gate.state != "not"
    )
    keys = ("rule", "jurisdiction", "state", "effect", "months", "checked", "confidence")
    head = [text(f"head.{key}", lang) for key in keys]
    return Table(text("report.regulators", lang), tuple(head), rows, (4,))


def money_table(result: Record, lang: str = "en") -> Table:
    """Return what the founders get per option, in today's money."""
    currency = result.proceeds.currency
    rows = []
    for row in result.ranking:
        got = result.proceeds.options[row.option]
        low, mid, high = (money(value, currency, lang) for value in got.founder_npv)
        wait = result.computed[row.option]["months_to_cash"][1]
        rows.append(
            (
                option_name(row.option, lang),
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


def rate_table(result: Record, lang: str = "en") -> Table:
    """Return the founders' value today at other discount rates."""
    currency, values = result.proceeds.currency, rate_values(result)
    rows = tuple(
        (
            option_name(row.option, lang),
            *(money(by_option[row.option], currency, lang) for by_option in values.values()),
        )
        for row in result.ranking
    )
    head = [text("head.option", lang)]
    head += [text("head.at_rate", lang, rate=percent(rate)) for rate in values]
    return Table(text("report.rates", lang), tuple(head), rows, tuple(range(1, len(head))))


def scenario_table(result: Record, lang: str = "en") -> Table:
    """Return the score of every option in every scenario, and which is first."""
    options = [row.option for row in result.ranking]
    rows = tuple(
        (
            text(f"scenario.{made.name}", lang),
            option_name(made.first, lang),
            *(f"{made.scores[option]:.3f}" for option in options),
        )
        for made in scenarios(result)
    )
    head = (
        text("head.scenario", lang),
        text("head.first", lang),
        *(text(f"short.{option}", lang) for option in options),
    )
    return Table(text("report.scenarios", lang), head, rows, tuple(range(2, len(head))))


def payout_table(result: Record, lang: str = "en") -> Table:
    """Return what every holder gets in the sale at the middle price (or the leading option)."""
    options = result.proceeds.options
    name = "ma" if "ma" in options else result.leader
    got, currency = options[name], result.proceeds.currency
    rows = tuple(
        (holder_name(holder, lang), money(float(amount), currency, lang))
        for holder, amount in got.payouts.items()
    )
    price = money(got.price, currency, lang)
    net = text("text.net", lang, price=money(got.net_price, currency, lang))
    colon, comma = ("：", "，") if lang == "zh" else (": ", ", ")
    title = f"{option_name(name, lang)}{colon}{price}{comma}{net}"
    return Table(title, (text("head.holder", lang), text("head.payout", lang)), rows, (1,))


def person_table(result: Record, lang: str = "en") -> Table | None:
    """Return what every person gets in the same sale, over all papers; None without persons."""
    table = result.profile.cap_table
    if table is None or not table.holders:
        return None
    options = result.proceeds.options
    got = options["ma" if "ma" in options else result.leader]
    currency = result.proceeds.currency
    rows = tuple(
        (
            person or text("holder.others", lang),
            join_words([holder_name(paper, lang) for paper in papers], lang),
            money(sum(papers.values()), currency, lang),
        )
        for person, papers in table.by_person(got.payouts).items()
        if papers
    )
    head = tuple(text(f"head.{key}", lang) for key in ("person", "papers", "payout"))
    return Table(text("report.persons", lang), head, rows, (2,))


def return_table(result: Record, lang: str = "en") -> Table | None:
    """Return every investor's money back in a sale at the three valuations; None without any."""
    from fastnn.exit_strategy.money.investor import investor_view, stake_of  # one page needs it

    table, value = result.profile.cap_table, result.profile.valuation
    if table is None or not (table.classes or table.safes or table.notes):
        return None
    papers = [*(c.name for c in table.classes), *(s.name for s in table.safes),
              *(n.name for n in table.notes)]  # fmt: skip
    currency, prices = result.proceeds.currency, (value.low, value.mid, value.high)
    rows = []
    for holder in [*papers, *dict.fromkeys(h.person for h in table.holders)]:
        paid = stake_of(table, holder).invested
        if paid <= 0:
            continue
        got = investor_view(result.profile, holder, [float(p) for p in prices])
        shown = [f"{row.multiple:.2f}x" for row in got if row.multiple is not None]
        rate = got[1].rate
        rows.append(
            (holder, money(paid, currency, lang), *shown, "–" if rate is None else f"{rate:+.1%}")
        )
    if not rows:
        return None
    head = tuple(
        text(f"head.{key}", lang) for key in ("holder", "paid_in", "low", "middle", "high", "irr")
    )
    return Table(text("report.returns", lang), head, tuple(rows), (1, 2, 3, 4, 5))


def price_table(result: Record, lang: str = "en") -> Table:
    """Return what the founders get in a sale at prices around the company's value."""
    currency = result.proceeds.currency
    rows = tuple(
        tuple(money(amount, currency, lang) for amount in row) for row in result.proceeds.prices
    )
    head = tuple(text(f"head.{key}", lang) for key in ("headline", "net_price", "founders_get"))
    return Table("", head, rows, (0, 1, 2))


def step_name(name: str, lang: str) -> str:
    """Return the name of a step of a bridge."""
    return text(f"step.{name}", lang)


def bridge_table(result: Record, lang: str = "en") -> Table:
    """Return the steps from the price of the business to what is shared, for every option."""
    currency = result.proceeds.currency
    options = [row.option for row in result.ranking]
    bridges = {o: dict(result.proceeds.options[o].bridge) for o in options}
    kept = (name for steps in bridges.values() for name, value in steps.items() if value)
    names = dict.fromkeys(kept)
    ordered = sorted(names, key=lambda n: BRIDGE.index(n) if n in BRIDGE else len(BRIDGE))
    rows = tuple(
        (
            step_name(name, lang),
            *(
                _step(name, bridges[o][name], currency, lang) if name in bridges[o] else "–"
                for o in options
            ),
        )
        for name in ordered
    )
    doubts = [_doubt(result.proceeds.options[o].flags) for o in options]
    if any(doubts):
        words = (text(f"word.conversion_{doubt}", lang) for doubt in doubts)
        rows = (*rows, (step_name("conversion", lang), *words))
    head = (text("head.step", lang), *(text(f"short.{option}", lang) for option in options))
    return Table(text("report.bridge", lang), head, rows, tuple(range(1, len(head))))


def _doubt(flags: Sequence[str]) -> str:
    """Return "none" or "several", of which an option's flags speak, else ""."""
    found = (flag.removeprefix("conversion_") for flag in flags if flag.startswith("conversion_"))
    return next(found, "")


#: Steps in the order in which money goes; those behind `net` are the founders'.
BRIDGE = ("price", "cash", "cash_change", "debt", "fees", "carve_out", "escrow", "earn_out",
          "net", "raised", "spread")  # fmt: skip


def _step(name: str, value: float, currency: str, lang: str) -> str:
    return percent(value) if name == "success" else money(value, currency, lang)


def break_point_table(result: Record, lang: str = "en") -> Table:
    """Return the prices at which somebody starts to be paid, converts, exercises or is capped."""
    currency = result.proceeds.currency
    rows = tuple(
        (
            "–" if point.headline is None else money(point.headline, currency, lang),
            money(point.price, currency, lang),
            holder_name(point.holder, lang),
            text(f"break.{point.event}", lang) if point.event in _EVENTS else point.event,
        )
        for point in result.proceeds.break_points
    )
    head = tuple(text(f"head.{key}", lang) for key in ("headline", "net_price", "holder", "event"))
    return Table(text("report.break_points", lang), head, rows, (0, 1))


_EVENTS = ("starts", "exercises", "converts", "reaches_cap")


def completion_table(result: Record, lang: str = "en") -> Table:
    """Return the three numbers behind each chance of completion."""
    rows = tuple(
        (
            option_name(row.option, lang),
            percent(done.base, 1),
            f"{done.gate_factor:.2f}",
            f"{done.readiness_factor:.2f}",
            percent(done.value, 1),
            source_name(row.option, done.source, lang),
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


def kappa_table(result: Record, lang: str = "en") -> Table:
    """Return first-place chances under looser weights and under none at all."""
    rows = tuple(
        (
            option_name(row.option, lang),
            percent(row.p_first),
            percent(result.other_kappa["kappa20"][row.option]),
            percent(result.other_kappa["no_weight_information"][row.option]),
            percent(result.other_kappa["curve_doubt"][row.option]),
        )
        for row in result.ranking
    )
    keys = ("option", "kappa60", "kappa20", "flat", "curves_drawn")
    head = tuple(text(f"head.{k}", lang) for k in keys)
    return Table(text("report.kappa", lang), head, rows, (1, 2, 3, 4))


def fact_table(result: Record, lang: str = "en") -> Table:
    """Return every input the ranking used, with its weight and where it came from."""
    tree = result.criteria
    rows = []
    for leaf, group, local in zip(tree.leaves, tree.group_of, tree.local_weights, strict=True):
        if leaf.computed:
            continue
        got = result.leaves[leaf.id]
        prior = text("text.drawn", lang, name=data_words(got.source, lang))
        rows.append(
            (
                leaf_name(leaf.id, lang, result.criteria),
                group_name(leaf.group, lang),
                fact(leaf.id, got.value, lang, result.criteria, result.profile),
                f"{result.weights[tree.groups[group]] * local:.3f}",
                text("word.given", lang) if got.known else prior,
            )
        )
    keys = ("leaf", "group", "value", "weight", "source")
    return Table(
        text("report.facts", lang), tuple(text(f"head.{k}", lang) for k in keys), tuple(rows), (3,)
    )
