"""`python -m fastnn.exit_strategy.cli score acme.toml`: the exit tool alone."""

from .commands import main

if __name__ == "__main__":
    raise SystemExit(main())
