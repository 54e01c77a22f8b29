"""Shared fixtures of the exit tests: golden numbers from the data folder, one valid profile."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from exit_profiles import make_profile_dict


def data_folder() -> Path | None:
    """Return the data folder by FASTNN_DATA or beside the checkout, None when absent."""
    root = Path(__file__).resolve().parents[2]
    for candidate in (os.environ.get("FASTNN_DATA"), root.parent / "shared" / "data"):
        if candidate and (Path(candidate) / "startups").is_dir():
            return Path(candidate)
    return None


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """The oracles that came with the specification."""
    folder = data_folder()
    if folder is None:
        pytest.skip("data folder not found; set FASTNN_DATA")
    text = (folder / "startups" / "golden_examples.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@pytest.fixture
def profile_dict() -> dict[str, Any]:
    """A complete, valid, flat profile mapping."""
    return make_profile_dict()
