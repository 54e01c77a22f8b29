"""The exit process as data: states, edges, guards, and the source article's own chart.

Beside the repaired chart, the article's own (seed view) is kept as printed, with the edges that let
it close a deal that was never filed or negotiated marked as faulty. Texts live in the catalogue
under `state.<NAME>` and `event.<name>`. Standard library only.
"""

from __future__ import annotations

from fastnn.exit_strategy.records import dataclass

__all__ = ["EDGES", "ENDS", "SEED_EDGES", "SEED_NODES", "STATES", "STATE_RULES", "Edge"]


@dataclass(frozen=True, slots=True)
class Edge:
    """One event: from a state to another, with a guard's name and whether it is a failure.

    `sets` and `clears` name flags (market, prep); `fork` is a second state entered together.
    """

    source: str
    event: str
    target: str
    guard: str = ""
    failure: bool = False
    sets: str = ""
    clears: str = ""
    fork: str = ""


EDGES: tuple[Edge, ...] = (
    Edge("PROFILE", "score", "CAPITAL_TEST"),
    Edge("CAPITAL_TEST", "choose_ipo", "IPO_CONSIDER", "venue_open"),
    Edge("CAPITAL_TEST", "choose_sale_or_transform", "MA_OR_TRANSFORM"),
    Edge("CAPITAL_TEST", "choose_dual_track", "DUAL_TRACK", "both_lead"),
    Edge("CAPITAL_TEST", "choose_private_round", "PRIVATE_ROUND"),
    Edge("CAPITAL_TEST", "choose_license_hire", "LICENSE_HIRE"),
    Edge("CAPITAL_TEST", "wind_down", "WIND_DOWN"),
    Edge("IPO_CONSIDER", "study_market", "IPO_MARKET"),
    Edge("IPO_CONSIDER", "prepare", "IPO_PREP"),
    Edge("IPO_MARKET", "market_ready", "IPO_PREP", "window_open", sets="market"),
    Edge("IPO_MARKET", "market_closed", "WAIT", failure=True),
    Edge("IPO_MARKET", "turn_to_sale", "MA_OR_TRANSFORM", failure=True),
    Edge("IPO_PREP", "study_market", "IPO_MARKET"),
    Edge("IPO_PREP", "preparation_done", "IPO_PREP", "prepared", sets="prep"),
    Edge("IPO_PREP", "file", "IPO_FILED", "market_and_prep"),
    Edge("IPO_PREP", "turn_to_sale", "MA_OR_TRANSFORM"),
    Edge("IPO_FILED", "accepted", "IPO_CLOSED"),
    Edge("IPO_FILED", "rejected", "IPO_PREP", failure=True, clears="prep"),
    Edge("IPO_FILED", "window_shut", "IPO_WITHDRAWN", failure=True, clears="market"),
    Edge("IPO_WITHDRAWN", "turn_to_sale", "MA_OR_TRANSFORM"),
    Edge("IPO_WITHDRAWN", "raise_privately", "PRIVATE_ROUND"),
    Edge("IPO_WITHDRAWN", "prepare_again", "IPO_PREP"),
    Edge("IPO_CLOSED", "enter_lock_up", "LOCK_UP"),
    Edge("LOCK_UP", "plan_use_of_funds", "USE_OF_FUNDS"),
    Edge("LOCK_UP", "operate", "OPERATE"),
    Edge("MA_OR_TRANSFORM", "seek_buyers", "DEAL_MARKET"),
    Edge("MA_OR_TRANSFORM", "plan_transformation", "TRANSFORM_PLAN"),
    Edge("DEAL_MARKET", "screen_partners", "PARTNER_SCREEN"),
    Edge("PARTNER_SCREEN", "partner_found", "MA_NEGOTIATE"),
    Edge("PARTNER_SCREEN", "none_found_transform", "TRANSFORM_PLAN", failure=True),
    Edge("PARTNER_SCREEN", "none_found_raise", "PRIVATE_ROUND", failure=True),
    Edge("MA_NEGOTIATE", "agreed", "MA_APPROVALS"),
    Edge("MA_NEGOTIATE", "failed_screen_again", "PARTNER_SCREEN", failure=True),
    Edge("MA_NEGOTIATE", "failed_list", "IPO_CONSIDER", "venue_open", failure=True),
    Edge("MA_NEGOTIATE", "failed_transform", "TRANSFORM_PLAN", failure=True),
    Edge("MA_APPROVALS", "cleared", "MA_CLOSED"),
    Edge("MA_APPROVALS", "blocked", "MA_BLOCKED", failure=True),
    Edge("MA_BLOCKED", "screen_partners", "PARTNER_SCREEN"),
    Edge("MA_BLOCKED", "list_instead", "IPO_CONSIDER", "venue_open"),
    Edge("MA_BLOCKED", "plan_transformation", "TRANSFORM_PLAN"),
    Edge("MA_CLOSED", "integrate", "INTEGRATION"),
    Edge("TRANSFORM_PLAN", "start_transformation", "TRANSFORM_RUN", "runway"),
    Edge("TRANSFORM_PLAN", "raise_privately", "PRIVATE_ROUND"),
    Edge("TRANSFORM_PLAN", "seek_buyers", "DEAL_MARKET"),
    Edge("TRANSFORM_RUN", "targets_met", "TRANSFORM_DONE"),
    Edge("TRANSFORM_RUN", "targets_missed", "PROFILE", failure=True),
    Edge("TRANSFORM_RUN", "wind_down", "WIND_DOWN", failure=True),
    Edge("TRANSFORM_DONE", "start_new_business", "NEW_BUSINESS"),
    Edge("NEW_BUSINESS", "score_again", "PROFILE"),
    Edge("DUAL_TRACK", "file_and_negotiate", "IPO_FILED", "ready_to_file", fork="MA_NEGOTIATE"),
    Edge("DUAL_TRACK", "prepare", "IPO_PREP"),
    Edge("DUAL_TRACK", "screen_partners", "PARTNER_SCREEN"),
    Edge("PRIVATE_ROUND", "round_closed", "PROFILE"),
    Edge("PRIVATE_ROUND", "round_failed_sell", "MA_OR_TRANSFORM", failure=True),
    Edge("PRIVATE_ROUND", "wind_down", "WIND_DOWN", failure=True),
    Edge("LICENSE_HIRE", "signed_operate", "OPERATE"),
    Edge("LICENSE_HIRE", "signed_wind_down", "WIND_DOWN"),
    Edge("LICENSE_HIRE", "talks_ended", "PROFILE", failure=True),
    Edge("WAIT", "look_again", "PROFILE"),
    Edge("WAIT", "turn_to_sale", "MA_OR_TRANSFORM"),
)

