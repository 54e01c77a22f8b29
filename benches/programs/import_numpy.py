import numpy  # noqa: F401
