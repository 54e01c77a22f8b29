"""Cap tables as companies export them: a row for each paper, with sums and percentages to check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastnn.exit_strategy import CapTable
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.faults import in_chinese
from fastnn.exit_strategy.money.sheet_words import kind_of
from fastnn.exit_strategy.money.waterfall import Schedule
from fastnn.exit_strategy.profile.profile import Profile

COMPANY = {
    "name": "x", "as_of": "2026-11-01", "country": "US", "sector": "software", "currency": "USD",
    "revenue_ttm": "12m", "growth_yoy": 0.5, "audited_years": 2, "cash": "5m",
    "monthly_burn": "100k", "need_24m": "3m", "decimal": ".",
    "valuation": {"low": "20m", "mid": "40m", "high": "60m"},
}  # fmt: skip
EXPORT = """Acme Inc. capitalization as of 2026-11-01
,
Shareholder,Share class,No. of shares,Price per share (USD),Invested (USD m),Ownership %,Role,Email
Ada Li,Common,"4,000,000",0.0001,,40.0%,Founder,ada@acme.example
Ben Wu,Common,3000000,0.0001,,30.0%,Founder,
Carl,Common,500000,0.0001,,5.0%,,
VC One,Series A,"2,000,000",4,8,20.0%,,
Ada Li,Series A,100000,4,0.4,1.0%,,
Team,Options granted,300000,0.5,,3.0%,,
,Unissued pool,100000,,,1.0%,,
Total,,10000000,,8.4,100.0%,,
"""


def read(tmp_path: Path, text: str | bytes, *, name: str = "cap.csv", **terms: Any) -> CapTable:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    own = {key: terms.pop(key) for key in list(terms) if key in COMPANY}
    if "name_of" in terms:
        own["name"] = terms.pop("name_of")
    profile = Profile.from_dict({**COMPANY, **own, "cap_table": {"sheet": str(file), **terms}})
    assert isinstance(profile.cap_table, CapTable)
    return profile.cap_table


def refused(tmp_path: Path, text: str | bytes, **terms: Any) -> str:
    with pytest.raises(ExitError) as caught:
        read(tmp_path, text, **terms)
    return str(caught.value)


def test_an_export_is_the_table_that_a_profile_would_state(tmp_path: Path) -> None:
    table = read(tmp_path, EXPORT)
    assert (table.common, table.founders, table.pool) == (7.5e6, 7e6, 1e5)
    (a,) = table.classes
    assert (a.name, a.shares, a.invested) == ("Series A", 2.1e6, 8.4e6)
    (grant,) = table.options
    assert (grant.n, grant.strike) == (3e5, 0.5)
    assert "sheet_terms" in table.told
    paid = Schedule(table.claims()).pay(42e6)
    # all convert: (42m + 0.15m) / 9.9m shares a share
    share = 42.15e6 / 9.9e6
    people = table.by_person(paid)
    assert sum(people["Ada Li"].values()) == pytest.approx(4.1e6 * share, abs=0.01)
    assert paid["Options granted"] == pytest.approx(3e5 * (share - 0.5), abs=0.01)
    parts = table.founder_parts()
    assert parts["Series A"] == pytest.approx(1 / 21)


def test_a_row_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Pasted twice it would double a holder; certificates of their own numbers are two papers."""
    rows = "Holder,Class,Shares,Role\nAda,Common,6000000,Founder\nBen,Common,2000000,\n"
    assert read(tmp_path, rows).common == 8e6
    twice = refused(tmp_path, rows + "Ada,Common,6000000,Founder\n")
    assert "row 4 says the same as row 2" in twice
    assert "add them up" in twice
    numbered = "Certificate,Holder,Class,Shares,Role\nC1,Ada,Common,3000000,Founder\n"
    numbered += "C2,Ada,Common,3000000,Founder\n"
    assert read(tmp_path, numbered, ignore=["Certificate"]).common == 6e6
    wide = "Holder,Common,Series A\nAda,6000000,\nFund,,500\nFund,,500\n"
    assert "row 4 says the same as row 3" in refused(tmp_path, wide, founders=["Ada"])


