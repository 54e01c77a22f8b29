"""Comparisons with other libraries: the `peers` extra."""
