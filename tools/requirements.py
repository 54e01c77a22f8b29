"""Print what an extra of pyproject.toml needs, one requirement a line: `requirements.py dev`.

The Makefile installs tools from this list, so the extras stay the only place that names them and
nothing has to be built first. References to our own extras (`fastnn-rs[test]`) are followed.
"""

import re
import sys
import tomllib
from pathlib import Path


def requirements(extra: str, project: dict) -> list[str]:
    """The requirements of `extra` and of the package itself, sorted, each once."""
    found = set(project["dependencies"])
    for line in project["optional-dependencies"][extra]:
        own = re.fullmatch(re.escape(project["name"]) + r"\[(.+)\]", line)
        if own:
            for name in own[1].split(","):
                found.update(requirements(name.strip(), project))
        else:
            found.add(line)
    return sorted(found)


if __name__ == "__main__":
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    sys.stdout.write("\n".join(requirements(sys.argv[1], tomllib.loads(text)["project"])) + "\n")