def test_where_no_row_can_be_read_it_is_said_why(tmp_path: Path) -> None:
    rows = "Holder;Class;Shares;Invested;Role\nAda;Common;600.000;;Founder\n"
    said = refused(tmp_path, rows, decimal=None)
    assert "600000 to some" in said
    assert "no row below" not in said


def test_terms_are_laid_over_the_sheet_by_name(tmp_path: Path) -> None:
    table = read(
        tmp_path, EXPORT, classes=[{"name": "Series A", "multiple": 2, "participation": "full"}],
        safes={"name": "bridge", "amount": "500k", "valuation_cap": "20m"},
    )  # fmt: skip
    assert table.classes[0].participation == "full"
    assert table.classes[0].shares == 2.1e6
    assert table.safes[0].amount == 5e5
    twice = [{"name": "Series A", "shares": 5}]
    assert "stands in the sheet and in the profile" in refused(tmp_path, EXPORT, classes=twice)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("1.0%,,\nTeam", "1.1%,,\nTeam", "row 8: 1.1000% of the shares, and 1.0000%"),
        ("Carl,Common,500000,0.0001,,5.0%,,\n", "", "row 10 says 10,000,000"),
        ("8.4,100", "8.6,100", "row 11 says 8,600,000"),
        (",4,8,", ",4,9,", "row 11 says 8,400,000"),
        ("Role", "Hurdle", "the column 'Hurdle' is not known"),
        ("Email", "Role", "the columns 'Role' and 'Role' say the same"),
        ("Carl,Common", "Carl,Growth shares", "'Growth shares' can be several things"),
        ("Carl,Common", "Carl,", "row 6 has no class"),
        ("Carl,Common", ",Common", "row 6 has no holder"),
        ("Carl,Common,500000", "Carl,Common,-500000", "is outside 0 .. inf"),
        ("Carl,Common,500000", "Carl,Common,(500000)", "is outside 0 .. inf"),
        ("Carl,Common,500000", "Carl,Common,", "row 6 has no shares"),
        ("VC One,Series A", "VC One,series  a", "look alike"),
        ("Options granted,300000,0.5", "Options granted,300000,", "has no strike price"),
        ("Options granted", "Option pool", "'Option pool' can be several things"),
        ("Options granted", "Warrants", "for which shares its warrants are"),
        ("Options granted", "SAFE", "has no shares until it converts"),
        ("Team,Options granted,300000,0.5,,3.0%,,", "Preferred stock,,,,,,,", "words alone"),
    ],
)  # fmt: skip
def test_what_does_not_agree_or_cannot_be_told_is_refused_by_its_row(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in EXPORT
    assert says in refused(tmp_path, EXPORT.replace(old, new))


@pytest.mark.parametrize("name", ["A Ordinary", "Ordinary B", "A shares", "Class D"])
def test_a_lettered_class_is_asked_for_its_rank(tmp_path: Path, name: str) -> None:
    said = refused(tmp_path, EXPORT.replace("Carl,Common", f"Carl,{name}"))
    assert "Class A common where it ranks with the others" in said


def test_a_preference_without_money_or_price_is_refused(tmp_path: Path) -> None:
    text = EXPORT.replace("100000,4,0.4", "100000,,").replace(",8.4,", ",,")
    assert "row 8 says neither the price nor the money" in refused(tmp_path, text)


def test_price_times_shares_is_compared_with_the_money(tmp_path: Path) -> None:
    text = "Holder,Class,Shares,Price,Invested,Role\nAda,Common,8000000,,,founder\n"
    assert read(tmp_path, text + "VC,Series A,2000000,4.00,8m,\n").classes[0].invested == 8e6
    assert "2,000,000 shares at 4 are 8,000,000, not 9,000,000" in refused(
        tmp_path, text + "VC,Series A,2000000,4.00,9m,\n"
    )
    # a price that is rounded for display agrees within its last digit
    assert read(tmp_path, text + "VC,Series A,2345678,1.28,3m,\n").classes[0].invested == 3e6


def test_founders_are_named_never_guessed(tmp_path: Path) -> None:
    text = EXPORT.replace(",Founder,", ",,").replace("Role", "Remarks")
    assert "nobody of the sheet is marked as a founder" in refused(tmp_path, text, ignore="Remarks")
    table = read(tmp_path, text, ignore=["Remarks"], founders=["ada li"])
    assert table.founders == 4e6
    assert "no row is of the founder 'Eve'" in refused(
        tmp_path, text, ignore=["Remarks"], founders=["Eve"]
    )


def test_roles_that_name_no_founder_are_told_unless_there_is_none(tmp_path: Path) -> None:
    text = """Holder,Class,Shares,Price,Role
Ada,Common,6000000,,Geschäftsführerin
VC,Series A,2000000,2,Investor
"""
    assert "no role of the sheet is that of a founder" in refused(tmp_path, text)
    assert read(tmp_path, text, founders="Ada").founders == 6e6
    assert read(tmp_path, text, founders=[]).founders == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Equity shares", "common"), ("Ações ordinárias", "common"), ("CCPS", "preferred"),
        ("Series A CCPS", "preferred"), ("Pre-Series A RCPS", "preferred"),
        ("Seed CCPS", "preferred"), ("Preferenciais", "preferred"), ("ADP A", "preferred"),
        ("Actions de préférence A", "preferred"), ("Pre-seed Note", "note"),
        ("Bridge notes", "note"), ("MFN SAFE", "safe"), ("SAFE - MFN", "safe"),
        ("Vorzugsanteile A", "preferred"), ("Vorzugsaktien der Serie B1", "preferred"),
        ("Vorzugsgeschäftsanteile", "preferred"), ("Vorzugsaktien Optionen", ""),
        ("BSA-AIR", ""), ("J-KISS型新株予約権", ""), ("CCD", ""), ("ASA", ""), ("A Ordinary", ""),
    ],
)  # fmt: skip
def test_names_of_papers_in_other_countries(name: str, kind: str) -> None:
    assert kind_of(name)[0] == kind


