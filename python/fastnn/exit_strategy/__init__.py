"""Weigh IPO, sale and strategic transformation with numbers that can be checked."""
