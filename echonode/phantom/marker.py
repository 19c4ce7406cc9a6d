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

PRIVATE_GROUP = 0x0099
PRIVATE_CREATOR = "ECHONODE PHANTOM"
MARKER, ORIGIN = 0x01, 0x02
"""Elements of the block: OB the signature, LO the study and object of the cohort."""
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
    value = _value(header, MARKER)
    return value[:_LONGEST_MARKER] if value else None


def origin_of(header: DataSet) -> str | None:
    """What `write_block` was told of the object's place in its cohort; None where the block is not there."""
    value = _value(header, ORIGIN)
    return value.decode("ascii", "replace").strip(" \0") if value else None


def is_simulated(header: DataSet) -> bool:
    """Whether the header says, without a signature, that the object shows a simulated heart and no patient.

    All of it must be there: results that are derived from a patient's object are Synthetic Data too, and test pictures of
    a scanner are of a Quality Control Subject.
    """
    said = [elements.text(header, name).strip().upper() for name in ("SyntheticData", "QualityControlSubject")]
    return said == ["YES", "YES"] and origin_of(header) is not None


def write_block(dataset: Dataset, *, origin: str, marker: bytes | None = None) -> None:
    """Add the private block (PS3.5 7.8.1) to a data set."""
    block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    if marker is not None:
        block.add_new(MARKER, "OB", marker)
    block.add_new(ORIGIN, "LO", origin[:64])


def _value(header: DataSet, element: int) -> bytes | None:
    for number in range(0x10, 0x100):
        if _bytes(header, PRIVATE_GROUP << 16 | number).strip(b" \0") == PRIVATE_CREATOR.encode():
            return _bytes(header, PRIVATE_GROUP << 16 | number << 8 | element)
    return None


def _bytes(header: DataSet, tag: int) -> bytes:
    element = elements.stored(header, tag)
    value = None if element is None else element.value
    if isinstance(value, bytes):
        return value
    return value.encode("ascii", "replace") if isinstance(value, str) else b""