ENDS: frozenset[str] = frozenset(
    {"INTEGRATION", "NEW_BUSINESS", "USE_OF_FUNDS", "OPERATE", "WIND_DOWN"}
)

STATES: tuple[str, ...] = tuple(
    dict.fromkeys(name for edge in EDGES for name in (edge.source, edge.target, edge.fork) if name)
)

#: State -> ids of the articles' rules whose text belongs beside it.
STATE_RULES: dict[str, tuple[str, ...]] = {
    "CAPITAL_TEST": ("R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8"),
    "IPO_CONSIDER": ("R1", "R4"),
    "MA_OR_TRANSFORM": ("R2", "R3", "R8"),
    "MA_NEGOTIATE": ("R5",),
    "TRANSFORM_PLAN": ("R3", "R6"),
    "PRIVATE_ROUND": ("R4", "R7"),
    "DUAL_TRACK": ("R1", "R2"),
}

#: The article's chart: node -> (Chinese label as printed, state of the repaired chart).
SEED_NODES: dict[str, tuple[str, str]] = {
    "A": ("初始阶段", "PROFILE"), "B": ("是否需要大量资金", "CAPITAL_TEST"),
    "C": ("考虑IPO", "IPO_CONSIDER"), "D": ("考虑并购或战略转型", "MA_OR_TRANSFORM"),
    "E": ("市场分析", "IPO_MARKET"), "F": ("准备工作", "IPO_PREP"),
    "G": ("市场分析", "DEAL_MARKET"), "H": ("合作伙伴筛选", "PARTNER_SCREEN"),
    "I": ("IPO申请", "IPO_FILED"), "J": ("募资完成", "IPO_CLOSED"),
    "K": ("并购谈判", "MA_NEGOTIATE"), "L": ("战略调整", "TRANSFORM_RUN"),
    "M": ("并购完成", "MA_CLOSED"), "N": ("转型完成", "TRANSFORM_DONE"),
    "O": ("业务整合", "INTEGRATION"), "P": ("新业务启动", "NEW_BUSINESS"),
    "Q": ("资金使用规划", "USE_OF_FUNDS"), "R": ("持续经营", "OPERATE"),
}  # fmt: skip

#: (from, to, Chinese label, faulty): F to J closes a listing that was never filed, H to M a sale
#: that was never negotiated.
SEED_EDGES: tuple[tuple[str, str, str, bool], ...] = (
    ("A", "B", "", False), ("B", "C", "是", False), ("B", "D", "否", False),
    ("C", "E", "", False), ("C", "F", "", False), ("D", "G", "", False), ("D", "H", "", False),
    ("E", "I", "", False), ("F", "J", "", True), ("G", "K", "", False), ("G", "L", "", False),
    ("H", "M", "", True), ("I", "J", "申请通过", False), ("I", "F", "申请未通过", False),
    ("K", "M", "谈判成功", False), ("K", "H", "谈判失败", False), ("L", "N", "", False),
    ("M", "O", "", False), ("N", "P", "", False), ("J", "Q", "", False), ("J", "R", "", False),
)  # fmt: skip