@pytest.mark.parametrize(
    ("days", "read_as", "told"),
    [
        (("01/15/2024", "03/04/2024"), "2024-03-04", "sheet_month_first"),
        (("15/01/2024", "03/04/2024"), "2024-04-03", "sheet_day_first"),
        (("15.01.2024", "3.4.2024"), "2024-04-03", "sheet_day_first"),
        (("01/15/2024", "2024-03-04"), "2024-03-04", ""),
        (("01/15/2024", "04/04/2024"), "2024-04-04", ""),
        (("01/02/2024", "03/04/2024"), "", ""),
        (("01/15/2024", "03/04/2024", "15/01/2024"), "", ""),
    ],
)  # fmt: skip
def test_days_are_read_as_the_clear_ones_of_their_column(
    tmp_path: Path, days: tuple[str, ...], read_as: str, told: str
) -> None:
    rows = "".join(f"Angel {k},SAFE,,100000,9000000,{day},\n" for k, day in enumerate(days))
    text = "Holder,Security,Shares,Amount invested,Cap,Issue date,Role\nAda,Common,9000000,,,,founder\n"  # noqa: E501
    if not read_as:
        assert "'03/04/2024' may be 2024-04-03 or 2024-03-04" in refused(tmp_path, text + rows)
        return
    table = read(tmp_path, text + rows)
    assert str(table.safes[1].date) == read_as
    assert [key for key in table.told if key.endswith("_first")] == ([told] if told else [])


def test_a_most_favoured_paper_of_a_sheet_is_one(tmp_path: Path) -> None:
    text = """Holder,Security,Shares,Amount invested,Cap,Issue date,Role
Ada,Common,9000000,,,,founder
YC,SAFE,,125000,1785714,2024-01-15,
YC,SAFE - MFN,,375000,,2024-01-15,
"""
    table = read(tmp_path, text)
    assert [(s.amount, s.mfn, s.post_money) for s in table.safes] == [
        (125e3, False, True), (375e3, True, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "founds"),
    [("Promoter", True), ("Promoter group", None), ("创办人", True),
     ("Founder & CEO", True), ("Co-Founder / CTO", True), ("联合创始人", True), ("Yes", True),
     ("CEO", False), ("Angel", False), ("former founder", None), ("Founders Fund", None),
     ("Founding engineer", None), ("Founding team", None), ("Friend of founder", None),
     ("Founder's brother", None), ("Founding partner", True), ("创始团队", None),
     ("创始投资人", None), ("創業投資", False), ("創業者", True), ("창업자", True),
     ("창업투자회사", False)],
)  # fmt: skip
def test_roles_of_founders_are_told_from_others(
    tmp_path: Path, role: str, founds: bool | None
) -> None:
    text = f"Holder,Class,Shares,Role\nAda,Common,6000000,founder\nBen,Common,2000000,{role}\n"
    if founds is None:
        assert "may be a founder or no longer one" in refused(tmp_path, text)
    else:
        assert read(tmp_path, text).founders == (8e6 if founds else 6e6)


