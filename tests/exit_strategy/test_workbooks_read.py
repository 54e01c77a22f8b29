"""Promises of workbooks as inputs: read as they look, or refused by cell and told."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy import cli
from fastnn.exit_strategy.batch import evaluate_many
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.faults import in_chinese
from fastnn.exit_strategy.profile.profile import Profile

openpyxl = pytest.importorskip("openpyxl")
Font = pytest.importorskip("openpyxl.styles").Font


def cell_of(value: Any) -> Any:
    return ";".join(map(str, value)) if isinstance(value, list) else value


def workbook(*companies: dict[str, Any]) -> tuple[Any, Any, dict[str, str]]:
    """A workbook, its sheet and the letter of every field's column."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(list(companies[0]))
    for company in companies:
        sheet.append([cell_of(value) for value in company.values()])
    letters = {name: sheet.cell(1, k).column_letter for k, name in enumerate(companies[0], 1)}
    return book, sheet, letters


def one(**changes: Any) -> tuple[Any, Any, dict[str, str]]:
    return workbook(make_profile_dict(**changes))


def read(book: Any, folder: Path) -> Profile:
    book.save(folder / "in.xlsx")
    return Profile.from_file(folder / "in.xlsx", today=TODAY)


def test_a_workbook_is_the_same_company_as_its_mapping(tmp_path: Path) -> None:
    book, sheet, at = one()
    sheet[at["as_of"] + "2"] = dt.date(2026, 11, 20)
    made = read(book, tmp_path)
    assert made == Profile.from_dict(make_profile_dict(), today=TODAY)


def test_a_portfolio_in_a_workbook_is_scored_as_its_rows(tmp_path: Path) -> None:
    rows = [make_profile_dict(name=f"company {k}", cash=(10 + k) * 1e6) for k in range(3)]
    book, sheet, at = workbook(*rows)
    sheet[at["cash"] + "3"] = "1,500"
    book.save(tmp_path / "in.xlsx")
    made = evaluate_many(tmp_path / "in.xlsx", draws=100)
    plain = evaluate_many(rows, draws=100)
    assert list(made["name"]) == ["company 0", "company 1", "company 2"]
    assert ["EX122" in errors for errors in made["errors"]] == [False, True, False]
    assert made["founder_npv_ma"][2] == plain["founder_npv_ma"][2]
    out = tmp_path / "out.csv"
    asked = ["batch", str(tmp_path / "in.xlsx"), "-o", str(out), "--draws", "100"]
    assert cli.main(asked) == 0
    assert len(out.read_text(encoding="utf-8").splitlines()) == 4


@pytest.mark.parametrize(
    ("value", "shape", "cash"),
    [
        (60e6, "#,##0", 60e6), (60e6, "0.00E+00", 60e6), (60e6, '0.0,,"m"', 60e6),
        (60e6, '#,##0.00\\ "USD"', 60e6), (60e6, '[$$-409]#,##0', 60e6),
        (60e6, '_("$"* #,##0.00_)', 60e6), (60e6, "_-* #,##0.00_-", 60e6),
        ("60m", "General", 60e6), ("USD 60,000,000.00", "@", 60e6), ("(2,000,000)", "@", -2e6),
        ("６０百万", "@", 60e6), ("6000万", "@", 60e6),
    ],
)  # fmt: skip
def test_money_in_a_cell(value: Any, shape: str, cash: float, tmp_path: Path) -> None:
    book, sheet, at = one()
    cell = sheet[at["cash"] + "2"]
    cell.value, cell.number_format = value, shape
    if cash < 0:
        with pytest.raises(ExitError, match="EX105 cash"):
            read(book, tmp_path)
    else:
        assert read(book, tmp_path).cash == pytest.approx(cash, rel=1e-15)


@pytest.mark.parametrize(
    ("shape", "code"),
    [('#,##0.00 "€"', "EUR"), ("[$€-407]\\ #,##0", "EUR"), ("[$HKD] #,##0", "HKD"),
     ("£#,##0", "GBP"), ('0.0,,\\M\\€', "EUR")],
)  # fmt: skip
def test_a_currency_of_a_format_is_the_currency_of_the_amount(
    shape: str, code: str, tmp_path: Path
) -> None:
    book, sheet, at = one()
    sheet[at["cash"] + "2"].number_format = shape
    made = read(book, tmp_path)
    assert made.cash == pytest.approx(made.rates.convert(60e6, code, "USD"))
    sheet[at["cash"] + "2"] = 1234.567  # three digits behind the point have one reading
    assert read(book, tmp_path).cash == pytest.approx(made.rates.convert(1234.567, code, "USD"))
    sheet[at["audited_years"] + "2"].number_format = shape
    with pytest.raises(ExitError, match="audited_years"):
        read(book, tmp_path)


