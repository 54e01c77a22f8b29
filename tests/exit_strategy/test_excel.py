"""Promises of the workbook: formulas that give the waterfall's cents, texts that stay texts."""

from __future__ import annotations

import builtins
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy import cli
from fastnn.exit_strategy.catalogue import holder_name, text
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.money.outcomes import run_waterfall
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.report.excel import write_workbook

pytest.importorskip("xlsxwriter")
openpyxl = pytest.importorskip("openpyxl")

TERMS = {"fee_rate": 0.02, "fee_fixed": 1e5, "carve_out": 0.05, "escrow_rate": 0.1,
         "earn_out_rate": 0.05}  # fmt: skip
LIVE: dict[str, Any] = {
    "common": 6e6, "founders": 5e6, "options": [{"name": "team", "n": 1e6, "strike": 0.5}],
    "classes": [
        {"name": "Seed", "shares": 1e6, "invested": 1e6, "seniority": 3},
        {"name": "A", "shares": 2e6, "invested": 8e6, "seniority": 2, "participation": "full"},
        {"name": "B", "shares": 2e6, "invested": 20e6, "participation": "capped", "cap": 2.0,
         "multiple": 1.2, "conversion_ratio": 1.1},
    ],
    "safes": [{"name": "angel", "amount": 5e5, "valuation_cap": 10e6, "post_money": False}],
    "holders": [{"person": "Ada", "paper": "founders", "part": 0.5},
                {"person": "Ada", "paper": "A", "part": 0.25}],
}  # fmt: skip
STAGED = {
    "common": 8e6, "founders": 8e6,
    "classes": [{"name": "A", "shares": 2e6, "invested": 20e6}],
    "safes": [{"name": "S", "amount": 2e6, "valuation_cap": 40e6}],
}  # fmt: skip

CHANGED = {"fee_rate": 0.035, "fee_fixed": 2.5e5, "carve_out": 0.08, "escrow_rate": 0.12,
           "earn_out_rate": 0.2}  # fmt: skip