def test_a_term_that_a_paper_cannot_have_is_refused_and_a_dash_is_nothing(tmp_path: Path) -> None:
    text = """Holder,Class,Shares,Price,Amount invested,Cap,Liquidation preference,Strike,Role
Ada,Common,8000000,-,n/a,-,—,,founder
VC,Series A,2000000,4,-,{cap},1.5x,,
Fund,Convertible note,-,,1m,12m,2x,,
Team,RSU,100000,9.99,,,,,
"""
    table = read(tmp_path, text.format(cap="-"))
    assert table.classes[0].multiple == 1.5
    assert (table.notes[0].multiple, table.notes[0].valuation_cap) == (2.0, 12e6)
    assert table.options[0].strike == 0.0  # a unit's price is no strike
    assert "row 3: valuation_cap is no term of 'Series A'" in refused(
        tmp_path, text.format(cap="3")
    )


def test_a_price_is_no_strike_where_strikes_have_a_column(tmp_path: Path) -> None:
    text = """Holder,Class,Shares,Price,Strike,Role
Ada,Common,8000000,,,founder
Eve,Options,100000,,0.25,
Rob,Options,100000,4.00,,
"""
    assert "row 4 has no strike price" in refused(tmp_path, text)


def test_a_chinese_register_counts_in_units_of_ten_thousand(tmp_path: Path) -> None:
    text = """股东名称;轮次;持股数（万股）;投资额（万元）;持股比例;身份
张三;普通股;600;;60.00%;创始人
员工持股平台;普通股;150;;15.00%;
红杉;A轮;150;3000;15.00%;
高瓴;B轮;100;5000;10.00%;
合计;;1000;8000;100.00%;
"""
    for encoding in ("utf-8-sig", "utf-16", "gbk"):
        table = read(
            tmp_path, text.encode(encoding), currency="CNY",
            **({"encoding": "gbk"} if encoding == "gbk" else {}),
        )  # fmt: skip
        assert (table.common, table.founders) == (7.5e6, 6e6)
        assert [(c.name, c.shares, c.invested) for c in table.classes] == [
            ("A轮", 1.5e6, 3e7), ("B轮", 1e6, 5e7),
        ]  # fmt: skip
    # paid-in capital may be the registered capital, which is not what a preference is owed
    assert "'出资额' is not known" in refused(
        tmp_path, text.replace("投资额（万元）", "出资额"), currency="CNY"
    )


def test_a_german_list_of_shareholders_has_decimal_commas(tmp_path: Path) -> None:
    text = """Gesellschafter;Gattung;Anzahl;Preis je Anteil (EUR);Anteil in %;Rolle
Grün GmbH;Stammanteile;25.000;;62,5;Gründer
Fonds I;Serie A;10.000;150,25;25,0;
Fonds II;Serie A;5.000;150,25;12,5;
Summe;;40.000;;100,0;
"""
    table = read(tmp_path, text, currency="EUR", country="DE", decimal=",")
    assert (table.common, table.founders) == (25e3, 25e3)
    assert (table.classes[0].shares, table.classes[0].invested) == (15e3, 2_253_750.0)


def test_percentages_may_be_of_issued_or_of_all_shares_but_of_one_of_them(tmp_path: Path) -> None:
    head = "Holder,Class,Shares,Price,{},Role\n"
    rows = "Ada,Common,6000000,,{},founder\nVC,Series A,2000000,1,{},\nPlan,Options,2000000,1,{},\n"
    issued, diluted = ("75", "25", ""), ("60", "20", "20")
    for name in ("Ownership", "%", "持股比例"):
        for parts in (issued, diluted, ("0.75", "0.25", "0")):
            assert read(tmp_path, head.format(name) + rows.format(*parts)).common == 6e6
        assert "of the shares" in refused(
            tmp_path, head.format(name) + rows.format("75", "20", "20")
        )
    assert read(tmp_path, head.format("Fully diluted (%)") + rows.format(*diluted)).common == 6e6
    assert "of the shares" in refused(
        tmp_path, head.format("Fully diluted (%)") + rows.format(*issued)
    )


