"""A company's profile: read, checked, completed; its template and JSON Schema."""

from __future__ import annotations

from .profile import Profile, read_mapping

__all__ = ["Profile", "read_mapping"]
