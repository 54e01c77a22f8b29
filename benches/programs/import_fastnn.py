import fastnn  # noqa: F401