def test_paper_that_converts_has_money_and_terms_of_its_own(tmp_path: Path) -> None:
    text = """Holder,Security,Shares,Amount invested,Cap,Discount,Interest rate,Issue date,Role
Ada,Common,9000000,,,,,,founder
Angel,SAFE (post-money),,500k,10m,,,2025-01-15,
Angel,SAFE (pre-money),,250k,8m,20%,,2024-06-01,
Fund,Convertible note,,1m,12m,20%,8%,2025-11-01,
"""
    table = read(tmp_path, text)
    assert [(s.amount, s.valuation_cap, s.post_money) for s in table.safes] == [
        (5e5, 1e7, True), (2.5e5, 8e6, False),
    ]  # fmt: skip
    assert len({s.name for s in table.safes}) == 2
    (note,) = table.notes
    assert (note.principal, note.interest, note.valuation_cap, note.discount) == (
        1e6,
        0.08,
        12e6,
        0.2,
    )
    paid = Schedule(table.claims()).pay(1.5e6)
    assert paid["Fund note"] == pytest.approx(1.08e6)  # 365 days at 8 %


def test_money_of_another_currency_is_converted_and_counts_are_not_money(tmp_path: Path) -> None:
    text = "Holder,Class,Shares,Invested,Currency,Role\nAda,Common,8000000,,,founder\nVC,Series A,2000000,1m,HKD,\n"  # noqa: E501
    fx = {"HKD": 8, "date": "2026-10-30"}
    file = tmp_path / "cap.csv"
    file.write_text(text)
    profile = Profile.from_dict({**COMPANY, "fx": fx, "cap_table": {"sheet": str(file)}})
    assert profile.cap_table is not None
    assert profile.cap_table.classes[0].invested == 125_000


def test_a_sum_may_be_of_a_class_and_an_investor_may_be_called_total(tmp_path: Path) -> None:
    text = """Holder,Class,Shares,Price,Role
Ada,Common,8000000,,founder
Total Common,,8000000,,
Total Energies Ventures,Series A,1000000,2,
Fund,Series A,1000000,2,
Total Series A,,{},,
Total,,10000000,,
"""
    assert read(tmp_path, text.format(2000000)).classes[0].shares == 2e6
    assert "row 6 says 1,000,000" in refused(tmp_path, text.format(1000000))


def test_two_strikes_of_a_plan_are_two_grants(tmp_path: Path) -> None:
    text = """Holder,Class,Shares,Exercise price,Role
Ada,Common,8000000,,founder
Eve,Options,100000,0.25,
Eve,Options,50000,1.50,
Rob,Options,10000,0.25,
Bank,Common warrants,20000,2,
"""
    table = read(tmp_path, text)
    assert {o.name: (o.n, o.strike) for o in table.options} == {
        "Options at 0.25": (110e3, 0.25), "Options at 1.5": (50e3, 1.5),
        "Common warrants": (20e3, 2.0),
    }  # fmt: skip


def test_a_table_beside_its_profile_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "cap.csv").write_text(EXPORT)
    lines = [f"{k} = {v!r}" for k, v in COMPANY.items() if not isinstance(v, dict)]
    text = "\n".join(lines) + '\n[valuation]\nlow = "20m"\nmid = "40m"\nhigh = "60m"\n'
    file = tmp_path / "acme.toml"
    file.write_text(text + '[cap_table]\nsheet = "cap.csv"\n')
    profile = Profile.from_file(file)
    assert profile.cap_table is not None
    made = evaluate(profile, draws=200)
    assert "equal in rank" in made.to_terminal()


