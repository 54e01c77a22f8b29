"""A company's report as the command line writes it."""

import contextlib
import io
import json
import tempfile
from pathlib import Path

from fastnn.cli import main
from rivals.data import COMPANY

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "acme.json")
    file.write_text(json.dumps(COMPANY), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["exit", "score", str(file), "--html", str(Path(folder, "out.html"))]) in (0, 3)
    assert "ipo" in out.getvalue().lower()
