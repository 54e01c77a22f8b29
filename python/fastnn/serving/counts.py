"""What a service counts, in Prometheus's text format. Depends on the standard library."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

__all__ = ["Counts"]

#: Upper ends of the classes of answer times, in seconds.
_ENDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Counts:
    """Counters of one app; only its event loop changes them."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self._times = [0] * (len(_ENDS) + 1)
        self._seconds = 0.0
        self.underway = 0
        self.rows = 0
        self.reloads = 0
        self.refused_files = 0

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Counts an answer."""
        self.answers[route, status] += 1
        if route == "/predict":
            self._times[bisect_left(_ENDS, seconds)] += 1
            self._seconds += seconds

    def text(self, batches: int) -> str:
        """All counters."""
        lines = [
            "# HELP fastnn_requests_total Requests by route and status.",
            "# TYPE fastnn_requests_total counter",
            *(
                f'fastnn_requests_total{{route="{route}",status="{status}"}} {count}'
                for (route, status), count in sorted(self.answers.items())
            ),
            "# HELP fastnn_predict_seconds Time from the first byte of a request to its answer.",
            "# TYPE fastnn_predict_seconds histogram",
        ]
        total = 0
        for end, count in zip((*map(str, _ENDS), "+Inf"), self._times, strict=True):
            total += count
            lines.append(f'fastnn_predict_seconds_bucket{{le="{end}"}} {total}')
        lines += [
            f"fastnn_predict_seconds_sum {self._seconds:.6f}",
            f"fastnn_predict_seconds_count {total}",
        ]
        for name, kind, what, value in (
            ("rows_total", "counter", "Rows predicted.", self.rows),
            ("batches_total", "counter", "Runs of the model; requests share them.", batches),
            ("requests_underway", "gauge", "Requests without an answer yet.", self.underway),
            ("reloads_total", "counter", "New model files that are served.", self.reloads),
            ("refused_files_total", "counter", "Model files refused.", self.refused_files),
        ):
            lines += [f"# HELP fastnn_{name} {what}", f"# TYPE fastnn_{name} {kind}"]
            lines.append(f"fastnn_{name} {value}")
        return "\n".join(lines) + "\n"