class TestWorkbooks:
    @pytest.fixture
    def book(self) -> Any:
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        sheet = book.active
        sheet.title = "Ledger"
        sheet.append(["Acme Inc."])
        sheet.append(["Holder", "Class", "Shares", "Price", "% issued", "Role"])
        sheet.append(["Ada", "Common", 6_000_000, None, 0.6, "Founder"])
        sheet.append(["VC", "Series A", 4_000_000, 2.5, 0.4, None])
        sheet.append(["Total", None, 10_000_000, None, 1, None])
        return book

    def table(self, book: Any, tmp_path: Path, **terms: Any) -> CapTable:
        book.save(tmp_path / "cap.xlsx")
        return read(tmp_path, (tmp_path / "cap.xlsx").read_bytes(), name="cap.xlsx", **terms)

    def test_a_workbook_is_read_with_its_formats(self, book: Any, tmp_path: Path) -> None:
        book.active["D4"].number_format = '"EUR" 0.00'
        fx = {"EUR": 0.8, "date": "2026-10-30"}
        book.save(tmp_path / "cap.xlsx")
        raw = {**COMPANY, "fx": fx, "cap_table": {"sheet": str(tmp_path / "cap.xlsx")}}
        table = Profile.from_dict(raw).cap_table
        assert table is not None
        assert table.classes[0].invested == pytest.approx(12.5e6)

    def test_what_a_reader_does_not_see_as_it_stands_is_refused(
        self, book: Any, tmp_path: Path
    ) -> None:
        book.active["C4"] = "=C3*2"
        with pytest.raises(ExitError, match="was never computed"):
            self.table(book, tmp_path)
        book.active["C4"] = 4_000_000
        book.active.row_dimensions[4].hidden = True
        with pytest.raises(ExitError, match="is hidden"):
            self.table(book, tmp_path)
        book.active.row_dimensions[4].hidden = False
        book.active.merge_cells("A3:A4")
        with pytest.raises(ExitError, match="are merged"):
            self.table(book, tmp_path)

    def test_of_two_sheets_the_one_meant_is_named(self, book: Any, tmp_path: Path) -> None:
        book.copy_worksheet(book.active).title = "2027"
        book.create_sheet("Notes")["A1"] = "nothing"
        with pytest.raises(ExitError, match="several sheets"):
            self.table(book, tmp_path)
        assert self.table(book, tmp_path, tab="2027").common == 6e6
        with pytest.raises(ExitError, match="has no sheet 'x'"):
            self.table(book, tmp_path, tab="x")


@pytest.mark.parametrize(
    ("company", "holder"),
    [
        ("Acme", "Acme Inc."), ("Acme Inc.", "ACME"), ("Acme GmbH", "Acme GmbH"),
        ("Acme Robotics Pvt. Ltd.", "Acme Robotics Private Limited"), ("Acme", "The Company"),
        ("Acme SAS", "Acme S.A.S."), ("未来科技", "未来科技有限公司"), ("アクメ", "株式会社アクメ"),
        ("Acme", "本公司"),
    ],
)  # fmt: skip
def test_the_company_is_no_holder_of_its_own_shares(
    tmp_path: Path, company: str, holder: str
) -> None:
    for kind in ("Common", "Series A", "Options granted"):
        text = EXPORT.replace("Carl,Common,500000,0.0001", f"{holder},{kind},500000,0.5")
        said = refused(tmp_path, text, name_of=company)
        assert "row 6" in said
        assert "is the company itself" in said
        assert all(in_chinese(line.split("hint: ")[1]) for line in said.splitlines()[1:2])
    pool = EXPORT.replace(",Unissued pool", f"{holder},Unissued pool")
    assert read(tmp_path, pool, name_of=company).pool == 1e5
    for name in ("Acme Ventures Inc.", f"{holder} (person)"):
        other = EXPORT.replace("Carl,", f"{name},")
        assert read(tmp_path, other, name_of=company).common == 7.5e6


def test_the_company_is_no_holder_in_a_profile() -> None:
    table = {
        "common": 9e6,
        "founders": 8e6,
        "holders": [{"person": "x Inc.", "paper": "common", "part": 0.5}],
    }
    with pytest.raises(ExitError, match=r"holders\[0\].person: 'x Inc.' is the company itself"):
        Profile.from_dict({**COMPANY, "cap_table": table})


