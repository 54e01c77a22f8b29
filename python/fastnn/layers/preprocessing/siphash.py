"""SipHash-2-4 of bytes under a key of two numbers: hashes with a salt, as Keras's.

Source: Aumasson and Bernstein 2012, "SipHash: a fast short-input PRF".
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["salt_of", "siphash24"]

_M = (1 << 64) - 1


def salt_of(salt: object, where: str) -> list[int] | None:
    """The key: two whole numbers, or one that stands for both; ValueError for anything else."""
    if salt is None:
        return None
    if isinstance(salt, tuple | list) and len(salt) == 2:
        return [int(k) for k in salt]
    if isinstance(salt, int) and not isinstance(salt, bool):
        return [salt, salt]
    raise ValueError(
        f"The `salt` argument for `{where}` can only be a tuple of size 2 integers, or a single "
        f"integer. Received: salt={salt}.\n  hint: salt=(1, 2)"
    )


def _rot(x: int, n: int) -> int:
    return ((x << n) | (x >> (64 - n))) & _M


def _rounds(v: list[int], n: int) -> None:
    for _ in range(n):
        v[0] = (v[0] + v[1]) & _M
        v[1] = _rot(v[1], 13) ^ v[0]
        v[0] = _rot(v[0], 32)
        v[2] = (v[2] + v[3]) & _M
        v[3] = _rot(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & _M
        v[3] = _rot(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & _M
        v[1] = _rot(v[1], 17) ^ v[2]
        v[2] = _rot(v[2], 32)


def siphash24(key: Sequence[int], data: bytes) -> int:
    """The hash, a whole number of 64 bits without sign."""
    a, b = (k & _M for k in key)
    v = [a ^ 0x736F6D6570736575, b ^ 0x646F72616E646F6D,
         a ^ 0x6C7967656E657261, b ^ 0x7465646279746573]  # fmt: skip
    whole = len(data) // 8 * 8
    last = data[whole:].ljust(7, b"\0") + bytes([len(data) & 0xFF])
    for i in range(0, whole + 8, 8):
        m = int.from_bytes(data[i : i + 8] if i < whole else last, "little")
        v[3] ^= m
        _rounds(v, 2)
        v[0] ^= m
    v[2] ^= 0xFF
    _rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
