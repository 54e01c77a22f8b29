"""Judge a profile by the gates: listing venues, regulators, and hard gates per option.

A venue is open when all common conditions and any one financial test pass, closed when a common
condition or every test fails, unknown otherwise. Regulators add months and risk, never a veto.
Depends on `data`, `windows` and the profile.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.records import dataclass

from .data import CONDITION_FIELDS, GateFlag, Gates, flags_of, parse_day
from .windows import OPERATORS, WINDOWS, Series

__all__ = [
    "Condition",
    "GateReport",
    "HardGate",
    "RegulatoryResult",
    "VenueResult",
    "VenueState",
    "VenueTest",
    "answered",
    "ends_early",
    "facts_of",
    "hard_gates",
    "is_met",
    "judge_gates",
    "judge_regulators",
    "relaxations",
    "runway_months",
    "unique",
    "venue_is_for",
]

MAX_RATE_AGE_DAYS = 180
_VALUE_FIELDS = ("market_cap", "market_cap_at_listing")
MAX_RUNWAY = 120.0  # a company that earns cash has ten years in the report, more says nothing


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a venue, in the venue's currency; `gap` < 0 is what is missing."""

    field: str
    op: str
    threshold: float
    window: str
    value: float | None
    state: str  # pass | fail | unknown
    gap: float | None
    money: bool
    sensitive: bool = False  # the low and high valuation disagree
    note: str = ""


@dataclass(frozen=True, slots=True)
class VenueTest:
    """One alternative financial test of a venue."""

    id: str
    state: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class VenueResult:
    """One venue: state, every condition, and how far its figures can be trusted."""

    id: str
    name: str
    region: str
    currency: str
    state: str
    prior: float  # chance that the unknown conditions hold
    common: tuple[Condition, ...]
    tests: tuple[VenueTest, ...]
    source: str
    checked: str
    confidence: str
    effective_from: str | None
    effective_to: str | None
    warnings: tuple[Note, ...]
    notes: tuple[str, ...]
    rate: float  # venue currency per unit of the profile's currency
    rate_date: str
    read: str | None = None  # day on which the rule's source was read; None: from memory


@dataclass(frozen=True, slots=True)
class RegulatoryResult:
    """One regulatory or market gate: does it apply, and what does it add."""

    id: str
    rule: str
    jurisdiction: str
    options: tuple[str, ...]
    state: str  # applies | not | unknown | note
    effect: str
    months: float
    factor: float
    source: str
    checked: str
    confidence: str
    warnings: tuple[Note, ...]
    read: str | None = None  # day on which the rule's source was read; None: from memory


@dataclass(frozen=True, slots=True)
class HardGate:
    """A gate that closes an option when it fails; `prior` is the chance of an unknown one."""

    option: str
    name: str
    state: str
    reason: Note
    prior: float = 1.0


@dataclass(frozen=True, slots=True)
class GateReport:
    """Everything the gates say about one profile."""

    venues: tuple[VenueResult, ...]
    regulatory: tuple[RegulatoryResult, ...]
    hard: tuple[HardGate, ...]
    warnings: tuple[Note, ...]
    checked: str

    def of(self, option: str) -> tuple[HardGate, ...]:
        """Hard gates of one option."""
        return tuple(gate for gate in self.hard if gate.option == option)

    def is_open(self, option: str) -> bool:
        """Return whether no hard gate of the option has failed."""
        return not any(g.option == option and g.state == "fail" for g in self.hard)


def runway_months(profile: Profile) -> float:
    """Return months of cash left, committed funds included; 120 when the company earns cash."""
    money = profile.cash + (profile.committed_funds or 0.0)
    burn = profile.monthly_burn
    return MAX_RUNWAY if burn <= 0 else min(MAX_RUNWAY, money / burn)


def judge_gates(profile: Profile, gates: Gates, options: Sequence[str]) -> GateReport:
    """Return venues, regulators and hard gates for one profile on its own `as_of` date."""
    on = profile.as_of
    views = _Views(profile)
    venues = tuple(
        _judge_venue(profile, venue, gates.rules, views[venue["currency"]])
        for venue in gates.venues
        if venue_is_for(profile, venue, gates.rules)
    )
    regulatory = judge_regulators(profile, gates, on)
    hard = hard_gates(profile, options, venues, gates.rules)
    used = [item for item in regulatory if item.state in ("applies", "unknown")]
    notes = [note for venue in venues for note in venue.warnings]
    notes += [note for item in used for note in item.warnings]
    notes += _rate_warnings(profile, venues, on)
    return GateReport(venues, regulatory, hard, unique(notes), gates.checked.isoformat())