@pytest.mark.parametrize(
    "name",
    [
        "Cancelled Series A Preferred", "Series A Preferred (converted)", "Unissued preferred",
        "Options on Series A Preferred", "Authorized preferred", "Preferred treasury",
        "Convertible preferred note", "Common and preferred", "Series A Preferred dividend",
        "Ordinary (no preference)", "优先股期权", "优先股（已注销）",
        "可转换为优先股的借款", "非优先股",
        "Series A liquidation preference", "Series A Preferred price",
    ],
)  # fmt: skip
def test_a_name_with_preferred_in_it_may_be_of_something_else(name: str) -> None:
    assert kind_of(name) == ("", "")


@pytest.mark.parametrize(
    "name",
    [
        "Redeemable convertible preferred", "Compulsorily convertible preference shares",
        "Series B-2 Preferred Stock", "Non-voting preferred", "无表决权优先股", "A系列优先股",
        "Series A Non-Participating Preferred",
    ],
)  # fmt: skip
def test_a_preferred_class_may_have_more_words(name: str) -> None:
    assert kind_of(name)[0] == "preferred"


def test_warrants_for_a_class_may_be_named_so(tmp_path: Path) -> None:
    text = EXPORT.replace("Carl,Common,500000,0.0001", "Bank,Warrants for Series A,500000,4")
    (bank,) = [o for o in read(tmp_path, text).options if o.share_class]
    assert (bank.n, bank.strike, bank.share_class) == (5e5, 4.0, "Series A")


@pytest.mark.parametrize(
    "holder", ["Carl (cancelled)", "Carl [repurchased]", "Carl - transferred", "卡尔（已退出）"]
)
def test_what_a_name_says_is_gone_is_not_counted(tmp_path: Path, holder: str) -> None:
    said = refused(tmp_path, EXPORT.replace("Carl,", f"{holder},"))
    assert "may be no longer there" in said
    assert read(tmp_path, EXPORT.replace("Carl,", "Carl (former employee),")).common == 7.5e6


def test_a_class_named_by_its_term_needs_the_term(tmp_path: Path) -> None:
    for word, term, value in (
        ("Participating", "participation", "full"),
        ("Cumulative", "dividend_rate", 0.08),
    ):
        name = f"Series A {word} Preferred"
        text = EXPORT.replace("Series A", name)
        assert f"says something of its {term}" in refused(tmp_path, text)
        assert read(tmp_path, text.replace(word, f"Non-{word}")).classes[0].participation == "none"
        row = {"name": name, term: value}
        if term == "dividend_rate":
            row["dividend_from"] = "2024-01-01"
        (a,) = read(tmp_path, text, classes=[row]).classes
        assert getattr(a, term) == value


@pytest.mark.parametrize(
    "remark",
    [
        "Cap table (in thousands)", "All share numbers in '000s", "Currency: EUR",
        "Angaben in TEUR", "Amounts in EUR", "$ in millions", "montants en k€", "₹ in Cr",
        "单位：万股、万元", "单位：万元", "金额（万元）", "単位：百万円", "以万元计",
        "valeurs en euros",
    ],
)  # fmt: skip
def test_a_remark_that_changes_every_number_is_refused(tmp_path: Path, remark: str) -> None:
    plain = EXPORT.replace("(USD m)", "").replace(",8,20", ",8000000,20").replace("(USD)", "")
    plain = plain.replace(",0.4,1", ",400000,1").replace(",8.4,", ",8400000,")
    assert read(tmp_path, plain).classes[0].invested == 8.4e6
    for text in (f"{remark}\n{plain}", f"{plain}\n{remark}\n"):
        assert "of the numbers" in refused(tmp_path, text)


def test_a_remark_that_changes_nothing_is_read_over(tmp_path: Path) -> None:
    for remark in (
        "Acme Inc., 1 000 000 shares of $0.001", "Currency: USD", "编制单位：北京未来科技有限公司",
        "单位：股", "raised $5m in 2021", "$ in millions",
    ):  # fmt: skip
        assert read(tmp_path, f"{remark}\n{EXPORT}").classes[0].invested == 8.4e6
    named = EXPORT.replace("Shareholder,", "Shareholder ('000),")
    assert "has a unit and no numbers" in refused(tmp_path, named)


