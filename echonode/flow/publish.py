"""From a result to a stored object: built with a deterministic UID, taken in through the same door as everything else.

Whatever is killed in between, the next attempt finds the object by its UID and makes no second one.
"""

from __future__ import annotations

import hashlib
import logging
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.core.errors import BadInput, RunFailed
from echonode.core.ports import Clock
from echonode.core.received import Origin, ReceivedObject
from echonode.core.results import Ineligible
from echonode.core.routes import RoutesFile
from echonode.core.settings import NodeSettings
from echonode.core.work import WorkItem, WorkRequest
from echonode.derive.common import DerivedObject
from echonode.flow.deliver import delivery_request
from echonode.flow.ingest import Ingest

LOG = logging.getLogger(__name__)
CHUNK_BYTES = 1 << 20
ON_REQUEST = frozenset({"measurements", "synthetic"})
"""Kinds that only go to destinations that name them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A derived object that is in the archive; `new` is False when an earlier attempt had put it there."""

    sop_instance_uid: str
    series_uid: str
    kind: str
    new: bool


class Publisher:
    """Puts derived objects into the archive, within the caps of their study."""

    def __init__(
        self,
        *,
        archive: Archive,
        blobs: LocalBlobs,
        ingest: Ingest,
        routes: RoutesFile,
        settings: NodeSettings,
        clock: Clock,
    ) -> None:
        self._archive, self._blobs, self._ingest = archive, blobs, ingest
        self._settings, self._clock = settings, clock
        self._kinds = {destination.name: destination.kinds for destination in routes.destination}
        self._counting = threading.Lock()

    def now(self) -> datetime:
        """When what is built now was made, on the node's own clock."""
        return datetime.fromtimestamp(self._clock()).astimezone()

    def archived(self, sop_instance_uid: str, *, kind: str) -> Published | Ineligible | None:
        """The object, when it is in the archive already; a refusal when a person took it back."""
        stored = self._archive.index.instance(sop_instance_uid)
        if stored is None:
            return None
        if stored.withdrawn:
            return Ineligible(reason=f"the result was withdrawn: {stored.withdrawn}", code="withdrawn")
        return Published(sop_instance_uid=sop_instance_uid, series_uid=stored.series_uid, kind=kind, new=False)

    def over_the_caps(self, study_uid: str, *, more_bytes: int = 0) -> Ineligible | None:
        """Why the study takes no further derived object of that size, or None."""
        limits = self._settings.limits
        objects, size = self._archive.index.derived_usage(study_uid)
        if objects >= limits.derived_objects_per_study:
            most = limits.derived_objects_per_study
            return Ineligible(reason=f"the study has {objects} derived objects, and {most} is the cap", code="cap")
        if size + more_bytes > limits.derived_bytes_per_study:
            most = limits.derived_bytes_per_study
            reason = f"the study's derived objects would be {size + more_bytes} bytes, and {most} is the cap"
            return Ineligible(reason=reason, code="cap")
        return None

    def publish(
        self, make: Callable[[], DerivedObject], *, item: WorkItem, capped: bool = True
    ) -> Published | Ineligible:
        """Store what `make` builds; a refusal when no object can be made of it, its study's caps are reached (with
        `capped`: a report that says so is not held back by them), or a person took it back.

        Raises:
            RunFailed: the archive did not take the object.
            StorageUnavailable, OutOfStorage: not now.
        """
        try:
            derived = make()
        except BadInput as error:
            return Ineligible(reason=str(error), code="no-object")
        if known := self.archived(derived.sop_instance_uid, kind=derived.kind):
            return known
        part = self._blobs.new_part()
        try:
            derived.write(part)
            received = self._received(part, derived, item)
            with self._counting:
                ours = capped and derived.study_uid == item.study_uid  # what shows no patient is of a study of its own
                refusal = self.over_the_caps(derived.study_uid, more_bytes=received.size) if ours else None
                if refusal is not None:
                    return refusal
                self._ingest.precheck(0)
                receipt = self._ingest.accept(received)
        finally:
            part.unlink(missing_ok=True)
        if self._archive.index.instance(derived.sop_instance_uid) is None:
            raise RunFailed(f"the archive did not take the result: {receipt.verdict}: {receipt.detail}")
        return Published(
            sop_instance_uid=derived.sop_instance_uid, series_uid=derived.series_uid, kind=derived.kind, new=True
        )

    def deliveries(self, item: WorkItem, published: Sequence[Published]) -> list[WorkRequest]:
        """One DELIVER request for each object and each destination of the run that takes objects of its kind.

        A destination that routes.toml no longer names gets its items too: they end as dead letters, in plain sight.
        """
        if item.payload.get("self_check"):
            return []
        return [
            delivery_request(
                destination,
                item,
                sop_instance_uid=each.sop_instance_uid,
                series_uid=each.series_uid,
                kind=each.kind,
                attempts=self._settings.work.delivery_attempts,
            )
            for destination in item.payload.get("deliver_to", ())
            for each in published
            if self._takes(destination, each.kind)
        ]

    def _takes(self, destination: str, kind: str) -> bool:
        kinds = self._kinds.get(destination)
        return kind not in ON_REQUEST if kinds is None else kind in kinds

    def _received(self, part: Path, derived: DerivedObject, item: WorkItem) -> ReceivedObject:
        offset = dataset_offset(part)
        digest, size = digest_from(part, offset)
        return ReceivedObject(
            part=part,
            dataset_offset=offset,
            size=size,
            sha256=digest,
            sop_class_uid=derived.sop_class_uid,
            sop_instance_uid=derived.sop_instance_uid,
            transfer_syntax_uid=derived.transfer_syntax_uid,
            origin=Origin.DERIVED,
            calling_ae=self._settings.node.ae_title,
            called_ae=self._settings.node.ae_title,
            correlation_id=item.correlation_id,
            self_check=bool(item.payload.get("self_check")),
        )


def dataset_offset(path: Path) -> int:
    """Where the data set of a Part 10 file begins, from File Meta Information Group Length (PS3.10 7.1).

    Raises:
        RunFailed: the file does not begin as Part 10 says.
    """
    with path.open("rb") as file:
        head = file.read(144)
    if len(head) < 144 or head[128:132] != b"DICM" or head[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        raise RunFailed("the built object is no Part 10 file", transient=False)
    return 144 + int(struct.unpack("<I", head[140:144])[0])


def digest_from(path: Path, offset: int) -> tuple[str, int]:
    """SHA-256 in hex over the file from `offset` on, and how many bytes that is."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
