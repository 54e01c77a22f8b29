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
from rows import CEILINGS, SHORT, Row

READMES = ("README.md", "README.zh.md")
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
    highlights: dict[str, str] = field(default_factory=dict)  # by title
    missing: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def add(self, row: Row, results: dict[Contestant, Result], share: float) -> None:
        """Take the results of a row in."""
        for contestant, result in results.items():
            self.versions |= result.versions
            if result.error:
                last = result.error.strip().splitlines()[-1]
                self.errors.append(f"{row.title}: {contestant.label()}: {last}")
        own = row.contestants[0]
        ours = results.get(own)
        if ours is None or ours.error:
            return
        text = show(row, ours.median(row.key)) + share_of_peak(row, ours, results)
        lines = self.sections.setdefault(row.group, [])
        cells = [row.title, "**fastnn**", text, show(row, ours.best()), "", "", f"{share:.2f}"]
        lines.append(table_row(cells))
        if row.title in CEILINGS:
            most = CEILINGS[row.title]
            reached = most / (ours.median(row.key) * 1e6)
            self.verdicts.append(Verdict(row.title, f"at most {most:g} us", reached, 1.0))

        rivals = {c: r for c, r in results.items() if c != own and not r.error}
        for c, r in sorted(rivals.items(), key=lambda item: item[1].median(row.key)):
            middle, low, high = ratio(r, ours, row.key)
            goal = row.goals.get(c.label())
            label = c.label() + (f" ({c.threads} thread)" if c.threads != own.threads else "")
            spread = f"{middle:.2f}x ({low:.2f} to {high:.2f})"
            figures = [show(row, r.median(row.key)), show(row, r.best())]
            lines.append(table_row(["", label, *figures, spread, goal_text(middle, goal), ""]))
            if goal is not None:
                self.verdicts.append(Verdict(row.title, label, middle, goal))
        peers = {c: r for c, r in rivals.items() if c.library not in ("peak", "fastnn")}
        if peers:
            best = min(peers, key=lambda c: peers[c].median(row.key))
            self.judge(row, ours, best.label(), peers[best])

    def judge(self, row: Row, ours: Result, name: str, best: Result) -> None:
        """Hold us against the quickest peer."""
        middle, low, high = ratio(best, ours, row.key)
        figures = [show(row, ours.median(row.key)), f"{name}: {show(row, best.median(row.key))}"]
        self.highlights[row.title] = table_row([row.title, *figures, f"{middle:.2f}x"])
        if "best" in row.goals:
            what = f"the best peer ({name})"
            self.verdicts.append(Verdict(row.title, what, middle, row.goals["best"]))
        if middle < 1:
            self.losses.append(f"- {row.title}: {middle:.2f}x ({low:.2f} to {high:.2f}) of {name}")

    def add_figure(self, title: str, text: str, reached: float, goal: float | None) -> None:
        """A figure without rivals; `reached` is the allowed over the measured figure."""
        self.sections.setdefault("Footprint and accuracy", []).append(
            table_row([title, "**fastnn**", text, "", "", goal_text(reached, goal), ""])
        )
        self.verdicts.append(Verdict(title, text, reached, goal))

    def markdown(self, before: str | None = None) -> str:
        """The whole report; what the one before says of another processor is kept."""
        failed = [
            f"- {v.row}: {v.what}: {v.reached:.2f} of {v.goal:g}"
            for v in self.verdicts
            if not v.met
        ]
        parts = [
            HEAD.format(
                date=time.strftime("%Y-%m-%d"),
                rounds=self.rounds,
                warning=BUSY if self.noisy else "",
                machine=machine(),
                before=", ".join(f"{x:.2f}" for x in self.load_before),
                after=", ".join(f"{x:.2f}" for x in os.getloadavg()),
                versions="; ".join(f"{k} {v}" for k, v in sorted(self.versions.items())),
                missing=", ".join(sorted(self.missing)) or "none",
            ),
            section("In short", [HIGHLIGHTS_HEAD, *self.highlights.values()]),
            section("Rows that we lose", self.losses or ["None in this run."]),
            section("Goals not reached", failed or ["None in this run."]),
        ]
        for group, lines in self.sections.items():
            parts.append(section(group, [*TABLE_HEAD, *lines]))
        if self.errors:
            parts.append(section("What could not be run", [f"- {e}" for e in self.errors]))
        if before is not None:
            parts.append(elsewhere(before))
        return "".join(parts)

    def readme_table(self) -> str:
        """The short table of the README: us against the quickest rival of the rows of `SHORT`."""
        lines = [self.highlights[title] for title in SHORT if title in self.highlights]
        head = HIGHLIGHTS_HEAD.replace("what", f"what, on {processor()}", 1)
        return "\n".join([head, *lines]) + "\n"


