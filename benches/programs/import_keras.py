import keras  # noqa: F401