PRICES = (1.0, 3_000_000.01, 9_876_543.21, 23_456_789.01, 61e6, 150e6, 1.2e9)
BASE = {"common": 6e6, "founders": 5e6}
CLASSES = [
    {"name": "A", "shares": 2e6, "invested": 8e6, "seniority": 2},
    {"name": "B", "shares": 2e6, "invested": 20e6, "seniority": 1},
]
#: A table for every term that the papers of a company may have.
TABLES: dict[str, dict[str, Any]] = {
    "live": LIVE,
    "safes after the money": STAGED,
    "safes before the money": BASE | {"classes": CLASSES, "safes": [
        {"name": "S1", "amount": 1e6, "valuation_cap": 9e6, "post_money": False},
        {"name": "S2", "amount": 5e5, "valuation_cap": 12e6, "post_money": False},
        {"name": "S3", "amount": 3e5, "mfn": True, "post_money": False, "date": "2024-01-05"},
    ]},
    "notes": BASE | {"classes": CLASSES, "notes": [
        {"name": "N1", "principal": 1e6, "interest": 0.08, "date": "2025-02-03", "multiple": 1.5},
        {"name": "N2", "principal": 2e6, "interest": 0.06, "years": 1.5, "valuation_cap": 15e6},
        {"name": "N3", "principal": 5e5, "accruals": [{"rate": 0.1, "start": "2025-01-01"}]},
    ]},
    "participation up to caps": BASE | {"classes": [
        CLASSES[0] | {"participation": "capped", "cap": 3.0},
        CLASSES[1] | {"participation": "capped", "cap": 1.5, "seniority": 2},
        {"name": "C", "shares": 1e6, "invested": 5e6, "participation": "full", "multiple": 2.0},
    ]},
    "vesting": BASE | {"classes": CLASSES, "options": [
        {"name": "lapsing", "n": 4e5, "strike": 0.4, "unvested": "lapse",
         "vesting": {"start": "2025-01-01", "trigger": "single", "accelerated": 0.5}},
        {"name": "assumed", "n": 3e5, "strike": 1.1, "vesting": {"start": "2026-06-01"}},
        {"name": "double", "n": 2e5, "vesting": {"start": "2024-03-01", "trigger": "double"}},
    ]},
    "warrants": BASE | {"classes": CLASSES, "options": [
        {"name": "bank", "n": 5e4, "strike": 4.0, "share_class": "A"},
        {"name": "lender", "n": 1e5, "strike": 2.5},
        {"name": "dear", "n": 1e5, "strike": 30.0},
    ]},
    "dividends and redemption": BASE | {"pool": 5e5, "classes": [
        CLASSES[0] | {"dividend_rate": 0.08, "dividend_from": "2022-05-01"},
        CLASSES[1] | {"dividend_rate": 0.06, "dividend_from": "2024-01-01",
                      "dividend_compounding": "annual", "participation": "full"},
        {"name": "C", "shares": 1e6, "invested": 5e6, "redemption_date": "2026-01-01",
         "redemption_multiple": 1.5, "accrued_dividend": 2e5},
    ]},
    "several discounts": BASE | {"classes": CLASSES, "safes": [
        {"name": "D20", "amount": 1e6, "discount": 0.2},
        {"name": "D15", "amount": 2e6, "discount": 0.15},
        {"name": "capped", "amount": 1e6, "valuation_cap": 20e6, "discount": 0.1,
         "discount_in_sale": True},
    ]},
    "conversion prices and choices": BASE | {"classes": [
        CLASSES[0] | {"conversion_price": 2.5},
        CLASSES[1] | {"conversion_ratio": 1.3, "accrued_dividend": 4e6},
    ], "safes": [
        {"name": "P1", "amount": 1e6, "valuation_cap": 8e6},
        {"name": "P2", "amount": 2e6, "valuation_cap": 30e6},
    ], "notes": [{"name": "N", "principal": 1e6, "valuation_cap": 10e6, "post_money": True}],
        "options": [{"name": "team", "n": 1e6, "strike": 0.5}]},
}  # fmt: skip


def company(table: dict[str, Any], **more: Any) -> Profile:
    rows = {"cap_table": table, "cash": 5e6, "debt": 2e6, "assumptions": TERMS, **more}
    return Profile.from_dict(make_profile_dict(**rows), today=TODAY)


def office() -> str:
    for name in ("soffice", "libreoffice", "localc"):
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("LibreOffice (soffice) is not installed: formulas cannot be recomputed here")


def recomputed(paths: list[Path], folder: Path) -> list[Any]:
    """The workbooks as LibreOffice computes them: openpyxl drops all stored values first."""
    out = folder / "out"
    for path in paths:
        openpyxl.load_workbook(path).save(path)
    subprocess.run(
        [office(), f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to",
         "xlsx", "--outdir", str(out), *map(str, paths)],
        check=True, capture_output=True, timeout=240,
    )  # fmt: skip
    return [openpyxl.load_workbook(out / path.name, data_only=True) for path in paths]


def rows_of(sheet: Any) -> list[list[Any]]:
    return [[cell.value for cell in row] for row in sheet.iter_rows(min_row=6)]


