"""Cap tables from Open Cap Format packages: a whole package, its corners, and what is refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.money.ocf import read_ocf
from fastnn.exit_strategy.money.waterfall import Schedule
from fastnn.exit_strategy.profile.profile import Profile

Item = dict[str, Any]


def money(amount: float) -> Item:
    return {"amount": f"{amount:.2f}", "currency": "USD"}


def stock_class(name: str, seniority: str, **terms: Any) -> Item:
    """A class as an export writes it: every number a text."""
    row = {
        "object_type": "STOCK_CLASS", "id": f"class-{name}", "name": name,
        "class_type": "PREFERRED", "default_id_prefix": f"{name[0]}-",
        "initial_shares_authorized": "10000000", "votes_per_share": "1", "seniority": seniority,
        "price_per_share": money(1.0), "liquidation_preference_multiple": "1.0",
    }  # fmt: skip
    return {k: v for k, v in (row | terms).items() if v is not None}


def person(name: str, relationship: str = "INVESTOR") -> Item:
    return {
        "object_type": "STAKEHOLDER", "id": f"holder-{name}", "name": {"legal_name": name},
        "stakeholder_type": "INDIVIDUAL", "current_relationship": relationship,
    }  # fmt: skip


def tx(
    kind: str, security: str, holder: str = "ann", date: str = "2024-01-15", **more: Any
) -> Item:
    row = {
        "object_type": f"TX_{kind}", "id": f"tx-{kind}-{security}-{date}", "date": date,
        "security_id": security,
    }  # fmt: skip
    if kind.endswith("ISSUANCE"):
        row |= {"custom_id": security, "stakeholder_id": f"holder-{holder}",
                "security_law_exemptions": []}  # fmt: skip
    return row | more


def stock(security: str, name: str, quantity: float, price: float, **more: Any) -> Item:
    return tx(
        "STOCK_ISSUANCE", security, stock_class_id=f"class-{name}", quantity=f"{quantity:.0f}",
        share_price=money(price), stock_legend_ids=[], **more,
    )  # fmt: skip


def option(security: str, quantity: float, strike: float, **more: Any) -> Item:
    return tx(
        "EQUITY_COMPENSATION_ISSUANCE", security, compensation_type="OPTION_ISO",
        quantity=f"{quantity:.0f}", exercise_price=money(strike), expiration_date=None,
        termination_exercise_windows=[], **more,
    )  # fmt: skip


def safe(security: str, amount: float, cap: float | None, **mechanism: Any) -> Item:
    terms = {"type": "SAFE_CONVERSION", "conversion_mfn": False, **mechanism}
    if cap is not None:
        terms["conversion_valuation_cap"] = money(cap)
    trigger = {
        "type": "UNSPECIFIED", "trigger_id": f"{security}.1",
        "conversion_right": {"type": "CONVERTIBLE_CONVERSION_RIGHT", "conversion_mechanism": terms},
    }  # fmt: skip
    return tx(
        "CONVERTIBLE_ISSUANCE", security, investment_amount=money(amount), convertible_type="SAFE",
        conversion_triggers=[trigger], seniority=1,
    )  # fmt: skip


def note(security: str, amount: float, rate: str, start: str, **mechanism: Any) -> Item:
    row = safe(security, amount, 8e6)
    row["convertible_type"] = "NOTE"
    right = row["conversion_triggers"][0]["conversion_right"]
    right["conversion_mechanism"] = {
        "type": "CONVERTIBLE_NOTE_CONVERSION", "conversion_valuation_cap": money(8e6),
        "interest_rates": [{"rate": rate, "accrual_start_date": start}],
        "day_count_convention": "ACTUAL_365", "interest_payout": "DEFERRED",
        "interest_accrual_period": "ANNUAL", "compounding_type": "SIMPLE", **mechanism,
    }  # fmt: skip
    return row


CLASSES = [
    stock_class("Common", "1", class_type="COMMON", liquidation_preference_multiple=None),
    stock_class("Series A", "2.0", conversion_rights=[{
        "type": "STOCK_CLASS_CONVERSION_RIGHT", "conversion_mechanism": {
            "type": "RATIO_CONVERSION", "conversion_price": money(4.0),
            "ratio": {"numerator": "3", "denominator": "2"}, "rounding_type": "NORMAL"}}]),
    stock_class("Series B", "3", participation_cap_multiple="2.0"),
    stock_class("Series A-1", "2.5"),
]  # fmt: skip
PEOPLE = [person("ann", "FOUNDER"), person("bob", "EMPLOYEE"), person("fund")]
MOVES = [
    stock("CS-1", "Common", 5e6, 0.0001),
    stock("CS-2", "Common", 1e6, 0.0001, holder="bob"),
    stock("CS-3", "Common", 9e5, 0.0001, holder="bob"),
    tx("STOCK_REPURCHASE", "CS-3", price=money(0.0001), quantity="900000"),
    stock("A-1", "Series A", 2e6, 4.0, holder="fund"),
    stock("A-2", "Series A-1", 1e5, 5.0, holder="fund"),
    stock("B-1", "Series B", 2e6, 10.0, holder="fund"),
    option("O-1", 1e6, 0.5, holder="bob"),
    tx("EQUITY_COMPENSATION_EXERCISE", "O-1", quantity="400000", resulting_security_ids=["CS-4"]),
    stock("CS-4", "Common", 4e5, 0.5, holder="bob"),
    option("O-2", 2e5, 0.5),
    safe("SAFE-1", 5e5, 10e6, conversion_discount="0.2", conversion_timing="PRE_MONEY"),
    note("CN-1", 1e6, "0.06", "2024-11-22"),
]


def package(
    folder: Path, moves: list[Item] | None = None, classes: list[Item] | None = None,
    people: list[Item] | None = None, as_of: str | None = "2026-11-22",
) -> Path:  # fmt: skip
    """Write an OCF package as a folder of files with a manifest; return the folder."""
    files = {
        "StockClasses": ("OCF_STOCK_CLASSES_FILE", CLASSES if classes is None else classes),
        "Stakeholders": ("OCF_STAKEHOLDERS_FILE", PEOPLE if people is None else people),
        "Transactions": ("OCF_TRANSACTIONS_FILE", MOVES if moves is None else moves),
    }
    folder.mkdir(exist_ok=True)
    for name, (kind, items) in files.items():
        (folder / f"{name}.ocf.json").write_text(json.dumps({"file_type": kind, "items": items}))
    manifest: Item = {
        "file_type": "OCF_MANIFEST_FILE", "ocf_version": "1.2.0",
        "generated_at": "2026-11-22T09:00:00Z",
        "issuer": {"object_type": "ISSUER", "id": "i", "legal_name": "Acme AI, Inc.",
                   "formation_date": "2019-03-01", "country_of_formation": "US"},
    }  # fmt: skip
    for key, name in (("stakeholders", "Stakeholders"), ("stock_classes", "StockClasses"),
                      ("transactions", "Transactions")):  # fmt: skip
        manifest[f"{key}_files"] = [{"filepath": f"{name}.ocf.json", "md5": "0" * 32}]
    for key in ("stock_plans", "stock_legend_templates", "vesting_terms", "valuations"):
        manifest[f"{key}_files"] = []
    if as_of:
        manifest["as_of"] = as_of
    (folder / "Manifest.ocf.json").write_text(json.dumps(manifest))
    return folder


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".ocf.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    return path


def test_a_package_becomes_a_cap_table(tmp_path: Path) -> None:
    table = read_ocf(package(tmp_path / "acme"))
    assert (table.common, table.founders) == (6.4e6, 5e6)
    rows = {c.name: c for c in table.classes}
    a, b, a1 = rows["Series A"], rows["Series B"], rows["Series A-1"]
    assert (a.shares, a.invested, a.conversion_ratio, a.participation) == (2e6, 8e6, 1.5, "none")
    assert (b.invested, b.participation, b.cap) == (20e6, "capped", 2.0)
    assert (b.seniority, a1.seniority, a.seniority) == (1, 2, 3)  # OCF ranks higher numbers first
    assert [(o.n, o.strike) for o in table.options] == [(8e5, 0.5)]  # 400,000 were exercised
    assert table.options[0].founder_part == 0.25
    (paper,) = table.safes
    assert (paper.amount, paper.valuation_cap, paper.discount) == (5e5, 10e6, 0.2)
    assert not paper.post_money
    (debt,) = table.notes
    assert (debt.principal, debt.interest, debt.years) == (1e6, 0.06, 2.0)


def test_folder_zip_and_profile_give_the_same_table(tmp_path: Path) -> None:
    folder = package(tmp_path / "acme")
    path = zipped(folder)
    assert read_ocf(folder) == read_ocf(path)
    company = Profile.from_dict(make_profile_dict(cap_table={"ocf": str(path)}), today=TODAY)
    assert company.cap_table == read_ocf(folder)
    result = evaluate(company, draws=100)
    assert sum(result.proceeds.options["ma"].payouts.values()) == pytest.approx(
        result.proceeds.options["ma"].net_price
    )


@pytest.mark.parametrize(
    ("moves", "wanted"),
    [
        ([stock("CS-1", "Common", 1e6, 0.0),
          tx("STOCK_TRANSFER", "CS-1", quantity="1000000", resulting_security_ids=["CS-2"]),
          stock("CS-2", "Common", 1e6, 0.0, holder="bob")], (1e6, 0.0)),
        ([stock("CS-1", "Common", 1e6, 0.0),
          tx("STOCK_CANCELLATION", "CS-1", quantity="400000", balance_security_id="CS-2"),
          stock("CS-2", "Common", 6e5, 0.0)], (6e5, 6e5)),
        ([stock("CS-1", "Common", 1e6, 0.0), stock("CS-2", "Common", 1e6, 0.0),
          {**tx("STOCK_CONSOLIDATION", "-", resulting_security_id="CS-3"),
           "security_ids": ["CS-1", "CS-2"]},
          stock("CS-3", "Common", 2e6, 0.0)], (2e6, 2e6)),
        ([stock("CS-1", "Common", 1e6, 0.0),
          tx("STOCK_CLASS_SPLIT", "-", date="2024-06-01", stock_class_id="class-Common",
             split_ratio={"numerator": "2", "denominator": "1"}),
          tx("STOCK_REISSUANCE", "CS-1", date="2024-06-01", resulting_security_ids=["CS-2"]),
          stock("CS-2", "Common", 2e6, 0.0, date="2024-06-01")], (2e6, 2e6)),
    ],
    ids=["transfer", "partial-cancellation", "consolidation", "split"],
)  # fmt: skip
def test_closed_securities_do_not_count_twice(
    tmp_path: Path, moves: list[Item], wanted: tuple[float, float]
) -> None:
    table = read_ocf(package(tmp_path / "p", moves))
    assert (table.common, table.founders) == wanted


@pytest.mark.parametrize(
    ("moves", "said"),
    [
        ([tx("STOCK_TRANSFER", "CS-1", quantity="1000000", resulting_security_ids=["CS-2"])],
         "leaves the security 'CS-2', which is not issued"),
        ([tx("STOCK_TRANSFER", "CS-1", quantity="1000000", resulting_security_ids=[])],
         "does not say which security"),
        ([tx("STOCK_CONVERSION", "CS-1", quantity_converted="1000000")],
         "does not say which security"),
        ([tx("STOCK_REPURCHASE", "CS-1", price=money(1), quantity="400000",
             balance_security_id="CS-9")], "leaves the security 'CS-9', which is not issued"),
        ([tx("STOCK_CANCELLATION", "CS-1", date="2019-01-01", quantity="400000")],
         "is dated before TX_STOCK_ISSUANCE"),
        ([stock("CS-2", "Common", 1e6, 0.0, holder="ghost")], "no stakeholder 'holder-ghost'"),
    ],
    ids=["transfer", "to-nobody", "conversion", "balance", "before-its-issue", "no-holder"],
)  # fmt: skip
def test_shares_that_would_be_lost_are_named(tmp_path: Path, moves: list[Item], said: str) -> None:
    with pytest.raises(ExitError, match=said):
        read_ocf(package(tmp_path / "p", [stock("CS-1", "Common", 1e6, 0.0), *moves]))


def test_the_newest_conversion_ratio_counts_and_a_preference_may_be_none(tmp_path: Path) -> None:
    adjusted = {
        "object_type": "TX_STOCK_CLASS_CONVERSION_RATIO_ADJUSTMENT", "id": "r",
        "date": "2025-01-01", "stock_class_id": "class-Series A",
        "new_ratio_conversion_mechanism": {
            "type": "RATIO_CONVERSION", "ratio": {"numerator": "2", "denominator": "1"}},
    }  # fmt: skip
    bare = stock_class("Plain", "4", liquidation_preference_multiple="0", price_per_share=None)
    moves = [*MOVES, adjusted, stock("P-1", "Plain", 10, 0)]
    table = read_ocf(package(tmp_path / "p", moves, [*CLASSES, bare], as_of=None))
    rows = {c.name: c for c in table.classes}
    assert rows["Series A"].conversion_ratio == 2.0
    assert (rows["Plain"].multiple, rows["Plain"].invested) == (0.0, 0.0)
    assert table.notes[0].years == pytest.approx(40 / 365, abs=1e-3)  # to the last transaction
    twice = safe("SAFE-2", 1e5, None, exit_multiple={"numerator": "2", "denominator": "1"})
    assert read_ocf(package(tmp_path / "q", [*MOVES, twice])).notes[1].multiple == 2.0


def test_a_cap_without_its_timing_is_read_by_the_form_of_its_day_and_told(tmp_path: Path) -> None:
    def read(**more: Any) -> tuple[bool, bool]:
        row = safe("SAFE-9", 1e5, 8e6, **more.pop("terms", {})) | more
        table = read_ocf(package(tmp_path / str(len(list(tmp_path.iterdir()))), [*MOVES, row]))
        made = next(s for s in table.safes if s.name == "SAFE-9")
        return made.post_money, "ocf_timing" in table.remarks

    assert read(date="2018-03-01") == (False, True)
    assert read(date="2024-03-01") == (True, True)
    assert read(date="2018-03-01", terms={"conversion_timing": "POST_MONEY"})[0] is True


def broken(change: Callable[[list[Item]], None]) -> list[Item]:
    moves = json.loads(json.dumps(MOVES))
    change(moves)
    return list(moves)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m[0].pop("quantity"), "CS-1-2024-01-15 has no quantity"),
        (lambda m: m[0].update(quantity="many"), "quantity is 'many'"),
        (lambda m: m[0].update(quantity="NaN"), "expected a number"),
        (lambda m: m[0].update(stock_class_id="class-Z"), "no stock class 'class-Z'"),
        (lambda m: m[4].update(share_price={"currency": "USD"}), "share_price is None"),
        (lambda m: m[0].pop("security_id"), "has no security_id"),
        (lambda m: m[11].pop("investment_amount"), "has no investment_amount"),
        (lambda m: m[12].update(date="soon"), "'soon' is not a date"),
        (lambda m: m.append(tx("STOCK_CLASS_SPLIT", "-", date="2025-01-01",
                               stock_class_id="class-Common")), "was not reissued"),
        (lambda m: m[7].update(quantity=None), "has no quantity"),
    ],
)  # fmt: skip
def test_broken_items_are_named(
    tmp_path: Path, change: Callable[[list[Item]], None], words: str
) -> None:
    with pytest.raises(ExitError, match=words) as caught:
        read_ocf(package(tmp_path / "p", broken(change)))
    assert caught.value.code == "EX309"
    assert caught.value.issues[0].field == "cap_table.ocf"
    assert "OCF 1.2" in caught.value.issues[0].hint


def test_terms_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for k, terms in enumerate(({"seniority": "first"}, {"name": None},
                               {"liquidation_preference_multiple": []})):  # fmt: skip
        classes = [CLASSES[0], stock_class("Series A", "2") | terms, *CLASSES[2:]]
        with pytest.raises(ExitError) as caught:
            read_ocf(package(tmp_path / f"p{k}", classes=classes))
        assert caught.value.code == "EX309", terms
    zero = json.loads(json.dumps(CLASSES))
    right = zero[1]["conversion_rights"][0]["conversion_mechanism"]
    right["ratio"]["denominator"] = "0"
    with pytest.raises(ExitError, match="denominator 0"):
        read_ocf(package(tmp_path / "z", classes=zero))


@pytest.mark.parametrize("kind", ["missing", "text", "empty", "zip", "foreign", "list", "deep"])
def test_packages_that_cannot_be_read_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "p.ocf.zip"
    if kind == "text":
        path.write_text("{ not json")
    elif kind == "empty":
        path = tmp_path
    elif kind == "zip":
        whole = zipped(package(tmp_path / "p")).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "foreign":
        path.write_text('{"file_type": "INVOICE", "items": [{"id": 1}]}')
    elif kind == "list":
        path.write_text("[1, 2]")
    elif kind == "deep":
        path.write_text("[" * 100_000)
    with pytest.raises(ExitError) as caught:
        read_ocf(path)
    assert caught.value.code == "EX309"
    with pytest.raises(ExitError) as whole_profile:
        Profile.from_dict(make_profile_dict(cap_table={"ocf": str(path)}), today=TODAY)
    assert "EX309" in {issue.code for issue in whole_profile.value.issues}


def triggers(*mechanisms: Item, kind: str = "SAFE", amount: float = 1e6, **more: Any) -> Item:
    """A convertible with one trigger for each mechanism."""
    row = safe("CV", amount, None)
    row["convertible_type"] = kind
    row["conversion_triggers"] = [
        {"type": "UNSPECIFIED", "trigger_id": f"CV.{k}", "conversion_right": {
            "type": "CONVERTIBLE_CONVERSION_RIGHT", "conversion_mechanism": mechanism}}
        for k, mechanism in enumerate(mechanisms)
    ]  # fmt: skip
    return row | more


def debt(*rates: Item, **more: Any) -> Item:
    return {"type": "CONVERTIBLE_NOTE_CONVERSION", "interest_rates": list(rates),
            "day_count_convention": "ACTUAL_365", "interest_payout": "DEFERRED",
            "interest_accrual_period": "ANNUAL", "compounding_type": "SIMPLE", **more}  # fmt: skip


FOUNDING = stock("CS-1", "Common", 8e6, 0.0001)
TEN = {"rate": "0.10", "accrual_start_date": "2022-01-01"}
RULES = {
    "include_outstanding_shares": True, "include_outstanding_options": False,
    "include_outstanding_unissued_options": False, "include_this_security": False,
    "include_other_converting_securities": False, "include_new_money": False,
}  # fmt: skip


def paid(folder: Path, price: float, *moves: Item) -> float:
    table = read_ocf(package(folder, [FOUNDING, *moves], as_of="2024-01-01"))
    return Schedule(table.claims()).pay(price)["CV"]


@pytest.mark.parametrize(
    ("price", "wanted", "paper"),
    [
        (40e6, 8e6, triggers(debt(conversion_valuation_cap=money(4e6),
                                  capitalization_definition_rules=RULES), kind="NOTE")),
        (40e6, 10e6, triggers(debt(conversion_valuation_cap=money(4e6),
                                   capitalization_definition_rules=RULES | {
                                       "include_this_security": True,
                                       "include_other_converting_securities": True}),
                              kind="NOTE")),
        (5e6, 1.21e6, triggers(debt(TEN, compounding_type="COMPOUNDING"), kind="NOTE")),
        (5e6, 1.2e6, triggers(debt(TEN), kind="NOTE")),
        (5e6, 1.2e6, triggers(debt(TEN, day_count_convention="30_360"), kind="NOTE")),
        (5e6, 1e6, triggers(debt(TEN, interest_payout="CASH"), kind="NOTE")),
        (5e6, 1.12e6, triggers(debt({"rate": "0.02", "accrual_start_date": "2023-01-01"},
                                    TEN | {"accrual_end_date": "2022-12-31"}), kind="NOTE")),
        (5e6, 1.12e6, triggers(debt(TEN, {"rate": "0.02", "accrual_start_date": "2023-01-01"}),
                               kind="NOTE")),
        (40e6, 4e6, triggers({"type": "FIXED_PERCENT_OF_CAPITALIZATION_CONVERSION",
                              "converts_to_percent": "0.1"})),
        (40e6, 4e6, triggers({"type": "SAFE_CONVERSION", "conversion_valuation_cap": money(1e7)},
                             {"type": "CUSTOM_CONVERSION", "custom_conversion_description": "?"})),
        (5e6, 1.2e6, triggers(debt(TEN), kind="SAFE")),
    ],
)  # fmt: skip
def test_every_term_of_a_convertible_counts(
    tmp_path: Path, price: float, wanted: float, paper: Item
) -> None:
    assert paid(tmp_path / "p", price, paper) == pytest.approx(wanted)


def test_a_most_favoured_paper_inherits_the_cap_of_a_later_one(tmp_path: Path) -> None:
    first = triggers({"type": "SAFE_CONVERSION", "conversion_mfn": True}, amount=5e5)
    later = safe("SAFE-2", 1e6, 10e6) | {"date": "2024-02-01"}
    assert paid(tmp_path / "p", 50e6, first, later) == pytest.approx(2.5e6)


@pytest.mark.parametrize(
    ("words", "item"),
    [
        ("FIXED_AMOUNT_CONVERSION is not modelled",
         triggers({"type": "FIXED_AMOUNT_CONVERSION", "converts_to_quantity": "5"})),
        ("PPS_BASED_CONVERSION is not modelled", triggers({"type": "PPS_BASED_CONVERSION"})),
        ("CUSTOM_CONVERSION is not modelled", triggers({"type": "CUSTOM_CONVERSION"})),
        ("triggers differ in conversion_valuation_cap",
         triggers({"type": "SAFE_CONVERSION", "conversion_valuation_cap": money(1e7)},
                  {"type": "SAFE_CONVERSION", "conversion_valuation_cap": money(2e7)})),
        ("type 'LOAN' is not modelled", triggers({"type": "SAFE_CONVERSION"}, kind="LOAN")),
        ("compounding_type 'CONTINUOUS'", triggers(debt(TEN, compounding_type="CONTINUOUS"))),
        ("interest_payout 'SHARES'", triggers(debt(TEN, interest_payout="SHARES"))),
        ("day_count_convention 'ACT'", triggers(debt(TEN, day_count_convention="ACT"))),
        ("interest_accrual_period 'HOURLY'", triggers(debt(TEN, interest_accrual_period="HOURLY"))),
        ("two interest rates from", triggers(debt(TEN, TEN | {"rate": "0.2"}))),
        ("conversion_timing 'LATER'",
         triggers({"type": "SAFE_CONVERSION", "conversion_timing": "LATER"})),
        ("contradicts its rules",
         triggers({"type": "SAFE_CONVERSION", "conversion_timing": "POST_MONEY",
                   "capitalization_definition_rules": RULES})),
        ("without outstanding shares",
         triggers({"type": "SAFE_CONVERSION", "capitalization_definition_rules": RULES | {
             "include_outstanding_shares": False}})),
        ("of type 'PHANTOM' is not modelled", option("O", 5, 1) | {"compensation_type": "PHANTOM"}),
        ("TX_STOCK_MERGER is not known", tx("STOCK_MERGER", "CS-1")),
        ("no security 'CS-9' was issued", tx("STOCK_CANCELLATION", "CS-9", quantity="1")),
        ("are left", tx("STOCK_CANCELLATION", "CS-1", quantity="9000000")),
        ("issued twice", stock("CS-1", "Common", 5, 1)),
        ("one currency is needed",
         triggers({"type": "SAFE_CONVERSION"},
                  investment_amount={"amount": "1", "currency": "EUR"})),
        ("security_id is not a text", stock("CS-2", "Common", 5, 1) | {"security_id": []}),
        ("a warrant that converts by CUSTOM",
         tx("WARRANT_ISSUANCE", "W", quantity="5", exercise_triggers=[
             {"conversion_right": {"conversion_mechanism": {"type": "CUSTOM_CONVERSION"}}}])),
        ("a warrant on preferred shares",
         tx("WARRANT_ISSUANCE", "W", quantity="5", exercise_price=money(1), exercise_triggers=[
             {"conversion_right": {"converts_to_stock_class_id": "class-Series A"}}])),
    ],
)  # fmt: skip
def test_terms_that_are_not_modelled_are_refused_by_name(
    tmp_path: Path, words: str, item: Item
) -> None:
    with pytest.raises(ExitError, match=words) as caught:
        read_ocf(package(tmp_path / "p", [FOUNDING, item]))
    assert caught.value.code == "EX309"


@pytest.mark.parametrize("balance", [{}, {"balance_security_id": "CS-1"}])
def test_a_partial_cancellation_without_a_balance_leaves_the_rest(
    tmp_path: Path, balance: Item
) -> None:
    move = tx("STOCK_CANCELLATION", "CS-1", quantity="3000000", **balance)
    assert read_ocf(package(tmp_path / "p", [FOUNDING, move])).founders == 5e6
    half = [safe("SAFE-1", 1e6, 1e7), tx("CONVERTIBLE_CANCELLATION", "SAFE-1", amount=money(4e5))]
    assert read_ocf(package(tmp_path / "q", [FOUNDING, *half])).safes[0].amount == 6e5


def test_a_repriced_grant_has_its_new_price(tmp_path: Path) -> None:
    moves = [FOUNDING, option("O-1", 1e6, 5.0),
             tx("EQUITY_COMPENSATION_REPRICING", "O-1", new_exercise_price=money(1.0))]  # fmt: skip
    assert read_ocf(package(tmp_path / "p", moves)).options[0].strike == 1.0


def test_what_the_format_cannot_say_is_a_warning_of_the_report(tmp_path: Path) -> None:
    folder = package(tmp_path / "p", [*MOVES, option("O-9", 5, 1, vesting_terms_id="v")])
    company = Profile.from_dict(
        make_profile_dict(cap_table={"ocf": str(folder)}, currency="EUR"), today=TODAY
    )
    keys = {note.key for note in evaluate(company, draws=100).warnings}
    assert {"ocf_vesting", "ocf_participation", "ocf_converted"} <= keys
    dollars = read_ocf(folder)
    rate = company.rates.rate("USD", "EUR")
    table = company.cap_table
    assert table.classes[0].invested == pytest.approx(dollars.classes[0].invested * rate)
    assert table.notes[0].principal == pytest.approx(dollars.notes[0].principal * rate)
    assert table.classes[0].shares == dollars.classes[0].shares


def test_notes_of_several_ranks_all_come_before_the_classes(tmp_path: Path) -> None:
    one = note("CN-1", 1e6, "0.0", "2024-01-01")
    two = note("CN-2", 1e6, "0.0", "2024-01-01") | {"seniority": 2}
    moves = [FOUNDING, stock("A-1", "Series A", 1e6, 1.0), one, two]
    table = read_ocf(package(tmp_path / "p", moves))
    got = Schedule(table.claims()).pay(1.5e6)
    assert (got["CN-1"], got["CN-2"], got["Series A"]) == (1e6, 5e5, 0.0)


def claims(path: Path, change: Callable[[bytearray], None]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", "{}" * 50)
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def test_odd_archives_are_refused_and_what_they_unpack_to_is_bounded(tmp_path: Path) -> None:
    def encrypt(data: bytearray) -> None:
        data[6] |= 1
        data[data.find(b"PK\1\2") + 8] |= 1

    def other_method(data: bytearray) -> None:
        data[8] = 99
        data[data.find(b"PK\1\2") + 10] = 99

    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", '{"file_type":"OCF_X","items":[' + "{}," * 3_000_000 + "{}]}")
    many = tmp_path / "many.json"
    many.write_text('{"file_type":"OCF_X","items":[' + "{}," * 1_500_000 + "{}]}")
    odd = tmp_path / "odd.json"
    odd.write_text('{"file_type":"OCF_X","items":5}')
    device = tmp_path / "zero.json"
    device.symlink_to("/dev/zero")
    for path, words in (
        (claims(tmp_path / "enc.zip", encrypt), "encrypted"),
        (claims(tmp_path / "meth.zip", other_method), "cannot unpack"),
        (bomb, "unpacks to more"), (many, "values"), (odd, "items is not a list"),
        (device, "not a plain file"), (Path("/dev/zero"), "not a plain file"),
    ):  # fmt: skip
        with pytest.raises(ExitError, match=words) as caught:
            read_ocf(path)
        assert caught.value.code == "EX309"


@pytest.mark.peers
def test_the_made_package_is_valid_for_pyocf(tmp_path: Path) -> None:
    captable = pytest.importorskip("pyocf.captable")
    loaded = captable.Captable.load(str(zipped(package(tmp_path / "acme"))))
    assert len(loaded.transactions) == len(MOVES)
    assert {c.name for c in loaded.stock_classes} == {c["name"] for c in CLASSES}


def test_a_warrant_on_preferred_shares_and_who_holds_what_are_read(tmp_path: Path) -> None:
    warrant = tx("WARRANT_ISSUANCE", "W-1", holder="fund", quantity="100000",
                 exercise_price=money(2.0), exercise_triggers=[{"conversion_right": {
                     "converts_to_stock_class_id": "class-Series A",
                     "conversion_mechanism": {"type": "FIXED_AMOUNT_CONVERSION",
                                              "converts_to_quantity": "100000"}}}])  # fmt: skip
    plan = {
        "object_type": "STOCK_PLAN",
        "id": "plan",
        "plan_name": "2024",
        "initial_shares_reserved": "1500000",
        "stock_class_ids": ["class-Common"],
    }
    grant = option("O-9", 2e5, 0.5, holder="bob", stock_plan_id="plan")
    more = tx("STOCK_PLAN_POOL_ADJUSTMENT", "-", stock_plan_id="plan", shares_reserved="1700000")
    table = read_ocf(package(tmp_path / "p", [*MOVES, warrant, grant, more, plan]))
    row = next(o for o in table.options if o.share_class)
    assert (row.name, row.n, row.strike) == ("warrants on Series A at 2", 1e5, 2.0)
    assert table.pool == 1.5e6
    ann = {h.paper for h in table.holders if h.person == "ann"}
    assert "founders" in ann
    fund = next(h for h in table.holders if h.person == "fund" and h.paper == row.name)
    assert fund.units == 1e5
    got = Schedule(table.claims()).pay(60e6)
    people = table.by_person(got)
    assert sum(sum(p.values()) for p in people.values()) == pytest.approx(60e6)


@pytest.mark.parametrize(
    ("term", "value"), [("dividend_rate", "0.08"), ("redemption", {"date": "2029-01-01"})]
)
def test_a_field_that_the_schema_does_not_have_is_refused_by_name(
    tmp_path: Path, term: str, value: object
) -> None:
    moves = [stock("cs1", "Common", 8e6, 0.01), stock("a1", "Series A", 2e6, 5.0)]
    common = stock_class("Common", "1", class_type="COMMON", price_per_share=None)
    series = [common, stock_class("Series A", "2", **{term: value})]
    with pytest.raises(ExitError, match=f"the field {term} is not known"):
        read_ocf(package(tmp_path, moves, series))
    (tmp_path / "m").mkdir()
    paper = [*moves, safe("s1", 1e6, 1e7, **{term: value})]
    series[1].pop(term)
    with pytest.raises(ExitError, match=f"the field {term} is not known"):
        read_ocf(package(tmp_path / "m", paper, series))


def test_the_issuer_is_no_holder_of_its_own_shares(tmp_path: Path) -> None:
    people = [*PEOPLE, person("ACME AI Inc"), person("Ada Capital")]
    for holder, company in (("ACME AI Inc", "Other"), ("Ada Capital", "Ada Capital, LLC")):
        moves = [*MOVES, stock("back", "Common", 500_000, 0.0, holder=holder)]
        folder = package(tmp_path, moves, people=people)
        terms = {"name": company, "cap_table": {"ocf": str(folder)}}
        with pytest.raises(ExitError, match=f"'{holder}' is the company itself"):
            Profile.from_dict(make_profile_dict(**terms))


def test_what_is_past_or_still_to_come_is_told(tmp_path: Path) -> None:
    plain = stock("f1", "Common", 8e6, 0.0001)
    late = stock("a1", "Series A", 1e6, 2.0, holder="fund", date="2027-05-01")
    old = option("o1", 1e5, 0.5) | {"expiration_date": "2025-01-01"}
    gone = tx(
        "EQUITY_COMPENSATION_CANCELLATION", "o1", date="2025-01-02", quantity="100000",
        reason_text="expired",
    )  # fmt: skip
    for moves, key in ([plain, late], "ocf_later"), ([plain, old], "ocf_expired"):
        assert key in read_ocf(package(tmp_path, moves)).told
    for moves in ([plain, old, gone], [plain, old | {"expiration_date": "2030-01-01"}]):
        told = read_ocf(package(tmp_path, moves)).told
        assert not {"ocf_later", "ocf_expired"} & set(told)
