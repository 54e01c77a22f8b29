"""Who holds what in an Open Cap Format package, and the shares its plans have left to grant.

Source: Open Cap Format schema 1.2, Stakeholder, StockPlan and the transactions of a plan's pool.
Standard library only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fastnn.exit_strategy.errors import visible

from .ocf_items import Item, field_of, kind_of, number_of
from .terms import COMMON, FOUNDERS, Holding

__all__ = ["is_founder", "read_holders", "unissued_pool"]


def read_holders(
    items: list[Item], issued: list[Item], left: Mapping[str, float],
    classes: Mapping[str, Item], grant_of: Mapping[str, str],
) -> tuple[Holding, ...]:  # fmt: skip
    """Return one holding per person and paper, in the order of the package."""
    people = {str(i.get("id")): i for i in items if kind_of(i) == "STAKEHOLDER"}
    plain = {key: _name(i, key) for key, i in people.items()}
    often = Counter(plain.values())
    held: dict[tuple[str, str, bool], float] = {}
    whole: set[str] = set()
    for i in issued:
        key = str(i.get("stakeholder_id"))
        if key not in people:
            continue
        name = plain[key] if often[plain[key]] == 1 else f"{plain[key]} ({key})"
        security = str(i["security_id"])
        founder = is_founder(people[key])
        paper = grant_of.get(security, "")
        if kind_of(i) == "TX_STOCK_ISSUANCE":
            row = classes[str(i["stock_class_id"])]
            common = row.get("class_type") == "COMMON"
            paper = str(field_of(row, "name"))
            if common:
                paper = FOUNDERS if founder else COMMON
            founder = founder and not common
        elif kind_of(i) == "TX_CONVERTIBLE_ISSUANCE":
            paper = str(i.get("custom_id") or security)
            whole.add(paper)
        else:
            founder = False  # the grant says which part of it is the founders'
        at = (name, paper, founder)
        held[at] = held.get(at, 0.0) + left[security]
    out = []
    for (name, paper, founder), units in held.items():
        if units > 0 and paper in whole:  # a convertible has one holder
            out.append(Holding(name, paper, part=1.0, founder=founder))
        elif units > 0:
            out.append(Holding(name, paper, units=units, founder=founder))
    return tuple(out)


def is_founder(stakeholder: Item) -> bool:
    """Whether a stakeholder is marked as a founder today."""
    many = stakeholder.get("current_relationships") or []
    return "FOUNDER" in (stakeholder.get("current_relationship"), *many)


def _name(item: Item, key: str) -> str:
    name = item.get("name")
    text = name.get("legal_name") if isinstance(name, Mapping) else name
    return visible(str(text or key).strip())[:120] or key


def unissued_pool(items: list[Item]) -> float:
    """Return the shares that all plans may still grant; 0 where no plan says how many it has."""
    reserved: dict[str, float] = {}
    rows = sorted(
        (i for i in items if kind_of(i) == "TX_STOCK_PLAN_POOL_ADJUSTMENT"),
        key=lambda i: str(i.get("date")),
    )
    for i in items:
        if kind_of(i) == "STOCK_PLAN":
            name = next(
                (n for n in ("initial_shares_reserved", "current_shares_reserved") if i.get(n)), ""
            )
            reserved[str(field_of(i, "id"))] = number_of(i, name) if name else 0.0
    for i in rows:
        plan = str(field_of(i, "stock_plan_id"))
        if plan in reserved:
            reserved[plan] = number_of(i, "shares_reserved")
    for i in items:
        plan = str(i.get("stock_plan_id"))
        if plan not in reserved:
            continue
        if kind_of(i).endswith("_ISSUANCE") and not kind_of(i).endswith("_REISSUANCE"):
            reserved[plan] -= number_of(i, "quantity", 0.0)
        elif kind_of(i).endswith("_RETURN_TO_POOL"):
            reserved[plan] += number_of(i, "quantity", 0.0)
    return sum(max(0.0, left) for left in reserved.values())
