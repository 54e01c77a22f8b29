"""Make a built wheel fit to give away: `python tools/wheel.py dist/*.whl`.

The list of parts (CycloneDX, in `sboms/`) that maturin adds names the folder of the build; it is
replaced by `.`, and RECORD gets the new hash. Then every file of the wheel is searched for folders
of this machine, the binary included: one that is found is an error.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def private_paths() -> list[bytes]:
    """Folders whose names say something about the machine of the build."""
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    return [str(ROOT).encode(), str(cargo).encode()]


def record_line(name: str, data: bytes) -> str:
    """A file's line in RECORD (PEP 376): name, hash, size."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}"


def clean(path: Path) -> list[str]:
    """Rewrites a wheel; gives what still names the machine."""
    with zipfile.ZipFile(path) as wheel:
        files = {info: wheel.read(info) for info in wheel.infolist()}
    for info, data in files.items():
        if "/sboms/" in info.filename:
            files[info] = data.replace(str(ROOT).encode(), b".")
    for info, data in files.items():
        if info.filename.endswith(".dist-info/RECORD"):
            known = {i.filename: d for i, d in files.items()}
            lines = [
                record_line(name, known[name]) if "/sboms/" in name else line
                for line in data.decode().splitlines()
                for name in [line.split(",")[0]]
            ]
            files[info] = ("\n".join(lines) + "\n").encode()
    scratch = path.with_suffix(".tmp")
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as wheel:
        for info, data in files.items():
            wheel.writestr(info, data)
    scratch.replace(path)
    return [
        f"{info.filename} names {place.decode()}"
        for info, data in files.items()
        for place in private_paths()
        if place in data
    ]


def main() -> int:
    """Cleans the wheels that are named; 1 when one still names the machine."""
    faults = [f"{path}: {fault}" for path in sys.argv[1:] for fault in clean(Path(path))]
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
