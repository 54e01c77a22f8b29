import jax  # noqa: F401