@pytest.fixture(scope="module")
def changed_books(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every table's workbook after its prices and terms were changed by hand, computed anew."""
    office()
    folder = tmp_path_factory.mktemp("books")
    paths = []
    for k, (name, table) in enumerate(TABLES.items()):
        lang = ("en", "zh")[k % 2]
        path = write_workbook(company(table), folder / f"{name}.xlsx", lang)
        book = openpyxl.load_workbook(path)
        inputs = book.worksheets[0]
        inputs["B4"] = 37_500_000
        for row, term in enumerate(TERMS, 7):
            inputs.cell(row, 2).value = CHANGED[term]
        sheet = book["Prices" if lang == "en" else text("excel.prices", lang)]
        rows = [row for row in range(7, sheet.max_row + 1) if sheet.cell(row, 1).value is not None]
        for row, price in zip(rows, PRICES, strict=False):
            sheet.cell(row, 1).value = price
        book.save(path)
        paths.append(path)
    return dict(zip(TABLES, recomputed(paths, folder), strict=True))


@pytest.mark.parametrize("name", TABLES)
def test_formulas_recomputed_by_another_program_give_the_same_cents(
    name: str, changed_books: dict[str, Any]
) -> None:
    book = changed_books[name]
    lang = "en" if "Prices" in book.sheetnames else "zh"
    got = rows_of(book[text("excel.prices", lang)])
    changed = company(TABLES[name], assumptions=CHANGED)
    prices = [float(row[0]) for row in got]
    wanted = run_waterfall(changed, prices)
    assert prices[0] == 37_500_000
    assert prices[1] == PRICES[0]
    for row, net, paid in zip(got, wanted.net_prices, wanted.payouts, strict=True):
        assert row[1] == pytest.approx(net, abs=0.005)
        assert row[4 : 4 + len(paid)] == pytest.approx(list(paid), abs=0.005)
        assert row[4 + len(paid)] == pytest.approx(0.0, abs=0.005)
    assert book.worksheets[0]["B22"].value == pytest.approx(wanted.net_prices[0], abs=0.005)
    for k, holder in enumerate(wanted.holders):
        sheet = next(s for s in book.worksheets if s["A1"].value == holder_name(holder, lang))
        column = [sheet.cell(4 + i, 3).value for i in range(len(prices))]
        assert column == pytest.approx([paid[k] for paid in wanted.payouts], abs=0.005)


def test_no_cell_of_a_recomputed_workbook_is_an_error(changed_books: dict[str, Any]) -> None:
    for name, book in changed_books.items():
        for sheet in book:
            for row in sheet.iter_rows():
                for cell in row:
                    assert cell.data_type != "e", (name, sheet.title, cell.coordinate, cell.value)


def test_changed_papers_are_recomputed_as_well(tmp_path: Path) -> None:
    office()
    path = write_workbook(company(LIVE), tmp_path / "w.xlsx")
    book = openpyxl.load_workbook(path)
    papers = book["Papers"]
    names = [cell.value for cell in papers[1]]
    col = names.index("B") + 1
    papers.cell(7, col).value = "none"  # B no longer participates
    papers.cell(5, col).value = 1.0
    papers.cell(9, col).value = 2  # and ranks with A
    book.save(path)
    (made,) = recomputed([path], tmp_path)
    got = rows_of(made["Prices"])
    other = {**LIVE, "classes": [dict(row) for row in LIVE["classes"]]}
    del other["classes"][2]["cap"]
    other["classes"][2].update(participation="none", multiple=1.0, seniority=2)
    wanted = run_waterfall(company(other), [float(row[0]) for row in got])
    for row, paid in zip(got, wanted.payouts, strict=True):
        assert row[4 : 4 + len(paid)] == pytest.approx(list(paid), abs=0.005)


@pytest.mark.parametrize("table", [LIVE, STAGED], ids=["live", "looked-up"])
def test_stored_values_are_right_before_anything_is_recomputed(
    table: dict[str, Any], tmp_path: Path
) -> None:
    made = company(table)
    path = write_workbook(made, tmp_path / "w.xlsx")
    got = rows_of(openpyxl.load_workbook(path, data_only=True)["Prices"])
    formulas = rows_of(openpyxl.load_workbook(path)["Prices"])
    wanted = run_waterfall(made, [float(row[0]) for row in got])
    for row, shown, paid in zip(got, formulas, wanted.payouts, strict=True):
        assert row[4 : 4 + len(paid)] == pytest.approx(list(paid), abs=0.005)
        assert all(str(cell).startswith("=") for cell in shown[1:])


def test_every_holder_and_person_has_a_sheet(tmp_path: Path) -> None:
    made = company(LIVE)
    path = write_workbook(made, tmp_path / "w.xlsx")
    book = openpyxl.load_workbook(path, data_only=True)
    assert {"Ada", "founders", "common", "team", "Seed", "A", "B", "angel"} <= set(book.sheetnames)
    assert {"Price", "Cash", "Debt", "FeeRate", "Net"} <= set(book.defined_names)
    (price, net, paid, share), *_ = list(book["Ada"].iter_rows(min_row=4, values_only=True))
    rows = run_waterfall(made, [price])
    one = dict(zip(rows.holders, rows.payouts[0], strict=True))
    assert paid == pytest.approx(0.5 * one["founders"] + 0.25 * one["A"])
    assert share == pytest.approx(paid / net)


EVIL = [
    "=cmd|'/c calc'!A1",
    "+1+1",
    "@SUM(1)",
    "-2",
    "{=1}",
    "https://evil.example",
    "a'[b]:*?/\\c",
]


def test_names_are_never_formulas_links_or_broken_sheets(tmp_path: Path) -> None:
    table = {
        "common": 1e6,
        "classes": [
            {"name": name, "shares": 1e5, "invested": 1e6}
            for name in [*EVIL, "x" * 60, "x" * 50 + "y"]
        ],
    }
    made = company(table, name="=HYPERLINK(1)")
    path = write_workbook(made, tmp_path / "w.xlsx")
    book = openpyxl.load_workbook(path)
    for sheet in book:
        assert len(sheet.title) <= 31
        for row in sheet.iter_rows():
            for cell in row:
                if cell.value in EVIL:
                    assert cell.data_type == "s", cell.coordinate
                assert cell.hyperlink is None
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            words = archive.read(name).decode("utf-8", "replace")
            assert "<f>cmd" not in words
            assert "HYPERLINK(1)</f>" not in words


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_result_writes_its_workbook_in_both_languages(lang: str, tmp_path: Path) -> None:
    result = evaluate(company(LIVE), draws=100)
    path = result.to_excel(tmp_path / "r.xlsx", lang=lang)
    names = openpyxl.load_workbook(path).sheetnames
    assert names[0] == ("Inputs" if lang == "en" else "输入")


def test_without_a_cap_table_founders_and_others_share(tmp_path: Path) -> None:
    rows = make_profile_dict(founder_share=0.6)
    rows.pop("cap_table", None)
    made = Profile.from_dict(rows, today=TODAY)
    got = rows_of(
        openpyxl.load_workbook(write_workbook(made, tmp_path / "w.xlsx"), data_only=True)["Prices"]
    )
    assert got[0][4] == pytest.approx(0.6 * got[0][1])


def test_workbooks_that_cannot_be_written_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = company(LIVE)
    for bad in (tmp_path / "no" / "w.xlsx", tmp_path / "w.csv"):
        with pytest.raises(ExitError) as caught:
            write_workbook(made, bad)
        assert caught.value.code == "EX802"
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name == "xlsxwriter":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ExitError) as missing:
        write_workbook(made, tmp_path / "w.xlsx")
    assert missing.value.code == "EX804"
    assert "excel" in missing.value.issues[0].hint


def test_the_command_writes_a_workbook(tmp_path: Path) -> None:
    import json

    path = tmp_path / "acme.json"
    path.write_text(json.dumps(make_profile_dict(cap_table=LIVE), default=str), encoding="utf-8")
    out = tmp_path / "acme.xlsx"
    asked = ["score", str(path), "--excel", str(out), "--quiet", "--draws", "200"]
    assert cli.main(asked) in (0, 3)
    assert out.exists()


def test_the_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert write_workbook(company(STAGED), "~/w.xlsx") == tmp_path / "w.xlsx"
