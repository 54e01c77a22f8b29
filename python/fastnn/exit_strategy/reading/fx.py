"""Currencies: ISO 4217 codes, dated exchange rates, conversion.

Rates come from the profile (units per US dollar) or from the shipped table of European Central
Bank reference rates, which carries its date. Standard library only.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping

from fastnn.exit_strategy.errors import ExitError, Issue, suggest
from fastnn.exit_strategy.records import dataclass
from fastnn.exit_strategy.resources import cached, load_json

__all__ = ["ISO_4217", "Rates", "is_currency", "load_rates"]

ISO_4217 = frozenset(
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN "
    "BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL "
    "GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF "
    "KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
    "MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD "
    "SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH "
    "UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG".split()
)


def is_currency(code: object) -> bool:
    """Return whether `code` is an ISO 4217 currency code in use."""
    return isinstance(code, str) and code in ISO_4217


@dataclass(frozen=True, slots=True)
class Rates:
    """Dated exchange rates as units per US dollar; `given` names those the user gave."""

    per_usd: Mapping[str, float]
    date: dt.date
    source: str
    given: frozenset[str] = frozenset()
    given_date: dt.date | None = None

    def rate(self, source: str, target: str) -> float:
        """Return units of `target` for one unit of `source`; EX401 or EX402 when there is none."""
        if source == target:
            return 1.0
        for code in (source, target):
            if not is_currency(code):
                near = suggest(str(code).upper(), ISO_4217)
                hint = f"did you mean {near}?" if near else "use an ISO 4217 code such as USD"
                raise ExitError(
                    Issue("EX401", "currency", f"{code!r} is not a currency", hint, str(code))
                )
            if code not in self.per_usd:
                raise ExitError(
                    Issue(
                        "EX402",
                        f"fx.{code}",
                        f"no rate for {code} in the table of {self.date.isoformat()}",
                        f"give it in the profile: [fx] {code} = units of {code} per US dollar",
                        code,
                    )
                )
        return self.per_usd[target] / self.per_usd[source]

    def convert(self, amount: float, source: str, target: str) -> float:
        """Return `amount` of `source` money in `target` money, as float64."""
        return float(amount) * self.rate(source, target)

    def date_of(self, code: str) -> dt.date:
        """Return the date of the rate used for `code`."""
        return self.given_date if code in self.given and self.given_date else self.date


def load_rates(
    given: Mapping[str, float] | None = None, given_date: dt.date | None = None
) -> Rates:
    """Return the shipped rates with the user's own on top (units per US dollar)."""
    return _rates(given, given_date) if given else _shipped_rates(given_date)


@cached(maxsize=8)
def _shipped_rates(given_date: dt.date | None) -> Rates:
    return _rates({}, given_date)


def _rates(given: Mapping[str, float], given_date: dt.date | None) -> Rates:
    table = load_json("fx_rates.json")
    usd = float(table["per_base"]["USD"])
    per_usd = {code: float(rate) / usd for code, rate in table["per_base"].items()}
    extra = dict(given)
    for code, rate in extra.items():
        if not is_currency(code):
            raise ExitError(
                Issue("EX401", f"fx.{code}", f"{code!r} is not a currency", "use an ISO 4217 code")
            )
        if not math.isfinite(rate) or rate <= 0:
            raise ExitError(
                Issue(
                    "EX402",
                    f"fx.{code}",
                    f"rate {rate} is not positive",
                    "give units of the currency per US dollar, for example 7.8 for HKD",
                    str(rate),
                )
            )
    shipped = dt.date.fromisoformat(table["date"])
    _check_direction(extra, per_usd, given_date, shipped)
    per_usd.update(extra)
    return Rates(
        per_usd,
        shipped,
        str(table["source"]),
        frozenset(extra),
        given_date,
    )


#: Days between two rates within which none has moved as far as its inverse.
_RECENT = 730


def _check_direction(
    given: Mapping[str, float],
    known: Mapping[str, float],
    given_date: dt.date | None,
    shipped: dt.date,
) -> None:
    """Refuse dollars per unit where units per dollar are asked for: GBP = 1.27 is quoted so."""
    if given_date is not None and abs((shipped - given_date).days) > _RECENT:
        return
    for code, rate in given.items():
        if code not in known or known[code] == 1.0:
            continue
        away, turned = abs(math.log(rate / known[code])), abs(math.log(rate * known[code]))
        if away > 0.1 and turned < 0.5 * away:
            raise ExitError(
                Issue(
                    "EX402",
                    f"fx.{code}",
                    f"{rate:g} looks like US dollars for one {code}: a dollar was "
                    f"{known[code]:.4g} {code} on {shipped.isoformat()}",
                    f"write {code} = {1 / rate:.4g}, or [fx] date for a rate of another time",
                    str(rate),
                )
            )
