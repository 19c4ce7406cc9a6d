"""The private block of simulated objects: where they come from, and a signature that only one node can make.

A node that simulates studies to check itself signs each of them with a key of its own. It can then tell its own
simulated studies from everything else that is sent to it, also from simulated studies of strangers.
"""

from __future__ import annotations

import hashlib
import hmac

from pydicom.dataset import Dataset

from echonode.core.errors import BadInput
from echonode.dicom import elements
from echonode.dicom.elements import DataSet
from echonode.dicom.private_elements import private_bytes
from echonode.dicom.simulated import ORIGIN, PRIVATE_CREATOR, PRIVATE_GROUP, is_simulated, origin_of

__all__ = [
    "MARKER", "ORIGIN", "PRIVATE_CREATOR", "PRIVATE_GROUP", "SHORTEST_KEY", "is_simulated", "marker_of", "origin_of", "sign",
    "signed_by", "write_block",
]  # fmt: skip

MARKER = 0x01
"""Element of the block: OB the signature."""
SHORTEST_KEY = 16
_CONTEXT = b"echonode phantom object\0"
_LONGEST_MARKER = 1024


def sign(uid: str, key: bytes) -> bytes:
    """The marker of the object with that SOP Instance UID: 32 bytes, HMAC-SHA256 (RFC 2104).

    Raises:
        BadInput: the key has fewer than SHORTEST_KEY bytes.
    """
    if len(key) < SHORTEST_KEY:
        raise BadInput(f"a key that signs simulated objects has {SHORTEST_KEY} bytes or more, not {len(key)}")
    return hmac.new(key, _CONTEXT + uid.encode(), hashlib.sha256).digest()


def signed_by(header: DataSet, key: bytes) -> bool:
    """Whether the header carries the marker that `key` gives to its SOP Instance UID; a malformed one is none.

    Raises:
        BadInput: the key has fewer than SHORTEST_KEY bytes.
    """
    expected = sign(elements.text(header, "SOPInstanceUID"), key)
    return hmac.compare_digest(expected, marker_of(header) or b"")


def marker_of(header: DataSet) -> bytes | None:
    """The marker as it stands in the header; None where there is none."""
    value = private_bytes(header, group=PRIVATE_GROUP, creator=PRIVATE_CREATOR, element=MARKER)
    return value[:_LONGEST_MARKER] if value else None


def write_block(dataset: Dataset, *, origin: str, marker: bytes | None = None) -> None:
    """Add the private block (PS3.5 7.8.1) to a data set."""
    block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    if marker is not None:
        block.add_new(MARKER, "OB", marker)
    block.add_new(ORIGIN, "LO", origin[:64])
