"""Stages of a stress test: which of them is rest, and what is one stage."""

from __future__ import annotations

import re
from typing import Final

REST: Final = ("REST", "BASELINE", "PRE-EXERCISE")
"""Stage Names (0008,2120) that mean rest; PS3.3 C.8.5.6.1 has the last two as defined terms."""


def stage_key(stage: str | None) -> str:
    """What makes two Stage Names one: neither case nor the spaces, underscores and dashes between words."""
    return re.sub(r"[\s_-]+", "-", (stage or "").strip().upper())


def is_rest(stage: str | None) -> bool:
    """Whether loops of that stage stand for the heart at rest: no stage, or one that names rest."""
    key = stage_key(stage)
    return not key or key in REST or key == "RESTING"
