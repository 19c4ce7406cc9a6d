"""What an edge hands to the ingest door, and what the door answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Origin(StrEnum):
    """How an object came in."""

    DIMSE = "dimse"
    WEB = "web"
    IMPORT = "import"
    DERIVED = "derived"  # made by this node: never routed


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivedObject:
    """One complete object on the blob file system, not yet acknowledged.

    `part` is a Part 10 file under the store's parts folder: preamble, file meta written by us, then the data set's
    bytes exactly as received, from `dataset_offset` to the end. `sha256` (hex) is over those bytes alone, and
    `size` counts them. `sop_class_uid` and `sop_instance_uid` are the *command's* (empty when it has none).
    The door owns `part` from here on: it is moved into the store, into quarantine, or unlinked.
    """

    part: Path
    dataset_offset: int
    size: int
    sha256: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    origin: Origin = Origin.DIMSE
    calling_ae: str = ""
    called_ae: str = ""
    peer_address: str = ""
    correlation_id: str = ""
    """The id of the association, request or run: in every log line, workitem and derived object of this loop."""
    self_check: bool = False
    """Derived from this node's own simulated study: hidden, as that is."""
    marked_only: bool = False
    """From this node itself: refused unless it carries the node's marker."""


class Verdict(StrEnum):
    """What became of a received object."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # same UID, same bytes: nothing new
    VERSION = "version"  # same UID, same pixels, other header or transfer syntax: kept beside the first
    CONFLICT = "conflict"  # same UID, other pixels: the first is kept, this one quarantined
    QUARANTINED = "quarantined"  # unreadable, without UIDs, or not what the command said


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The door's answer, given only after what it says would survive a power cut."""

    verdict: Verdict
    dicom_status: int
    http_status: int = 200
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    series_uid: str = ""
    study_uid: str = ""
    detail: str = ""
    self_check: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the sender may forget the object."""
        return self.dicom_status == 0x0000
