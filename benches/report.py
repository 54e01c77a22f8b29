"""Results as Markdown: every rival of every row, the goals, and the rows that we lose."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness import Contestant, Result, ratio
from rows import CEILINGS, Row

START, END = "<!-- measured: start -->", "<!-- measured: end -->"


@dataclass
class Verdict:
    """A rival of a row, or a figure of ours, with its goal if there is one."""

    row: str
    what: str
    reached: float
    goal: float | None

    @property
    def met(self) -> bool:
        """True where there is no goal or it is reached."""
        return self.goal is None or self.reached >= self.goal


@dataclass
class Report:
    """Collects rows as they finish."""

    rounds: int
    noisy: bool
    load_before: tuple[float, float, float]
    versions: dict[str, str] = field(default_factory=dict)
    sections: dict[str, list[str]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    highlights: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def add(self, row: Row, results: dict[Contestant, Result], share: float) -> None:
        """Take the results of a row in."""
        for result in results.values():
            self.versions |= result.versions
        ours_name, *rival_names = row.contestants
        ours = results.get(ours_name)
        for contestant, result in results.items():
            if result.error:
                last = result.error.strip().splitlines()[-1]
                self.errors.append(f"{row.title}: {contestant.label()}: {last}")
        if ours is None or ours.error:
            return
        rivals = [c for c in rival_names if c in results and not results[c].error]
        lines = self.sections.setdefault(row.group, [])
        ours_text = show(row, ours.median(row.key))
        cells = [row.title, "**fastnn**", ours_text, show(row, ours.best()), "", "", noise(share)]
        lines.append(table_row(cells))
        ceiling = CEILINGS.get(row.title)
        if ceiling is not None:
            microseconds = ours.median(row.key) * 1e6
            self.verdicts.append(
                Verdict(row.title, f"at most {ceiling:g} us", ceiling / microseconds, 1.0)
            )
        peers = {c: ratio(results[c], ours, row.key) for c in rivals}
        for c in sorted(peers, key=lambda c: results[c].median(row.key)):
            middle, low, high = peers[c]
            goal = row.goals.get(c.label())
            label = (
                f"{c.label()} ({c.threads} thread)" if c.threads != ours_name.threads else c.label()
            )
            cells = ["", label, show(row, results[c].median(row.key)), show(row, results[c].best()),
                     f"{middle:.2f}x ({low:.2f} to {high:.2f})", goal_text(middle, goal), ""]  # fmt: skip
            lines.append(table_row(cells))
            if goal is not None:
                self.verdicts.append(Verdict(row.title, label, middle, goal))
        self.judge_best(row, results, peers, ours_text)

    def judge_best(self, row: Row, results: dict, peers: dict, ours_text: str) -> None:
        """Hold us against the quickest real rival."""
        real = [c for c in peers if c.library != "peak" and c.label() != row.contestants[0].label()]
        if not real:
            return
        best = min(real, key=lambda c: results[c].median(row.key))
        middle, low, high = peers[best]
        self.highlights.append(
            table_row(
                [
                    row.title,
                    ours_text,
                    f"{best.label()}: {show(row, results[best].median(row.key))}",
                    f"{middle:.2f}x",
                ]
            )  # fmt: skip
        )
        if "best" in row.goals:
            goal = row.goals["best"]
            self.verdicts.append(
                Verdict(row.title, f"the best peer ({best.label()})", middle, goal)
            )
        if middle < 1:
            self.losses.append(
                f"- {row.title}: {middle:.2f}x ({low:.2f} to {high:.2f}) of {best.label()}"
            )

    def add_figure(self, title: str, text: str, share: float, goal: float | None) -> None:
        """A measured figure without rivals; `share` is goal over figure, so 1 or more is reached."""
        self.sections.setdefault("Footprint and accuracy", []).append(
            table_row([title, "**fastnn**", text, "", "", goal_text(share, goal), ""])
        )
        self.verdicts.append(Verdict(title, text, share, goal))

    def markdown(self) -> str:
        """The whole report."""
        failed = [v for v in self.verdicts if not v.met]
        warning = (
            "\n**The machine was busy with other work during this run; the ratios are indications only.**\n"
            if self.noisy
            else ""
        )
        head = f"""# Measured against the others

Written by `benches/compare.py` on {time.strftime("%Y-%m-%d")}; {self.rounds} interleaved rounds a row, every
rival in a process of its own with the same number of threads. *median* is the middle round, *best* the
quickest; *ratio* is how many times quicker fastnn is, the median of the ratios formed inside each round,
with a 95 % interval. *others* is how many processors strangers kept busy meanwhile.
{warning}
{machine()}
| load average | before {", ".join(f"{x:.2f}" for x in self.load_before)}; after {", ".join(f"{x:.2f}" for x in os.getloadavg())} |
| versions | {"; ".join(f"{k} {v}" for k, v in sorted(self.versions.items()))} |
| not installed here | {", ".join(sorted(self.missing)) or "none"} |
"""
        parts = [head]
        parts.append(
            "\n## Rows that we lose\n\n" + ("\n".join(self.losses) or "None in this run.") + "\n"
        )
        parts.append("\n## Goals not reached\n\n" + ("\n".join(
            f"- {v.row}: {v.what}: {v.reached:.2f} of {v.goal:g}" for v in failed
        ) or "None in this run.") + "\n")  # fmt: skip
        for group, lines in self.sections.items():
            parts.append(f"\n## {group}\n\n{TABLE_HEAD}" + "\n".join(lines) + "\n")
        if self.errors:
            parts.append(
                "\n## What could not be run\n\n" + "\n".join(f"- {e}" for e in self.errors) + "\n"
            )
        return "".join(parts)

    def readme_table(self) -> str:
        """The short table of the README: us against the quickest rival of each row."""
        head = "| what | fastnn | the best of the others | ratio |\n| --- | --- | --- | --- |\n"
        return head + "\n".join(self.highlights) + "\n"


TABLE_HEAD = "| what | who | median | best | ratio | goal | others |\n| --- | --- | --- | --- | --- | --- | --- |\n"


def show(row: Row, seconds: float) -> str:
    """A time in the row's unit."""
    if row.unit == "us":
        return f"{seconds * 1e6:,.3g} us" if seconds < 1e-3 else f"{seconds * 1e3:,.3g} ms"
    if row.unit == "ms":
        return f"{seconds * 1e3:,.3g} ms"
    rate = row.per_call / seconds
    return f"{rate:,.0f} {row.unit}" if rate >= 100 else f"{rate:.3g} {row.unit}"


def goal_text(reached: float, goal: float | None) -> str:
    """The goal and whether it is reached."""
    return "" if goal is None else f"{goal:g}x, {'reached' if reached >= goal else 'not reached'}"


def noise(share: float) -> str:
    """Strangers' use of the processors."""
    return f"{share:.2f}"


def table_row(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def machine() -> str:
    """The machine as the first rows of a table."""
    model, flags = "unknown processor", ""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            model = value.strip()
        if name.strip() == "flags":
            flags = ", ".join(f for f in ("avx2", "fma", "avx512f") if f in value.split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        "| | |\n| --- | --- |\n"
        f"| machine | {model}, {len(os.sched_getaffinity(0))} processors ({flags}), {memory:.0f} GiB |\n"
        f"| system | {platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"fastnn-rs {importlib.metadata.version('fastnn-rs')} |"
    )


def update_readme(path: Path, table: str) -> bool:
    """Replace what stands between the markers of the README; False where there are none."""
    text = path.read_text(encoding="utf-8")
    if START not in text or END not in text:
        return False
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{START}\n{table}{END}{after}", encoding="utf-8")
    return True
