"""`fastnn serve MODEL --port PORT`, which ends with the process that started it."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from fastnn import cli
from rivals.callers import end_with_parent

end_with_parent()
cli.main(["serve", sys.argv[1], "--port", sys.argv[2]])
