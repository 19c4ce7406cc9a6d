"""Names that must come out the same every time: deterministic UIDs, digests, and the check of a UID's form."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
UID_NAMESPACE = uuid.UUID("5b0f6c1e-4a3d-5d53-9c9a-0e7d4b1f2a66")
IMPLEMENTATION_CLASS_UID = f"2.25.{uuid.uuid5(UID_NAMESPACE, 'implementation class').int}"
IMPLEMENTATION_VERSION_NAME = "ECHONODE_0_1"


def is_uid(value: str) -> bool:
    """Whether `value` is a UID as PS3.5 9.1 writes it: digits and dots, at most 64 characters.

    Components with a leading zero are tolerated: real scanners send them.
    """
    return 0 < len(value) <= 64 and _UID.fullmatch(value) is not None


def derived_uid(*parts: str) -> str:
    """A UID under 2.25 (PS3.5 B.2) that is the same for the same parts, whenever and wherever it is made."""
    key = "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)
    return f"2.25.{uuid.uuid5(UID_NAMESPACE, key).int}"


def digest_of(value: Mapping[str, Any] | Iterable[Any]) -> str:
    """SHA-256 in hex over a canonical JSON text of `value`."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def new_id() -> str:
    """A fresh identifier for an association, run or workitem: 32 hex digits."""
    return uuid.uuid4().hex