ELSEWHERE = "## On the other processor"
HIGHLIGHTS_HEAD = "| what | fastnn | the best of the others | ratio |\n| --- | --- | --- | --- |"
TABLE_HEAD = (
    "| what | who | median | best | ratio | goal | others |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)
BUSY = """
**The machine was busy with other work during this run; the ratios are indications only.**
"""
HEAD = """# Measured against the others

Written by `benches/compare.py` on {date}; {rounds} interleaved rounds a row, every rival in a
process of its own with the same number of threads. *median* is the middle round, *best* the
quickest; *ratio* is how many times quicker fastnn is: the median of the ratios formed inside each
round, with a 95 % interval. *others* is how many processors strangers kept busy meanwhile.
{warning}
{machine}
| load average | before {before}; after {after} |
| versions | {versions} |
| not installed here | {missing} |
"""


def section(title: str, lines: Iterable[str]) -> str:
    """A heading and what follows it."""
    return f"\n## {title}\n\n" + "\n".join(lines) + "\n"


def show(row: Row, seconds: float) -> str:
    """A time in the row's unit."""
    if row.unit == "us":
        return f"{seconds * 1e6:,.3g} us" if seconds < 1e-3 else f"{seconds * 1e3:,.3g} ms"
    if row.unit == "ms":
        return f"{seconds * 1e3:,.3g} ms"
    rate = row.per_call / seconds
    return f"{rate:,.0f} {row.unit}" if rate >= 100 else f"{rate:.3g} {row.unit}"


def share_of_peak(row: Row, ours: Result, results: dict[Contestant, Result]) -> str:
    """How much of the machine's own peak we reach, in rows where it takes part."""
    peaks = [r for c, r in results.items() if c.library == "peak" and not r.error]
    return f", {100 * ratio(peaks[0], ours, row.key)[0]:.0f} % of the peak" if peaks else ""


def goal_text(reached: float, goal: float | None) -> str:
    """The goal and whether it is reached."""
    return "" if goal is None else f"{goal:g}x, {'reached' if reached >= goal else 'not reached'}"


def table_row(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def caches() -> str:
    """Sizes of the caches of one processor, as the kernel reports them."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (
            (index / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size")
        )
        if kind != "Instruction":
            found[f"L{level}"] = size
    return ", ".join(f"{name} {size}" for name, size in found.items()) or "unknown"


def processor() -> str:
    """Model name, family and stepping: guests often give several processors the same name."""
    wanted = {"model name": "", "cpu family": "family ", "model": "model ", "stepping": "stepping "}
    parts = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in wanted:
            parts.setdefault(name.strip(), wanted[name.strip()] + value.strip())
    return ", ".join(parts[name] for name in wanted if name in parts) or "unknown processor"


def machine() -> str:
    """The machine as the first rows of a table."""
    flags = ""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            flags = ", ".join(f for f in ("avx2", "fma", "avx512f") if f in value.split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    count = len(os.sched_getaffinity(0))
    python, version = platform.python_version(), importlib.metadata.version("fastnn-rs")
    return (
        "| | |\n| --- | --- |\n"
        f"| machine | {processor()}; {count} processors ({flags}), {memory:.0f} GiB |\n"
        f"| caches | {caches()} |\n"
        f"| system | {platform.system()} {platform.release()}, Python {python}, fastnn {version} |"
    )


def elsewhere(before: str) -> str:
    """What the report before says of another processor: its short table, or what it kept."""
    kept = before.find(ELSEWHERE)
    line = next((x for x in before.splitlines() if x.startswith("| machine |")), "")
    if not line or f"| machine | {processor()};" in line:
        return "\n" + before[kept:] if kept >= 0 else ""
    date = before.partition("on ")[2][:10]
    short = before.partition("\n## In short\n")[2].partition("\n## ")[0].strip()
    name = line.split("|")[2].strip()
    return f"\n{ELSEWHERE}\n\nMeasured on {date}, {name}.\n\n{short}\n"


def update_readme(path: Path, table: str) -> bool:
    """Replace what stands between the markers of the README; False where there are none."""
    text = path.read_text(encoding="utf-8")
    if START not in text or END not in text:
        return False
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{START}\n{table}{END}{after}", encoding="utf-8")
    return True