@pytest.mark.parametrize("shape", ['0.0"m"', '0.0\\ "Mio"', '0.0"万"', '#,##0 "k€"', '0.0"%"'])
def test_a_unit_that_a_format_alone_writes_is_refused(shape: str, tmp_path: Path) -> None:
    book, sheet, at = one()
    cell = sheet[at["cash"] + "2"]
    cell.value, cell.number_format = 12.5, shape
    with pytest.raises(ExitError, match=f"cell {cell.coordinate} shows 12.5 .* and holds 12.5"):
        read(book, tmp_path)


@pytest.mark.parametrize(
    ("shape", "burn"),
    [("#,##0;(#,##0)", "EX122"), ("#,##0_);[Red](#,##0)", "EX122"), ("#,##0;[Red]#,##0", "EX122"),
     ("#,##0;#,##0", "shows 100000 and holds -100000"), ("#,##0;[Red]-#,##0", -1e5),
     ("_-* #,##0_-;\\-* #,##0_-", -1e5), ("General", -1e5)],
)  # fmt: skip
def test_a_negative_number_is_read_as_its_format_shows_it(
    shape: str, burn: float | str, tmp_path: Path
) -> None:
    """(100,000) of a burn is money spent to some; of a profit it is a loss to all."""
    book, sheet, at = one(monthly_burn=-1e5, net_income_fy="-1e5")
    for name in ("monthly_burn", "net_income_fy"):
        sheet[at[name] + "2"] = -1e5
        sheet[at[name] + "2"].number_format = shape
    if isinstance(burn, float):
        made = read(book, tmp_path)
        assert made.monthly_burn == burn
    else:
        with pytest.raises(ExitError, match=burn):
            read(book, tmp_path)
        sheet[at["monthly_burn"] + "2"].number_format = "General"
    if shape != "#,##0;#,##0":
        assert read(book, tmp_path)["net_income_fy"][-1] == -1e5


def test_a_share_of_a_cell_is_a_fraction_whatever_its_format(tmp_path: Path) -> None:
    book, sheet, at = one()
    cell = sheet[at["founder_share"] + "2"]
    cell.value, cell.number_format = 0.4, "0.0%"
    assert read(book, tmp_path).founder_share == 0.4
    cell.value, cell.number_format = 40, "General"
    with pytest.raises(ExitError, match=r"write 0.4 for 40 %"):
        read(book, tmp_path)


def test_formulas_count_by_what_was_computed_and_never_as_nothing(tmp_path: Path) -> None:
    book, sheet, at = one()
    sheet[at["cash"] + "2"] = "=50000000+10000000"
    with pytest.raises(ExitError, match="never computed"):
        read(book, tmp_path)
    sheet[at["cash"] + "2"] = "#REF!"
    sheet[at["cash"] + "2"].data_type = "e"
    with pytest.raises(ExitError, match="holds the error #REF!"):
        read(book, tmp_path)


@pytest.mark.parametrize("area", ["C2:D2", "C2:C3"])
def test_merged_cells_are_refused_with_every_row_they_touch(area: str, tmp_path: Path) -> None:
    rows = [make_profile_dict(name=f"company {k}") for k in range(3)]
    book, sheet, _ = workbook(*rows)
    sheet.merge_cells(area)
    book.save(tmp_path / "in.xlsx")
    made = evaluate_many(tmp_path / "in.xlsx", draws=100)
    touched = [True, area == "C2:C3", False]
    assert [f"the cells {area} are merged" in text for text in made["errors"]] == touched
    assert made["errors"][2] == ""
    book, sheet, _ = one()
    sheet.merge_cells("A1:B1")
    with pytest.raises(ExitError, match=r"EX114|EX112"):
        read(book, tmp_path)


def test_what_is_hidden_is_read_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [make_profile_dict(name=f"company {k}") for k in range(3)]
    book, sheet, at = workbook(*rows)
    sheet.row_dimensions[3].hidden = True
    sheet.column_dimensions[at["debt"]].hidden = True
    book.save(tmp_path / "in.xlsx")
    out = tmp_path / "out.csv"
    cli.main(["batch", str(tmp_path / "in.xlsx"), "-o", str(out), "--draws", "100"])
    told = capsys.readouterr()
    assert "1 hidden rows are read as well" in told.out + told.err
    assert "hidden columns are read as well: debt" in told.out + told.err
    assert len(out.read_text(encoding="utf-8").splitlines()) == 4


