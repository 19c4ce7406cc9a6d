"""From a result to a stored object: built with a deterministic UID, taken in through the same door as everything else.

Whatever is killed in between, the next attempt finds the object by its UID and makes no second one.
"""

from __future__ import annotations

import hashlib
import logging
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.core.errors import BadInput, RunFailed
from echonode.core.package import Package
from echonode.core.ports import Clock
from echonode.core.query import StoredInstance
from echonode.core.received import Origin, ReceivedObject
from echonode.core.results import Ineligible, Loop
from echonode.core.routes import RoutesFile
from echonode.core.settings import NodeSettings
from echonode.core.work import WorkItem, WorkRequest
from echonode.derive.cine import build_cine
from echonode.derive.common import DerivedObject
from echonode.flow.deliver import delivery_request
from echonode.flow.ingest import Ingest

LOG = logging.getLogger(__name__)
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A derived object that is in the archive; `new` is False when an earlier attempt had put it there."""

    sop_instance_uid: str
    series_uid: str
    kind: str
    new: bool


class Publisher:
    """Turns results into stored objects, within the caps a study."""

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

    def archived(self, sop_instance_uid: str, *, kind: str) -> Published | None:
        """The object, when it is in the archive already."""
        stored = self._archive.index.instance(sop_instance_uid)
        if stored is None:
            return None
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
        self, loop: Loop, source: StoredInstance, *, package: Package, parameters: Mapping[str, Any], item: WorkItem
    ) -> Published | Ineligible:
        """Store `loop` beside `source`; a refusal when the study's caps are
        reached or no object can be made of it.

        Raises:
            RunFailed: the object could not be built or the archive did not take it.
            StorageUnavailable, OutOfStorage: not now.
        """
        try:
            derived = build_cine(
                Path(source.path),
                loop,
                package=package,
                parameters=parameters,
                node=self._settings.node,
                now=datetime.fromtimestamp(self._clock()).astimezone(),
                limits=self._settings.limits,
            )
        except BadInput as error:
            return Ineligible(reason=str(error), code="no-object")
        if known := self.archived(derived.sop_instance_uid, kind=derived.kind):
            return known
        part = self._blobs.new_part()
        try:
            derived.write(part)
            received = self._received(part, derived, item)
            with self._counting:
                refusal = self.over_the_caps(source.study_uid, more_bytes=received.size)
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

    def deliveries(self, item: WorkItem, published: Published) -> list[WorkRequest]:
        """One DELIVER request for each destination of the run that takes objects of that kind.

        A destination that routes.toml no longer names gets its item too: it ends as a dead letter, in plain sight.
        """
        requests: list[WorkRequest] = []
        if item.payload.get("self_check"):
            return requests
        for destination in item.payload.get("deliver_to", ()):
            kinds = self._kinds.get(destination)
            if kinds is None or published.kind in kinds:
                requests.append(
                    delivery_request(
                        destination,
                        item,
                        sop_instance_uid=published.sop_instance_uid,
                        series_uid=published.series_uid,
                        kind=published.kind,
                        attempts=self._settings.work.delivery_attempts,
                    )
                )
        return requests

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
