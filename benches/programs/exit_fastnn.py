"""The shipped template's report, as the command line writes it."""

import contextlib
import io
import tempfile
from pathlib import Path

from fastnn.cli import main
from fastnn.exit_strategy import template

with tempfile.TemporaryDirectory() as folder:
    file, page = Path(folder, "acme.toml"), Path(folder, "out.html")
    file.write_text(template(), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["exit", "score", str(file), "--html", str(page)]) in (0, 3)
    assert page.stat().st_size > 10_000
    assert "ipo" in out.getvalue().lower()