def test_what_is_crossed_out_or_shown_by_no_format_is_refused(tmp_path: Path) -> None:
    """A row that is crossed out no longer holds; its shares were counted."""
    book, sheet, at = one()
    cell = sheet[at["cash"] + "2"]
    cell.font = Font(strike=True)
    with pytest.raises(ExitError, match=rf"cell {cell.coordinate} is crossed out") as caught:
        read(book, tmp_path)
    cell.font, cell.number_format = Font(bold=True), ";;;"
    with pytest.raises(ExitError, match=rf"cell {cell.coordinate} is hidden by its format") as also:
        read(book, tmp_path)
    for issue in (*caught.value.issues, *also.value.issues):
        assert in_chinese(issue.message)
        assert in_chinese(issue.hint)
    cell.number_format = "0;;;"
    assert read(book, tmp_path).cash == make_profile_dict()["cash"]
    table = openpyxl.Workbook()
    for row in (["Holder", "Class", "Shares"], ["Ada", "Common", 8e6], ["Bob", "Common", 1e6]):
        table.active.append(row)
    table.active["C3"].font = Font(strike=True)
    table.save(tmp_path / "cap.xlsx")
    raw = make_profile_dict(cap_table={"sheet": str(tmp_path / "cap.xlsx"), "founders": ["Ada"]})
    with pytest.raises(ExitError, match="cell C3 is crossed out"):
        Profile.from_dict(raw, today=TODAY)


def test_a_total_below_the_rows_is_no_company(tmp_path: Path) -> None:
    book, sheet, at = workbook(make_profile_dict())
    sheet["A3"] = "Total"
    sheet[at["cash"] + "3"] = 60e6
    book.save(tmp_path / "in.xlsx")
    made = evaluate_many(tmp_path / "in.xlsx", draws=100)
    assert made["errors"][0] == ""
    assert "EX101" in made["errors"][1]
    with pytest.raises(ExitError, match="several companies"):
        Profile.from_file(tmp_path / "in.xlsx", today=TODAY)


def test_which_sheet_is_meant_is_never_guessed(tmp_path: Path) -> None:
    book, sheet, _ = one()
    notes = book.create_sheet("Notes", 0)
    notes["A1"] = "written by Ada"
    assert read(book, tmp_path).name == "Acme AI"
    copy = book.copy_worksheet(sheet)
    copy.title, copy.sheet_state = "last year", "hidden"
    with pytest.raises(ExitError, match=r"2 sheets of .* begin with field names: Sheet, last year"):
        read(book, tmp_path)
    for title in (copy.title, sheet.title):
        del book[title]
    with pytest.raises(ExitError, match=r"no sheet of .* begins with field names: Notes"):
        read(book, tmp_path)


def upright(*above: tuple[Any, ...], **changes: Any) -> tuple[Any, Any]:
    """A workbook of one company, its fields in the first column and their values beside them."""
    book = openpyxl.Workbook()
    sheet = book.active
    for row in above:
        sheet.append(row)
    for name, value in make_profile_dict(**changes).items():
        sheet.append([name, cell_of(value)])
    return book, sheet


@pytest.mark.parametrize(
    "above", [(), (("Acme AI, figures of the board",), (None,)), (("Field", "Value"),)]
)
def test_fields_may_stand_in_the_first_column(above: Any, tmp_path: Path) -> None:
    book, sheet = upright(*above)
    sheet.append(["Not given yet"])  # a heading
    sheet.append(["debt", None] if "debt" not in make_profile_dict() else [None])
    assert read(book, tmp_path) == Profile.from_dict(make_profile_dict(), today=TODAY)
    made = evaluate_many(tmp_path / "in.xlsx", draws=100)
    assert list(made["name"]) == ["Acme AI"]
    assert list(made["errors"]) == [""]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("cash", "1m", "2m"), "cell C[0-9]+ stands beside the values"),
        (("cash", "1m"), "EX121 cash: the field is given twice"),
        ((None, "1m"), "cell B[0-9]+ stands beside no field name"),
        (("cash flow", "1m"), "EX102"),
        (("esop", "=1+1"), "the formula of cell B[0-9]+ was never computed"),
    ],
)
def test_what_a_first_column_leaves_open_is_refused(row: Any, says: str, tmp_path: Path) -> None:
    book, sheet = upright()
    sheet.append(row)
    with pytest.raises(ExitError, match=says) as caught:
        read(book, tmp_path)
    for issue in caught.value.issues:
        assert in_chinese(issue.message) is not None, issue.message
        assert in_chinese(issue.hint) is not None, issue.hint


