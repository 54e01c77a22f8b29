"""Who holds what in an Open Cap Format package, and the shares its plans have left to grant.

Source: Open Cap Format schema 1.2, Stakeholder, StockPlan and the transactions of a plan's pool.
Standard library only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fastnn.exit_strategy.errors import visible

from .ocf_items import Item, field_of, kind_of, label, number_of, refuse
from .terms import COMMON, FOUNDERS, Holding

__all__ = ["by_id", "founders_of", "read_holders", "unissued_pool"]


def by_id(items: list[Item], kind: str) -> dict[str, Item]:
    """Return id -> object of a kind; an id that stands for two different objects is refused."""
    out: dict[str, Item] = {}
    for i in (i for i in items if kind_of(i) == kind):
        key = str(field_of(i, "id"))
        if out.setdefault(key, i) != i:
            raise refuse(f"{label(i)}: two different objects have this id")
    return out


def founders_of(items: list[Item]) -> set[str]:
    """Return the ids of stakeholders who are founders: as marked, and as later events say."""
    out = {key for key, i in by_id(items, "STAKEHOLDER").items() if _marked(i)}
    events = [i for i in items if kind_of(i) == "CE_STAKEHOLDER_RELATIONSHIP"]
    for i in sorted(events, key=lambda i: str(i.get("date"))):
        key = str(field_of(i, "stakeholder_id"))
        if i.get("relationship_started") == "FOUNDER":
            out.add(key)
        elif i.get("relationship_ended") == "FOUNDER":
            out.discard(key)
    return out


def read_holders(
    people: Mapping[str, Item], founders: set[str], issued: list[Item],
    left: Mapping[str, float], classes: Mapping[str, Item], grant_of: Mapping[str, str],
) -> tuple[Holding, ...]:  # fmt: skip
    """Return one holding per person and paper, in the order of the package."""
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
        founder = key in founders
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


def _marked(stakeholder: Item) -> bool:
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