def judge_regulators(profile: Profile, gates: Gates, on: dt.date) -> tuple[RegulatoryResult, ...]:
    """Return every regulatory gate that may concern a company."""
    rules = gates.rules["regulatory"]
    made = (_judge_regulator(profile, gate, rules, on) for gate in gates.regulatory)
    return tuple(result for result in made if result is not None)


def unique(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Return the notes without repeats, in order."""
    return tuple({(note.key, *note.values.values()): note for note in notes}.values())


def _rate_warnings(profile: Profile, venues: Sequence[VenueResult], on: dt.date) -> list[Note]:
    """Warn when a rate that was used is more than half a year from the figures."""
    used = {profile.currency, *(venue.currency for venue in venues)}
    if len(used) == 1:
        return []
    days = [profile.rates.date_of(code) for code in used if code != "USD"]
    far = max(days, key=lambda day: abs((on - day).days))
    if abs((on - far).days) <= MAX_RATE_AGE_DAYS:
        return []
    return [Note("fx_old", {"day": far.isoformat(), "as_of": on.isoformat()})]


def venue_is_for(profile: Profile, venue: Mapping[str, Any], rules: Mapping[str, Any]) -> bool:
    """Return whether a company of this region, country and sector may list on a venue."""
    china = profile.country == "CN" or profile["deal.operations_in_china"] == "yes"
    region = rules["venue_region"].get(venue["id"], str(venue.get("region", "")))
    countries = rules["venue_countries"].get(venue["id"])
    sectors = rules["venue_sectors"].get(venue["id"])
    if profile.venue_region and region != profile.venue_region:
        return False
    if countries and profile.country not in countries and not ("CN" in countries and china):
        return False
    return not sectors or profile.sector in sectors


def facts_of(profile: Profile) -> dict[str, Series]:
    """Return the profile's figures under the names the gate files use."""
    get = profile.values.get
    cap = get("listing.market_cap")
    cap = _at_listing(profile, profile.valuation.mid) if cap is None else cap
    float_pct, offer = get("listing.public_float_pct"), get("listing.offer_size")
    by_share = None if float_pct is None else float_pct * cap
    float_value = by_share if by_share is not None else offer
    founded = get("founded")
    years = None if founded is None else _whole_years(founded, profile.as_of)
    rd, opex, revenue = get("rd_opex_fy"), get("opex_fy"), get("revenue_last_fy")
    rd_known = sum(1 for value in rd or () if value)
    rd_years = get("listing.rd_years")
    if rd_years is None and rd_known >= 3:
        rd_years = rd_known
    answers = {"yes": 1.0, "no": 0.0}
    approval = answers.get(get("listing.milestone_approval") or "")
    adviser = answers.get(get("listing.adviser_agreed") or "")
    quoted = answers.get(get("listing.neeq_year") or "")
    backed = answers.get(get("listing.sophisticated_investors") or "")
    free = get("listing.free_float_pct")
    net = _years(get("net_income_fy"))
    one = _one
    return {
        "pretax_income": _years(get("pretax_income_fy")),
        "net_income": net, "net_profit": net, "profit_attributable": net,
        "revenue": _years(revenue),
        "operating_cash_flow": _years(get("operating_cash_flow_fy")),
        "market_cap": one(cap), "market_cap_at_listing": one(cap),
        "market_value_public_float": one(float_value),
        "market_value_unrestricted_public_float": one(offer if offer is not None else by_share),
        "total_assets": one(get("total_assets")),
        "stockholders_equity": one(get("stockholders_equity")),
        "share_price": one(get("listing.share_price")),
        "round_lot_holders": one(get("listing.round_lot_holders")),
        "publicly_held_shares": one(get("listing.public_shares")),
        "unrestricted_public_shares": one(get("listing.public_shares")),
        "audited_years": one(get("audited_years")),
        "public_float_pct": one(float_pct),
        "rd_years": one(rd_years),
        "rd_expenditure": _years(rd),
        "rd_share_of_opex": _ratio(rd, opex),
        "rd_share_of_revenue": _ratio(rd, revenue),
        "operating_history_years": one(years),
        "state_or_milestone_approval": one(approval),
        "sophisticated_investors": one(backed),
        "free_float_pct": one(free),
        "market_value_free_float": one(None if free is None else free * cap),
        "offer_size": one(offer),
        "adviser_agreed": one(adviser),
        "neeq_year": one(quoted),
        "return_on_equity": one(_part(net.last, get("stockholders_equity"))),
        "revenue_growth": one(_growth(revenue)),
        "rd_share_two_years": one(_ratio((rd or ())[-2:], (revenue or ())[-2:]).total()),
    }  # fmt: skip


def _whole_years(start: dt.date, end: dt.date) -> float:
    """Years from one day to another: whole ones by the calendar, and the part of the next."""
    if end < start:
        return 0.0
    whole = end.year - start.year - ((end.month, end.day) < (start.month, start.day))
    last, following = (_anniversary(start, start.year + whole + k) for k in (0, 1))
    return whole + (end - last).days / (following - last).days


def _anniversary(start: dt.date, year: int) -> dt.date:
    """The day in another year; 1 March where there is no 29 February."""
    try:
        return start.replace(year=year)
    except ValueError:
        return dt.date(year, 3, 1)


def _at_listing(profile: Profile, price: float) -> float:
    """Market value at a listing, as the money of a listing counts it: with the cash of that day."""
    terms = profile.assumptions
    return profile.equity(price, 0.0 if terms is None else terms.months_to_list)


def _one(value: float | None) -> Series:
    return Series((None if value is None else float(value),))


def _years(values: Sequence[float | None] | None) -> Series:
    return Series(tuple(values) if values else (None, None, None))


def _ratio(top: Sequence[float | None] | None, below: Sequence[float | None] | None) -> Series:
    size = len(top or below or (None,) * 3)
    pairs = tuple(zip(top or (None,) * size, below or (None,) * size, strict=True))
    shares = tuple(None if a is None or not b else a / b for a, b in pairs)
    return Series(shares, pairs)


def _part(top: float | None, below: float | None) -> float | None:
    return None if top is None or below is None or below <= 0 else top / below


def _growth(years: Sequence[float | None] | None) -> float | None:
    last, before = (years[-1], years[-2]) if years and len(years) > 1 else (None, None)
    rate = _part(last, before)
    return None if rate is None else rate - 1.0


class _Facts(dict[str, Series]):
    """Facts in another currency, converted when first asked for."""

    def __init__(self, own: Mapping[str, Series], rate: float) -> None:
        super().__init__()
        self._own, self._rate = own, rate

    def __missing__(self, name: str) -> Series:
        series, rate = self._own[name], self._rate
        if CONDITION_FIELDS[name] and rate != 1.0:
            years = tuple([None if v is None else v * rate for v in series.years])
            series = Series(years, series.parts)
        self[name] = series
        return series


@dataclass(frozen=True, slots=True)
class _View:
    """A company as one currency sees it: facts and valuation range in that currency."""

    rate: float
    facts: Mapping[str, Series]
    spread: tuple[float, float] | None  # None when the market value was given


class _Views(dict[str, _View]):
    """The views of a profile by currency, made when first asked for."""

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self._profile, self._facts = profile, facts_of(profile)

    def __missing__(self, currency: str) -> _View:
        profile = self._profile
        rate = profile.rates.rate(profile.currency, currency)
        own_cap = profile["listing.market_cap"] is None
        value = profile.valuation
        ends = (_at_listing(profile, value.low), _at_listing(profile, value.high))
        spread = (ends[0] * rate, ends[1] * rate) if own_cap else None
        self[currency] = made = _View(rate, _Facts(self._facts, rate), spread)
        return made


class VenueState(NamedTuple):
    """What a hard gate needs to know of a venue."""

    id: str
    state: str
    prior: float


def relaxations(venue: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return field -> rule of the milder thresholds that a venue grants."""
    return {row["field"]: row for row in rules["relaxations"] if row["venue"] == venue["id"]}


def _in_force(state: str, flags: Sequence[GateFlag]) -> str:
    """A venue whose rules have ended, or have not begun, may pass but is not known to."""
    return "unknown" if ends_early(flags) and state == "pass" else state


def ends_early(flags: Sequence[GateFlag]) -> bool:
    """Return whether rules have ended on the day of the flags, or have not begun."""
    return any(flag.kind in ("expired", "not_yet") for flag in flags)


def _judge_venue(
    profile: Profile, venue: Mapping[str, Any], rules: Mapping[str, Any], view: _View
) -> VenueResult:
    milder = relaxations(venue, rules)
    judged = [_judge_condition(row, view, milder) for row in venue["common_all_of"]]
    common = (*judged, *_alternatives(venue, profile.as_of, view, milder))
    tests = tuple(
        [_judge_test(test, view, milder) for test in _live(venue["tests_any_of"], profile.as_of)]
    )
    flags = flags_of(venue, profile.as_of)
    pending = _pending(profile, venue, view, milder)
    state = _in_force(_venue_state(common, tests), flags)
    state = "unknown" if pending and state == "pass" else state
    return VenueResult(
        venue["id"],
        venue["name"],
        rules["venue_region"].get(venue["id"], ""),
        venue["currency"],
        state,
        _venue_prior(common, tests, rules["unknown_prior"]),
        common,
        tests,
        venue["source"],
        venue["checked"],
        venue["confidence"],
        venue.get("effective_from"),
        venue.get("effective_to"),
        (*(flag.note for flag in flags), *pending),
        tuple(venue.get("notes") or ()),
        view.rate,
        profile.rates.date_of(venue["currency"]).isoformat(),
        venue.get("read", venue["checked"]),
    )


def _live(tests: Sequence[Mapping[str, Any]], on: dt.date) -> list[Mapping[str, Any]]:
    """The tests that are in force on a day."""
    return [t for t in tests if not (start := t.get("effective_from")) or _begun(start, on)]


def _begun(start: str, on: dt.date) -> bool:
    day = parse_day(start)
    return day is None or day <= on


def _alternatives(
    venue: Mapping[str, Any], on: dt.date, view: _View, milder: Mapping[str, Mapping[str, Any]]
) -> list[Condition]:
    """Conditions of the nearest alternative of every group of which one is enough."""
    out: list[Condition] = []
    for group in venue.get("common_any_of") or ():
        start = parse_day(group.get("effective_from"))
        if start is not None and on < start:
            out += [_judge_condition(row, view, milder) for row in group.get("before") or ()]
            continue
        choices = [
            [_judge_condition(row, view, milder) for row in choice["all_of"]]
            for choice in group["any_of"]
        ]
        order = {"pass": 0, "unknown": 1, "fail": 2}
        nearest: list[Condition] = min(
            choices,
            key=lambda rows: (order[_all_state(rows)], sum(r.state != "pass" for r in rows)),
        )
        out += nearest
    return out


def _pending(
    profile: Profile, venue: Mapping[str, Any], view: _View,
    milder: Mapping[str, Mapping[str, Any]],
) -> tuple[Note, ...]:  # fmt: skip
    """Rules whose fate could not be found and which the company may not meet."""
    china = answered(profile, "operations_in_china") is not False
    out = []
    for rule in venue.get("pending") or ():
        concerned = china or not rule.get("china")
        if concerned and _judge_condition(rule, view, milder).state != "pass":
            out.append(Note(f"pending_{rule['id']}", {"id": venue["id"]}))
    return tuple(out)


def _judge_test(
    test: Mapping[str, Any], view: _View, milder: Mapping[str, Mapping[str, Any]]
) -> VenueTest:
    rows = tuple([_judge_condition(row, view, milder) for row in test["all_of"]])
    return VenueTest(str(test.get("id", "")), _all_state(rows), rows)


def _judge_condition(
    row: Mapping[str, Any], view: _View, milder: Mapping[str, Mapping[str, Any]]
) -> Condition:
    name, op, threshold = row["field"], row["op"], row["value"]
    if name in milder:
        threshold = _relaxed(threshold, milder[name], view)
    test, window, spread = OPERATORS[op], row.get("window", ""), view.spread
    if window:
        state, value = WINDOWS[window](view.facts[name], lambda v: test(v, threshold))
    else:  # most conditions: the latest figure, judged without a detour
        value = view.facts[name].last
        state = "unknown" if value is None else "pass" if test(value, threshold) else "fail"
    sensitive = False
    if spread is not None and name in _VALUE_FIELDS:
        low, high = spread
        sensitive = test(low, threshold) != test(high, threshold)
    gap = None if value is None else value - threshold
    note, money = str(row.get("note", "")), CONDITION_FIELDS[name]
    return Condition(name, op, threshold, window, value, state, gap, money, sensitive, note)


def _relaxed(threshold: float, rule: Mapping[str, Any], view: _View) -> float:
    """Return the milder threshold that the venue's own note grants, where it applies."""
    figure = view.facts[rule["when"]["field"]].last
    applies = figure is not None and rule["when"]["min"] <= figure < rule["when"]["max"]
    return float(rule["value"]) if applies else threshold


def _all_state(rows: Sequence[Condition]) -> str:
    states = [row.state for row in rows]
    return "fail" if "fail" in states else ("unknown" if "unknown" in states else "pass")


def _venue_state(common: Sequence[Condition], tests: Sequence[VenueTest]) -> str:
    states = [test.state for test in tests]
    best = "pass" if "pass" in states else ("unknown" if "unknown" in states else "fail")
    shared = _all_state(common) if common else "pass"
    if "fail" in (shared, best):
        return "fail"
    return "pass" if shared == best == "pass" else "unknown"


def _venue_prior(
    common: Sequence[Condition],
    tests: Sequence[VenueTest],
    priors: Mapping[str, float],
) -> float:
    """Chance that the venue is open, unknown conditions counted at their prior."""
    shared = _prior_of(common, priors)
    return shared * max((_prior_of(test.conditions, priors) for test in tests), default=0.0)


def _prior_of(rows: Sequence[Condition], priors: Mapping[str, float]) -> float:
    chance = 1.0
    for row in rows:
        if row.state == "fail":
            return 0.0
        if row.state == "unknown":
            chance *= priors.get(row.field, priors["default"])
    return chance


def _judge_regulator(
    profile: Profile, gate: Mapping[str, Any], rules: Mapping[str, Any], on: dt.date
) -> RegulatoryResult | None:
    rule = rules.get(gate["id"], {})
    state = _regulator_state(profile, gate, rule)
    if state == "not" and not gate.get("tests"):
        return None
    effect = str(gate.get("effect") or "")
    for test in gate.get("tests") or ():
        if state != "not" and is_met(profile, test) is not False:
            effect = f"{effect}; {test['then']}" if effect else str(test["then"])
    applies = state == "applies"
    half = 0.5 if state == "unknown" else float(applies)
    factor = 1.0 - (1.0 - float(rule.get("factor", 1.0))) * half
    return RegulatoryResult(
        gate["id"],
        gate["rule"],
        gate["jurisdiction"],
        tuple(gate["applies_to"]),
        state,
        effect,
        float(rule.get("months", 0)) * half,
        factor,
        gate["source"],
        gate["checked"],
        gate["confidence"],
        tuple(flag.note for flag in flags_of(gate, on)),
        gate.get("read", gate["checked"]),
    )


def _regulator_state(profile: Profile, gate: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    """Return applies, not, unknown, or note (market practice, always shown)."""
    if rule.get("countries") and profile.country not in rule["countries"]:
        return "not"
    if rule.get("sectors") and profile.sector not in rule["sectors"]:
        return "not"
    if rule.get("classes"):
        if profile.ai_act_class is None:
            return "unknown"
        return "applies" if profile.ai_act_class in rule["classes"] else "not"
    states = []
    needs = rule.get("needs", ())
    for name in (needs,) if isinstance(needs, str) else needs:
        states.append(answered(profile, name))
    tests = [is_met(profile, test) for test in gate.get("tests") or ()]
    if tests:
        states.append(True if True in tests else (None if None in tests else False))
    if not states:
        return "note" if not rule.get("countries") else "applies"
    if False in states:
        return "not"
    return "unknown" if None in states else "applies"


def answered(profile: Profile, name: str) -> bool | None:
    """Return an answer of the section `deal`; operations in China follow from the country."""
    if name == "operations_in_china" and profile.country == "CN":
        return True
    known = {"yes": True, "no": False}.get(profile[f"deal.{name}"] or "unknown")
    if known is None and name == "operations_in_china":
        return None if profile.country in ("HK", "MO") else False
    return known


def is_met(profile: Profile, test: Mapping[str, Any]) -> bool | None:
    """Return whether a regulatory test is met, None when the profile does not say."""
    name = test["field"]
    value: Any
    if name == "transaction_value_usd":
        value = profile.usd(profile.valuation.mid)
    elif name == "principal_operations_in_china":
        value = answered(profile, "operations_in_china")
    elif name == "acquirer_stake":
        stake = profile["deal.acquirer_stake"]
        value = 1.0 if stake is None else stake
    elif name == "turnover":
        # all turnover bounds that in one place, and the buyer's counts as well: below the threshold
        # the rule does not apply, above it nobody knows
        bound = profile.revenue_ttm
        limit = profile.rates.convert(test["value"], test["currency"], profile.currency)
        return None if bound is None or OPERATORS[test["op"]](bound, limit) else False
    elif name == "personal_records_held":
        value = profile.personal_records_held
    else:
        return None
    return None if value is None else bool(OPERATORS[test["op"]](value, test["value"]))


def hard_gates(
    profile: Profile,
    options: Sequence[str],
    venues: Sequence[VenueResult | VenueState],
    rules: Mapping[str, Any],
) -> tuple[HardGate, ...]:
    """Return the gates that close an option when they fail, for each of the options."""
    return tuple(gate for option in options for gate in _hard(profile, option, venues, rules))


def _hard(
    profile: Profile,
    option: str,
    venues: Sequence[VenueResult | VenueState],
    rules: Mapping[str, Any],
) -> tuple[HardGate, ...]:
    priors = rules["unknown_prior"]
    if option == "ipo":
        return _ipo_gates(profile, venues, rules)
    if option == "dual_track":
        both = (*_hard(profile, "ipo", venues, rules), *_hard(profile, "ma", venues, rules))
        return tuple(
            HardGate("dual_track", gate.name, gate.state, gate.reason, gate.prior) for gate in both
        )
    if option in ("ma", "license_hire"):
        out = [_answer_gate(profile, option, "class_veto_against_sale", "veto", priors)]
        if option == "ma":
            covenant = _answer_gate(profile, option, "covenant_blocks_sale", "covenant", priors)
            out.insert(0, covenant)
        return tuple(out)
    if option in ("transform", "ma_buy"):
        least = float(rules["transform_min_runway_months"]["value"])
        months = runway_months(profile)
        funded = option == "transform" and profile["deal.transform_plan_funded"] == "yes"
        state = "pass" if months >= least or funded else "fail"
        values = {"months": f"{months:.1f}", "least": f"{least:.0f}"}
        reason = Note("gate_runway_funded" if funded else "gate_runway", values)
        return (HardGate(option, "runway", state, reason),)
    if option in ("hold", "mbo", "esop"):
        return _earnings_gates(profile, option, priors)
    return ()


_HOLD_RUNWAY = 12.0  # months of cash with which a company that burns may still be kept


def _earnings_gates(
    profile: Profile, option: str, priors: Mapping[str, float]
) -> tuple[HardGate, ...]:
    """Dividends and the price of a buy-out by managers or employees are paid from earnings."""
    earns = profile.monthly_burn <= 0
    reason = Note("gate_earnings_fine" if earns else "gate_earnings")
    if option == "hold":
        months = runway_months(profile)
        if not earns:
            values = {"months": f"{months:.1f}", "least": f"{_HOLD_RUNWAY:.0f}"}
            reason = Note("gate_runway", values)
        state = "pass" if earns or months >= _HOLD_RUNWAY else "fail"
        return (HardGate(option, "hold_runway", state, reason),)
    veto = _answer_gate(profile, option, "class_veto_against_sale", "veto", priors)
    covenant = _answer_gate(profile, option, "covenant_blocks_sale", "covenant", priors)
    return (HardGate(option, "earnings", "pass" if earns else "fail", reason), covenant, veto)


def _answer_gate(
    profile: Profile, option: str, name: str, kind: str, priors: Mapping[str, float]
) -> HardGate:
    answer = profile[f"deal.{name}"] or "unknown"
    state = {"yes": "fail", "no": "pass"}.get(answer, "unknown")
    reason = Note("gate_answer", {"field": f"deal.{name}", "answer": answer})
    return HardGate(option, name, state, reason, priors[kind] if state == "unknown" else 1.0)


def _ipo_gates(
    profile: Profile, venues: Sequence[VenueResult | VenueState], rules: Mapping[str, Any]
) -> tuple[HardGate, ...]:
    least = int(rules["ipo_min_audited_years"]["value"])
    enough = profile.audited_years >= least
    values = {"years": str(profile.audited_years), "least": str(least)}
    reason = Note("gate_audited_fine" if enough else "gate_audited", values)
    audited = HardGate("ipo", "audited_years", "pass" if enough else "fail", reason)
    states = [venue.state for venue in venues]
    state = "pass" if "pass" in states else ("unknown" if "unknown" in states else "fail")
    named = [venue.id for venue in venues if venue.state == state] if state != "fail" else []
    values = {"venues": " ".join(named), "state": state}
    reason = Note("gate_venues", values) if named else Note("gate_no_venue")
    prior = max((venue.prior for venue in venues), default=0.0) if state == "unknown" else 1.0
    return (audited, HardGate("ipo", "venue", state, reason, prior))
