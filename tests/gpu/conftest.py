"""An adapter for the tests of this folder, Mesa's on the CPU where that is installed.

They are skipped where there is none, and fail where `FASTNN_TEST_GPU=require` says that there must
be one. `FASTNN_TEST_GPU=card` runs them on the first adapter of all, and requires one.
"""

import os
from pathlib import Path

import pytest

#: The driver of Mesa that computes on the CPU, where Linux distributions install it.
SOFTWARE = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))


def pytest_configure():
    """Before the first test loads a driver."""
    os.environ.setdefault("FASTNN_SOFTWARE_GPU", "1")
    os.environ.setdefault("LP_NUM_THREADS", "1")
    os.environ.setdefault("XDG_RUNTIME_DIR", "/tmp")
    is_free = "VK_DRIVER_FILES" not in os.environ and os.environ.get("FASTNN_TEST_GPU") != "card"
    if SOFTWARE and is_free:
        os.environ["VK_DRIVER_FILES"] = str(SOFTWARE[0])


@pytest.fixture(scope="session")
def gpu():
    """The first GPU, opened."""
    from fastnn.devices.gpu import opened
    from fastnn.errors import GpuUnavailableError

    try:
        return opened("gpu:0")
    except GpuUnavailableError as error:
        if os.environ.get("FASTNN_TEST_GPU") in ("require", "card"):
            raise
        pytest.skip(str(error))
