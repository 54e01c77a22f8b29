"""The form and the report in a browser on this machine (extra `serve`)."""

from __future__ import annotations

from .app import create_app, serve

__all__ = ["create_app", "serve"]
