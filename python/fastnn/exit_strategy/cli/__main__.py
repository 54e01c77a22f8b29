"""`python -m fastnn.exit_strategy.cli score acme.toml`: the exit tool alone."""

from .commands import main

raise SystemExit(main())