def test_a_title_that_changes_every_number_is_refused(tmp_path: Path) -> None:
    for title in ("Acme AI (in thousands)", "单位：万元", "All amounts in kEUR"):
        book, _ = upright((title,))
        with pytest.raises(ExitError, match=r"cell A1 says .* of the numbers") as caught:
            read(book, tmp_path)
        assert all(in_chinese(issue.message) for issue in caught.value.issues)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_csv_of_one_company_may_stand_upright_too(mark: str) -> None:
    rows = [("Acme AI", ""), ("field", "value"), ("", "")]
    rows += [(name, str(cell_of(value))) for name, value in make_profile_dict().items()]
    text = "\n".join(mark.join(f'"{cell}"' for cell in row) for row in rows)
    made = Profile.from_text(text, ".csv", today=TODAY)
    assert made == Profile.from_dict(make_profile_dict(), today=TODAY)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("cash,1,500,000", "row [0-9]+ of the CSV has 4 cells"),
        ("cash,2m", "EX121 cash: the field is given twice"),
        (",2m", "has a value and no field name"),
        ("figures in thousands,", "says 'in thousands' of the numbers"),
    ],
)
def test_what_an_upright_csv_leaves_open_is_refused(line: str, says: str) -> None:
    lines = [f'{name},"{cell_of(value)}"' for name, value in make_profile_dict().items()]
    with pytest.raises(ExitError, match=says) as caught:
        Profile.from_text("\n".join([*lines, line]), ".csv", today=TODAY)
    for issue in caught.value.issues:
        assert in_chinese(issue.message) is not None, issue.message
        assert in_chinese(issue.hint) is not None, issue.hint


def test_a_list_of_fields_beside_a_company_is_none(tmp_path: Path) -> None:
    book, _, _ = one()
    meanings = book.create_sheet("Fields")
    for name in make_profile_dict():
        meanings.append([name, f"what {name} means", "how it is written"])
    assert read(book, tmp_path).name == "Acme AI"
    other = book.create_sheet("last year")
    for name, value in make_profile_dict().items():
        other.append([name, cell_of(value)])
    with pytest.raises(ExitError, match=r"2 sheets of .* begin with field names: Sheet, last year"):
        read(book, tmp_path)


@pytest.mark.parametrize("unit", ["USD k", "(in thousands)", "万元", "k€", "EUR", "m"])
def test_a_row_of_units_stops_the_file(unit: str, tmp_path: Path) -> None:
    book, sheet, at = workbook(make_profile_dict(), make_profile_dict(name="B"))
    sheet.insert_rows(2)
    sheet[at["cash"] + "2"] = unit
    book.save(tmp_path / "in.xlsx")
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    lines = [",".join(f'"{"" if c is None else c}"' for c in row) for row in rows]
    (tmp_path / "in.csv").write_text("\n".join(lines), encoding="utf-8")
    for name in ("in.xlsx", "in.csv"):
        with pytest.raises(ExitError, match="holds units and no company") as caught:
            evaluate_many(tmp_path / name, draws=100)
        assert all(in_chinese(issue.message) for issue in caught.value.issues)


def test_two_sheets_of_one_company_each_are_not_chosen_from(tmp_path: Path) -> None:
    book, sheet = upright()
    book.copy_worksheet(sheet).title = "last year"
    with pytest.raises(ExitError, match=r"2 sheets of .* begin with field names: Sheet, last year"):
        read(book, tmp_path)
    del book["last year"]
    sheet.merge_cells("B3:B4")
    with pytest.raises(ExitError, match="the cells B3:B4 are merged"):
        read(book, tmp_path)


def test_columns_of_one_name_or_none_are_told(tmp_path: Path) -> None:
    book, sheet, at = one()
    sheet[at["debt"] + "1"] = "cash"
    with pytest.raises(ExitError, match="EX121 cash: the column stands 2 times"):
        read(book, tmp_path)
    sheet[at["debt"] + "1"] = None
    with pytest.raises(ExitError, match="in a column without a name"):
        read(book, tmp_path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 no archive", b"name,as_of\nA,2026-01-01\n"])
def test_what_is_no_workbook_is_told(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "in.xlsx"
    path.write_bytes(data)
    with pytest.raises(ExitError, match="EX112"):
        Profile.from_file(path)
    with pytest.raises(ExitError, match="EX112"):
        Profile.from_file(tmp_path / "none.xlsx")


def test_faults_of_workbooks_are_whole_in_chinese(tmp_path: Path) -> None:
    for shape in ('0.0"m"', "General"):
        book, sheet, at = one()
        cell = sheet[at["cash"] + "2"]
        cell.value, cell.number_format = (12.5 if "m" in shape else "=1+1"), shape
        with pytest.raises(ExitError) as caught:
            read(book, tmp_path)
        (issue,) = caught.value.issues
        assert in_chinese(issue.message)
        assert in_chinese(issue.hint)