def test_a_class_of_a_profile_named_by_its_term_needs_it_too() -> None:
    for word, term, value in (
        ("Participating", "participation", "none"), ("Cumulative", "dividend_rate", 0.0),
    ):  # fmt: skip
        row: dict[str, Any] = {"name": f"A {word} Preferred", "shares": 1e6, "invested": 5e6}
        table: dict[str, Any] = {"common": 9e6, "founders": 8e6, "classes": [row]}
        with pytest.raises(ExitError, match=rf"classes\[0\].{term}: the name of 'A {word}"):
            Profile.from_dict({**COMPANY, "cap_table": table})
        row[term] = value
        Profile.from_dict({**COMPANY, "cap_table": table})


_LONG = "Holder,Class,Shares,Price\nAda,Common,6000000,\nFund,Series A Preferred,2000000,2.5\n"
_WIDE = "Holder,Common,Series A Preferred\nAda,6000000,\nFund,,2000000\nPrice per share,,2.5\n"


@pytest.mark.parametrize("body", [_LONG, _WIDE])
@pytest.mark.parametrize(
    "title",
    [
        "Pro forma,,,",
        "Acme Inc. Pro-Forma Cap Table",
        "Projected,after Series B",
        "2026年预计股权结构",
    ],
)
def test_a_table_whose_title_says_that_it_is_planned_is_refused(
    tmp_path: Path, title: str, body: str
) -> None:
    told = refused(tmp_path, f"{title}\n\n{body}", founders=["Ada"])
    assert "of the table" in told
    assert "delete the remark" in told
    named = read(tmp_path, f"{title}\n{body}", founders=["Ada"], name_of=title.split(",")[0])
    assert named.common == 6e6  # the company is called so


@pytest.mark.parametrize("body", [_LONG, _WIDE])
@pytest.mark.parametrize(
    ("title", "other"),
    [
        ("As of,2025-12-31", True),
        ("Acme cap table as of December 31 2025", True),
        ("Stand: 30.10.2026", True),
        ("截至日期,2025年12月31日", True),
        ("As of 03/04/2026", True),
        ("As of 01/11/2026", False),
        ("As of Nov 1 2026", False),
        ("截至2026年11月1日止", False),
        ("Acme cap table", False),
    ],
)
def test_a_table_of_another_day_than_the_figures_says_so(
    tmp_path: Path, title: str, other: bool, body: str
) -> None:
    table = read(tmp_path, f"{title}\n{body}", founders=["Ada"])
    assert ("sheet_as_of" in table.told) is other


def test_letters_behind_a_class_are_those_of_its_kind() -> None:
    for name, kind in (("Common (CS)", "common"), ("普通股（CS）", "common"),
                       ("Series A Preferred (PA)", "preferred"), ("Series A (PA)", "preferred"),
                       ("Series Seed (PS1)", "preferred"), ("Common (RSU)", ""),
                       ("Common (CW)", ""), ("Common (PA)", ""),
                       ("Series A (SO)", "")):  # fmt: skip
        assert kind_of(name)[0] == kind, name


def test_an_export_with_letters_behind_its_classes_is_read(tmp_path: Path) -> None:
    text = _LONG.replace("Common", "Common (CS)").replace("Preferred", "Preferred (PA)")
    table = read(tmp_path, text, founders=["Ada"])
    assert (table.common, table.classes[0].invested) == (6e6, 5e6)
    told = refused(tmp_path, _WIDE.replace("Common", "Common (RSU)"), founders=["Ada"])
    assert "RSU" in told


@pytest.mark.parametrize(
    "name", ["Series A Preferred (2x)", "Series A Preferred 1.5x", "A轮优先股（2倍）"]
)
def test_a_multiple_in_the_name_of_a_class_needs_its_term(tmp_path: Path, name: str) -> None:
    text = _LONG.replace("Series A Preferred", name)
    assert "multiple" in refused(tmp_path, text, founders=["Ada"])
    table = read(tmp_path, text, founders=["Ada"], classes=[{"name": name, "multiple": 2}])
    assert table.classes[0].multiple == 2
    once = _LONG.replace("Series A Preferred", "Series A Preferred 1x")
    assert read(tmp_path, once, founders=["Ada"]).classes[0].multiple == 1
