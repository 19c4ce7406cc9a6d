"""Frames to pictures without overlays and back to bytes: what this task shares with the others."""

from __future__ import annotations

from echonode.tasks.common.overlays import as_bytes, without

__all__ = ["as_bytes", "without"]
