"""The waterfall as a live workbook: named inputs, papers, prices and a sheet for every holder.

Change a price, a fee, a preference or a number of shares and everything below follows by formulas.
Texts are written as texts, never as formulas. Where post-money paper counts only those who convert
(or a discount or a warrant on preferred shares joins in late), share counts follow from choices no
sheet can make: then the payouts are looked up between break points, and the sheet says so. Needs
XlsxWriter (the extra `excel`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastnn.exit_strategy.catalogue import check_language, holder_name, text
from fastnn.exit_strategy.errors import ExitError, Issue, visible
from fastnn.exit_strategy.money.claims import Claim
from fastnn.exit_strategy.money.deals import Assumptions, Company, net_of
from fastnn.exit_strategy.money.liquidity import depends_on_who_converts
from fastnn.exit_strategy.money.outcomes import company_of, price_grid
from fastnn.exit_strategy.money.waterfall import Schedule
from fastnn.exit_strategy.notes import Note
from fastnn.exit_strategy.reading.files import home
from fastnn.exit_strategy.records import dataclass

__all__ = ["write_workbook"]

_NONE = 1e300  # a cap that binds nobody
_MOST_SHEETS = 60
_FIRST = 5  # row of the first price, counted from 0


@dataclass(frozen=True, slots=True)
class _Book:
    """What all sheets draw on."""

    book: Any
    formats: dict[str, Any]
    company: Company  # as it is at the closing
    claims: tuple[Claim[float], ...]
    terms: Assumptions
    prices: tuple[float, ...]
    nets: tuple[float, ...]
    currency: str
    lang: str

    def word(self, key: str, **values: str) -> str:
        return text(f"excel.{key}", self.lang, **values)


def write_workbook(profile: Any, path: str | Path, lang: str = "en") -> Path:
    """Write the sale waterfall of a profile as a workbook with live formulas.

    Args:
        profile: of the company; without a cap table founders and others share.
        path: of the .xlsx file; `~` is the home folder.
        lang: "en" or "zh".

    Returns:
        The path that was written.

    Raises:
        ExitError: EX802 for a path that cannot be written or no .xlsx name, EX804 without
            XlsxWriter.
    """
    check_language(lang)
    target = home(path)
    if target.suffix.lower() != ".xlsx":
        raise ExitError(
            Issue("EX802", "", f"{path} is no workbook", "give a name that ends in .xlsx")
        )
    try:
        import xlsxwriter
    except ImportError:
        raise ExitError(Issue("EX804", "", "workbooks need XlsxWriter",
                              'install it: pip install "fastnn-rs[excel]"')) from None  # fmt: skip
    terms = profile.assumptions
    today = company_of(profile)
    prices = (float(profile.valuation.mid), *price_grid(profile))
    nets = tuple(net_of(p, today, terms, terms.months_to_close).net for p in prices)
    closing = today.grown(terms.months_to_close)
    options = {"strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": False}
    try:
        book = xlsxwriter.Workbook(str(target), options)
        made = _Book(book, _formats(book), closing, closing.claims, terms, prices, nets,
                     str(profile.currency), lang)  # fmt: skip
        _inputs(made, profile, today)
        live = not (depends_on_who_converts(closing.claims)
                    or any(c.last > 0 or c.joins for c in closing.claims))  # fmt: skip
        if live:
            _papers(made, profile)
            _marks(made)
        else:
            _pieces(made)
        _prices(made, live)
        _holders(made, profile)
        book.close()
    except (OSError, xlsxwriter.exceptions.FileCreateError) as error:
        raise ExitError(
            Issue("EX802", "", f"cannot write {path}: {error}", "check the folder")
        ) from error
    return target


def _formats(book: Any) -> dict[str, Any]:
    grey = {"bg_color": "#EEEEEE"}
    return {
        "head": book.add_format({"bold": True, "text_wrap": True, **grey}),
        "title": book.add_format({"bold": True, "font_size": 14}),
        "note": book.add_format({"italic": True, "text_wrap": True}),
        "money": book.add_format({"num_format": "#,##0.00"}),
        "input": book.add_format({"num_format": "#,##0.00", "font_color": "#0000AA"}),
        "rate": book.add_format({"num_format": "0.00%", "font_color": "#0000AA"}),
        "share": book.add_format({"num_format": "0.00%"}),
        "times": book.add_format({"num_format": '0.00"x"'}),
        "plain": book.add_format({"num_format": "General"}),
    }


def _inputs(b: _Book, profile: Any, today: Company) -> None:
    """Named inputs, and the bridge of the first price."""
    sheet = b.book.add_worksheet(b.word("inputs"))
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, 22)
    sheet.write_string(0, 0, b.word("title", name=visible(str(profile.name))), b.formats["title"])
    sheet.write_string(1, 0, b.word("blue"), b.formats["note"])
    a, months = b.terms, b.terms.months_to_close
    rows = (
        ("Price", "price", b.prices[0], "input"), ("Cash", "cash", today.cash_in(months), "input"),
        ("Debt", "debt", today.debt, "input"), ("FeeRate", "fee_rate", a.fee_rate, "rate"),
        ("FeeFixed", "fee_fixed", a.fee_fixed, "input"),
        ("CarveOut", "carve_out", a.carve_out, "rate"),
        ("EscrowRate", "escrow_rate", a.escrow_rate, "rate"),
        ("EarnOutRate", "earn_out_rate", a.earn_out_rate, "rate"),
    )  # fmt: skip
    for row, (name, key, value, look) in enumerate(rows, 3):
        sheet.write_string(row, 0, b.word(key))
        sheet.write_number(row, 1, float(value), b.formats[look])
        b.book.define_name(name, f"={_quoted(b.word('inputs'))}!$B${row + 1}")
    sheet.write_string(12, 0, b.word("bridge"), b.formats["head"])
    sheet.write_string(12, 1, b.currency, b.formats["head"])
    bridge = net_of(b.prices[0], today, a, months)
    fees = a.fee_fixed + a.fee_rate * b.prices[0]
    equity = max(0.0, b.prices[0] + today.cash_in(months) - today.debt - fees)
    steps = (
        ("price", "=Price", b.prices[0]), ("cash", "=Cash", today.cash_in(months)),
        ("debt", "=-Debt", -today.debt), ("fees", "=-(FeeFixed+FeeRate*Price)", -fees),
        ("equity", "=MAX(0,SUM(B14:B17))", equity),
        ("carve_out", "=-CarveOut*B18", -bridge.carve_out),
        ("escrow", "=-MIN(EscrowRate*Price,B18+B19)", -bridge.escrow),
        ("earn_out", "=-MIN(EarnOutRate*Price,B18+B19+B20)", -bridge.earn_out),
        ("net", "=SUM(B18:B21)", bridge.net),
    )  # fmt: skip
    for row, (key, formula, value) in enumerate(steps, 13):
        sheet.write_string(row, 0, b.word(key))
        sheet.write_formula(row, 1, formula, b.formats["money"], value)
    b.book.define_name("Net", f"={_quoted(b.word('inputs'))}!$B$22")
    doubts = dict.fromkeys(b.company.schedule.doubt_at(net) for net in b.nets)
    for row, doubt in enumerate((word for word in doubts if word), 23):
        said = Note(f"conversion_{doubt}").text(b.lang)
        sheet.write_string(row, 0, said, b.formats["note"])


def _papers(b: _Book, profile: Any) -> None:
    """One column a paper: terms that may be changed, and what they come to."""
    sheet = b.book.add_worksheet(b.word("papers"))
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, len(b.claims), 18)
    keys = ("holder", "shares", "ratio", "invested", "multiple", "accrued", "participation",
            "cap_multiple", "rank", "strike", "due", "units", "cap")  # fmt: skip
    for row, key in enumerate(keys):
        sheet.write_string(row, 0, b.word(key), b.formats["head"])
    table = profile.cap_table
    classes = {} if table is None else {c.name: c for c in table.classes}
    for i, c in enumerate(b.claims):
        col, at = i + 1, _column(i + 1)
        sheet.write_string(0, col, visible(holder_name(c.holder, b.lang)), b.formats["head"])
        terms = classes.get(c.holder)
        shares = float(terms.shares) if terms else c.units
        invested = float(terms.invested) if terms else c.due
        multiple = float(terms.multiple) if terms else 1.0
        kind = "full" if c.cap is None else "none" if c.cap == c.due else "capped"
        most = c.cap / invested if kind == "capped" and c.cap is not None and invested else 0.0
        numbers = (shares, c.units / shares if shares else 0.0, invested, multiple,
                   c.due - multiple * invested)  # fmt: skip
        for k, value in enumerate(numbers, 1):
            sheet.write_number(k, col, value, b.formats["input"])
        sheet.write_string(6, col, kind)
        sheet.write_number(7, col, most, b.formats["input"])
        sheet.write_number(8, col, c.rank, b.formats["plain"])
        sheet.write_number(9, col, c.strike, b.formats["input"])
        due, units = f"={at}4*{at}5+{at}6", f"={at}2*{at}3"
        cap = f'=IF({at}7="full",{_NONE:.0E},IF({at}7="capped",MAX({at}8*{at}4,{at}11),{at}11))'
        sheet.write_formula(10, col, due, b.formats["money"], c.due)
        sheet.write_formula(11, col, units, b.formats["money"], c.units)
        sheet.write_formula(12, col, cap, b.formats["money"], _NONE if c.cap is None else c.cap)
    sheet.write_string(14, 0, b.word("papers_note"), b.formats["note"])


def _at(c: Claim[float], v: float) -> float:
    return c.at(v)


def _marks(b: _Book) -> None:
    """The worths of a common share at which some paper bends, and what all take at each."""
    sheet, papers = b.book.add_worksheet(b.word("marks")), _quoted(b.word("papers"))
    sheet.set_column(0, len(b.claims) + 1, 18)
    n = len(b.claims)
    sheet.write_string(0, 0, b.word("bends"), b.formats["head"])
    rows: list[list[float]] = [[], [], []]
    for i, c in enumerate(b.claims):
        p = f"{papers}!{_column(i + 1)}$"
        bound = f"AND({p}12>0,{p}13<{_NONE:.0E})"
        formulas = (
            f"=IF({p}12>0,{p}10,0)",
            f"=IF({bound},{p}10+({p}13-{p}11)/{p}12,0)",
            f"=IF({bound},{p}10+{p}13/{p}12,0)",
        )
        has = c.units > 0 and c.cap is not None
        cap = c.cap if c.cap is not None else 0.0
        values = (
            c.strike if c.units > 0 else 0.0,
            c.strike + (cap - c.due) / c.units if has else 0.0,
            c.strike + cap / c.units if has else 0.0,
        )
        for k in range(3):
            sheet.write_formula(1 + k, 1 + i, formulas[k], b.formats["plain"], values[k])
            rows[k].append(values[k])
        sheet.write_string(0, 1 + i, visible(holder_name(c.holder, b.lang)), b.formats["head"])
    last = _column(n)
    marks = sorted([0.0, *(v for row in rows for v in row)])
    marks.append(marks[-1] * 2 + 1)
    sheet.write_string(5, 0, b.word("worth"), b.formats["head"])
    sheet.write_string(5, 1, b.word("all"), b.formats["head"])
    for i, c in enumerate(b.claims):
        sheet.write_string(5, 2 + i, visible(holder_name(c.holder, b.lang)), b.formats["head"])
    for k, mark in enumerate(marks):
        row = 6 + k
        formula = f"=SMALL($B$2:${last}$4,{k})" if k else "=0"
        if k == len(marks) - 1:
            formula = f"=A{row}*2+1"
        sheet.write_formula(row, 0, formula, b.formats["plain"], mark)
        cells = [_at(c, mark) for c in b.claims]
        total = f"=SUM(C{row + 1}:{_column(n + 1)}{row + 1})"
        sheet.write_formula(row, 1, total, b.formats["money"], sum(cells))
        for i, value in enumerate(cells):
            formula = _payout(papers, i, f"$A{row + 1}")
            sheet.write_formula(row, 2 + i, formula, b.formats["money"], value)


def _payout(papers: str, i: int, worth: str) -> str:
    """What paper i takes once all preferences are covered and a common share is worth so much."""
    p = f"{papers}!{_column(i + 1)}$"
    shared = f"{p}12*MAX(0,{worth}-{p}10)"
    return f"=MAX(MIN({p}11+{shared},{p}13),{shared})"


def _pieces(b: _Book) -> None:
    """The payouts at the break points and what they grow by between them."""
    sheet = b.book.add_worksheet(b.word("pieces"))
    sheet.set_column(0, 2 * len(b.claims), 18)
    sheet.write_string(0, 0, b.word("pieces_note"), b.formats["note"])
    names = [visible(holder_name(c.holder, b.lang)) for c in b.claims]
    n = len(names)
    sheet.write_string(2, 0, b.word("net"), b.formats["head"])
    for i, name in enumerate(names):
        sheet.write_string(2, 1 + i, name, b.formats["head"])
        sheet.write_string(2, 1 + n + i, b.word("grows", name=name), b.formats["head"])
    for k, (start, values, slopes) in enumerate(Schedule(b.claims).pieces()):
        sheet.write_number(3 + k, 0, start, b.formats["money"])
        for i in range(n):
            sheet.write_number(3 + k, 1 + i, values[i], b.formats["money"])
            sheet.write_number(3 + k, 1 + n + i, slopes[i], b.formats["plain"])


def _prices(b: _Book, live: bool) -> None:
    """What everybody gets at each price; the first price is the named input."""
    sheet = b.book.add_worksheet(b.word("prices"))
    n = len(b.claims)
    sheet.set_column(0, n + 4, 18)
    sheet.write_string(0, 0, b.word("prices"), b.formats["title"])
    sheet.write_string(1, 0, b.word("prices_note"), b.formats["note"])
    heads = [b.word("price"), b.word("net"), b.word("piece"), b.word("worth")]
    heads += [visible(holder_name(c.holder, b.lang)) for c in b.claims]
    for col, head in enumerate([*heads, b.word("check")]):
        sheet.write_string(_FIRST - 1, col, head, b.formats["head"])
    schedule = Schedule(b.claims)
    for k, (price, net) in enumerate(zip(b.prices, b.nets, strict=True)):
        row, r = _FIRST + k, _FIRST + k + 1
        if k == 0:
            sheet.write_formula(row, 0, "=Price", b.formats["money"], price)
        else:
            sheet.write_number(row, 0, price, b.formats["input"])
        equity = f"MAX(0,A{r}+Cash-Debt-FeeFixed-FeeRate*A{r})*(1-CarveOut)"
        formula = (f"={equity}-MIN(EscrowRate*A{r},{equity})"
                   f"-MIN(EarnOutRate*A{r},{equity}-MIN(EscrowRate*A{r},{equity}))")  # fmt: skip
        sheet.write_formula(row, 1, formula, b.formats["money"], net)
        paid = schedule.amounts(net)
        (_live_row if live else _looked_up_row)(b, sheet, row, net, paid)
        ends = f"E{r}:{_column(n + 3)}{r}"
        gap = f"=B{r}-SUM({ends})"
        sheet.write_formula(row, n + 4, gap, b.formats["money"], net - sum(paid))


def _live_row(b: _Book, sheet: Any, row: int, net: float, paid: Sequence[float]) -> None:
    papers, marks, r, n = (
        _quoted(b.word("papers")),
        _quoted(b.word("marks")),
        row + 1,
        len(b.claims),
    )
    first, last = 7, 7 + 3 * n + 1
    totals, worths = f"{marks}!$B${first}:$B${last}", f"{marks}!$A${first}:$A${last}"
    values = sorted(
        [0.0, *(m for c in b.claims for m in _bends(c))]
    )  # as the sheet of marks has them
    values.append(values[-1] * 2 + 1)
    sums = [sum(c.at(v) for c in b.claims) for v in values]
    k = min(max((i for i, s in enumerate(sums) if s <= net), default=0), len(values) - 2)
    formula = f"=MIN(IFERROR(MATCH(B{r},{totals},1),1),{len(values) - 1})"
    sheet.write_formula(row, 2, formula, b.formats["plain"], k + 1)
    low, high = f"INDEX({worths},C{r})", f"INDEX({worths},C{r}+1)"
    below, above = f"INDEX({totals},C{r})", f"INDEX({totals},C{r}+1)"
    step = f"IF({above}>{below},({high}-{low})/({above}-{below}),0)"
    worth = values[k]
    if sums[k + 1] > sums[k]:
        worth += (net - sums[k]) * (values[k + 1] - values[k]) / (sums[k + 1] - sums[k])
    sheet.write_formula(
        row, 3, f"={low}+(B{r}-{below})*{step}", b.formats["plain"], max(0.0, worth)
    )
    end = _column(n)
    dues, ranks = f"{papers}!$B$11:${end}$11", f"{papers}!$B$9:${end}$9"
    for i, value in enumerate(paid):
        p = f"{papers}!{_column(i + 1)}$"
        before = f'SUMIF({ranks},"<"&{p}9,{dues})'
        same = f"SUMIF({ranks},{p}9,{dues})"
        ranked = f"IF({same}=0,0,{p}11*MAX(0,MIN(1,(B{r}-{before})/{same})))"
        shared = _payout(papers, i, f"$D{r}")[1:]
        formula = f"=IF(B{r}<=SUM({dues}),{ranked},{shared})"
        sheet.write_formula(row, 4 + i, formula, b.formats["money"], value)


def _bends(c: Claim[float]) -> tuple[float, float, float]:
    if c.units <= 0:
        return 0.0, 0.0, 0.0
    if c.cap is None:
        return c.strike, 0.0, 0.0
    return c.strike, c.strike + (c.cap - c.due) / c.units, c.strike + c.cap / c.units


def _looked_up_row(b: _Book, sheet: Any, row: int, net: float, paid: Sequence[float]) -> None:
    pieces, r, n = _quoted(b.word("pieces")), row + 1, len(b.claims)
    starts = [start for start, _, _ in Schedule(b.claims).pieces()]
    end = 3 + len(starts)
    k = max((i for i, s in enumerate(starts) if s <= net), default=0)
    area = f"{pieces}!$A$4:$A${end}"
    formula = f"=IFERROR(MATCH(B{r},{area},1),1)"
    sheet.write_formula(row, 2, formula, b.formats["plain"], k + 1)
    sheet.write_formula(row, 3, f"=INDEX({area},C{r})", b.formats["plain"], starts[k])
    for i, value in enumerate(paid):
        at, grows = _column(1 + i), _column(1 + n + i)
        base = f"INDEX({pieces}!${at}$4:${at}${end},C{r})"
        slope = f"INDEX({pieces}!${grows}$4:${grows}${end},C{r})"
        formula = f"=IF(B{r}<=0,0,{base}+{slope}*(B{r}-D{r}))"
        sheet.write_formula(row, 4 + i, formula, b.formats["money"], value)


def _holders(b: _Book, profile: Any) -> None:
    """A sheet for every paper and, where the table names them, for every person."""
    table = profile.cap_table
    parts: list[tuple[str, list[tuple[int, float]]]] = []
    if table is not None:
        index = {c.holder: i for i, c in enumerate(b.claims)}
        people: dict[str, list[tuple[int, float]]] = {}
        for row in table.holders:
            if row.paper in index:
                own = people.setdefault(row.person, [])
                own.append((index[row.paper], table.part_of(row)))
        parts += people.items()
    parts += [(holder_name(c.holder, b.lang), [(i, 1.0)]) for i, c in enumerate(b.claims)]
    used = {s.get_name().lower() for s in b.book.worksheets()}
    prices = _quoted(b.word("prices"))
    schedule = Schedule(b.claims)
    for name, held in parts[:_MOST_SHEETS]:
        sheet = b.book.add_worksheet(_sheet_name(name, used))
        sheet.set_column(0, 3, 22)
        sheet.write_string(0, 0, visible(name), b.formats["title"])
        heads = (b.word("price"), b.word("net"), b.word("payout"), b.word("of_net"))
        for col, head in enumerate(heads):
            sheet.write_string(2, col, head, b.formats["head"])
        for k, (price, net) in enumerate(zip(b.prices, b.nets, strict=True)):
            row, r, source = 3 + k, 4 + k, _FIRST + k + 1
            sheet.write_formula(row, 0, f"={prices}!A{source}", b.formats["money"], price)
            sheet.write_formula(row, 1, f"={prices}!B{source}", b.formats["money"], net)
            terms = "+".join(f"{prices}!{_column(4 + i)}{source}*{part:.17g}" for i, part in held)
            paid = schedule.amounts(net)
            value = sum(paid[i] * part for i, part in held)
            sheet.write_formula(row, 2, f"={terms}", b.formats["money"], value)
            share = value / net if net > 0 else 0.0
            sheet.write_formula(row, 3, f"=IF(B{r}>0,C{r}/B{r},0)", b.formats["share"], share)


def _sheet_name(name: str, used: set[str]) -> str:
    """A name that a workbook takes, not used before: 31 characters, no marks of formulas."""
    base = re.sub(r"[\[\]:*?/\\']", " ", visible(name)).strip()[:28] or "holder"
    if base.lower() == "history":
        base = "history "
    found, k = base, 2
    while found.lower() in used:
        found, k = f"{base[:25]} {k}", k + 1
    used.add(found.lower())
    return found


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def _column(index: int) -> str:
    """0 is A, 26 is AA."""
    out = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        out = chr(65 + rest) + out
    return out
