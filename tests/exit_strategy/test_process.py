"""The process: invariants over all paths, legal events, log, texts, the article's own chart."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from exit_profiles import TODAY, make_profile_dict

from fastnn.exit_strategy.catalogue import text
from fastnn.exit_strategy.errors import ExitError
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.process.chart import EDGES, ENDS, SEED_EDGES, SEED_NODES, STATES
from fastnn.exit_strategy.process.process import Process, mermaid, road, seed_mermaid
from fastnn.exit_strategy.profile.profile import Profile
from fastnn.exit_strategy.result import Result


def result(**changes: Any) -> Result:
    options = ("ipo", "ma", "transform")
    company = Profile.from_dict(make_profile_dict(**changes), today=TODAY)
    return evaluate(company, draws=200, options=options)


@pytest.fixture(scope="module")
def scored() -> Result:
    return result()


def reachable(start: str, without: frozenset[str] = frozenset()) -> set[str]:
    seen, todo = set(), [start]
    while todo:
        state = todo.pop()
        if state in seen or state in without:
            continue
        seen.add(state)
        todo += [t for e in EDGES if e.source == state for t in (e.target, e.fork) if t]
    return seen


def test_there_are_28_states_and_every_one_can_be_reached() -> None:
    assert len(STATES) == 28
    assert reachable("PROFILE") == set(STATES)


def test_every_state_reaches_an_end() -> None:
    for state in STATES:
        assert reachable(state) & ENDS, state


def test_no_listing_without_filing_and_no_sale_without_talks_and_approvals() -> None:
    assert "IPO_CLOSED" not in reachable("PROFILE", frozenset({"IPO_FILED"}))
    assert "MA_CLOSED" not in reachable("PROFILE", frozenset({"MA_NEGOTIATE"}))
    assert "MA_CLOSED" not in reachable("PROFILE", frozenset({"MA_APPROVALS"}))


def test_every_failure_leaves_at_least_two_ways_on() -> None:
    failures = [edge for edge in EDGES if edge.failure]
    assert len(failures) >= 12
    for edge in failures:
        beside = {e.target for e in EDGES if e.source == edge.source and e.failure}
        after = {e.target for e in EDGES if e.source == edge.target}
        assert len(beside | after) >= 2, edge


def test_events_of_a_state_are_unambiguous() -> None:
    pairs = [(edge.source, edge.event) for edge in EDGES]
    assert len(pairs) == len(set(pairs))


def test_seed_chart_is_kept_with_its_faults_dashed() -> None:
    assert len(SEED_NODES) == 18
    assert len(SEED_EDGES) == 21
    assert {state for _, state in SEED_NODES.values()} <= set(STATES)
    assert [(a, b) for a, b, _, bad in SEED_EDGES if bad] == [("F", "J"), ("H", "M")]
    sinks = set(SEED_NODES) - {a for a, *_ in SEED_EDGES}
    assert sinks == {"O", "P", "Q", "R"}
    chart = seed_mermaid("zh")
    assert chart.startswith("graph TD\n")
    assert "  F -.->J\n" in chart.replace("-.-> J", "-.->J")
    assert chart.count("-.->") == 2
    assert chart.count("-->") == 19
    assert "申请未通过" in chart
    assert "rejected" in seed_mermaid("en")


def test_repaired_chart_lists_every_edge_once() -> None:
    arrows = sum(1 + bool(edge.fork) for edge in EDGES)
    for lang in ("en", "zh"):
        chart = mermaid(lang)
        assert chart.count("-->") + chart.count("-.->") == arrows
    assert '"募资完成"' in mermaid("zh")


def test_listing_runs_through_both_preparations(scored: Result) -> None:
    process = Process(scored)
    for event in ("choose_ipo", "prepare", "preparation_done"):
        process.fire(event)
    with pytest.raises(ExitError, match="not done yet: Study the IPO market") as caught:
        process.fire("file")
    assert caught.value.code == "EX701"
    assert "preparation_done" in caught.value.issues[0].hint
    process.fire("study_market")
    process.fire("market_ready", dt.date(2026, 12, 1), "CFO")
    process.fire("file", dt.date(2026, 12, 2), "CFO")
    process.fire("rejected", dt.date(2027, 2, 1), "exchange")
    assert "file" not in process.legal_events()
    assert process.log[-1].target == "IPO_PREP"
    assert process.log[-1].actor == "exchange"
    for event in ("preparation_done", "file", "accepted", "enter_lock_up", "operate"):
        process.fire(event, dt.date(2027, 3, 1))
    assert process.ended
    assert process.legal_events() == ()


def test_first_to_close_ends_the_other_track(scored: Result) -> None:
    process = Process(scored, start="DUAL_TRACK")
    process.fire("file_and_negotiate")
    assert set(process.states) == {"IPO_FILED", "MA_NEGOTIATE"}
    process.fire("agreed")
    process.fire("accepted")
    assert process.states == ("IPO_CLOSED",)


def test_guards_speak_about_the_company(scored: Result) -> None:
    closed = result(**{"market.ipo_window": 0.2})
    process = Process(closed, start="IPO_MARKET")
    with pytest.raises(ExitError, match=r"IPO window 0\.20 is below 0\.4"):
        process.fire("market_ready")
    process.rescore(scored)
    assert process.fire("market_ready") == "IPO_PREP"
    poor = result(cash=3e6, committed_funds=0)
    with pytest.raises(ExitError, match="runway"):
        Process(poor, start="TRANSFORM_PLAN").fire("start_transformation")


def test_bad_state_event_and_date_are_refused(scored: Result) -> None:
    with pytest.raises(ExitError, match="did you mean IPO_PREP") as caught:
        Process(scored, start="IPO_PREPP")
    assert caught.value.code == "EX702"
    process = Process(scored)
    process.fire("choose_ipo", dt.date(2026, 12, 1))
    with pytest.raises(ExitError) as late:
        process.fire("prepare", dt.date(2026, 11, 1))
    assert late.value.code == "EX703"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_state_has_advice_with_its_numbers(scored: Result, lang: str) -> None:
    for state in STATES:
        (step,) = Process(scored, start=state).next_steps(lang)
        assert step.advice
        assert "{" not in step.advice
        assert step.title == text(f"state.{state}", lang)
    rules = Process(scored).next_steps(lang)[0].rules
    assert [rule for rule, _ in rules] == [f"R{k}" for k in range(1, 9)]
    assert len(road(scored, lang)) >= 2
