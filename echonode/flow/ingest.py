"""The door: every object that the node keeps comes through here, from whichever edge, and only once.

What the receipt says is on disk before it is given. The order is: bytes synced and moved to their place, then one
transaction with the index rows, the audit row and the planned work. A crash between the two leaves a file that no row
names (it is swept, or used when the sender tries again), never a row without its file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs, blob_name
from echonode.archive.contents import Content
from echonode.archive.entry import AlreadyIndexed, Entry, insert_entry, insert_version
from echonode.core.errors import (
    BudgetExceeded,
    ConflictingDuplicate,
    EchonodeError,
    NotAuthorised,
    ObjectMismatch,
    OutOfStorage,
    StorageUnavailable,
    UnreadableObject,
)
from echonode.core.facts import Facts
from echonode.core.identity import is_uid
from echonode.core.ports import Clock
from echonode.core.query import StoredInstance
from echonode.core.received import Origin, Receipt, ReceivedObject, Verdict
from echonode.core.settings import NodeSettings
from echonode.core.views import ViewsFile
from echonode.core.work import WorkRequest
from echonode.dicom.elements import DataSet
from echonode.dicom.facts import facts_of
from echonode.dicom.header import SYNTAXES_DEFLATED, Header, read_header
from echonode.dicom.index_attributes import index_attributes
from echonode.dicom.json_model import Model, model_of
from echonode.flow.comparison import compare_objects
from echonode.flow.composing import content_of, named_model
from echonode.flow.inflation import read_deflated_header

Planner = Callable[[Facts], Sequence[WorkRequest]]
"""The runs that an object asks for, from its facts alone."""
Recogniser = Callable[[DataSet], bool]
"""Whether a header carries the marker that this node alone can make."""

log = structlog.get_logger(__name__)
_WARN_EVERY_SECONDS = 300.0


class Ingest:
    """Takes received objects; safe to call from many threads, which then share the database's syncs.

    Opening a door sweeps away what processes that live no more had half received. What `recogniser` knows as this
    node's own simulated object is kept hidden; without one there is no such object. `views` is views.toml.
    """

    def __init__(
        self,
        *,
        archive: Archive,
        blobs: LocalBlobs,
        planner: Planner,
        settings: NodeSettings,
        clock: Clock | None = None,
        recogniser: Recogniser | None = None,
        views: ViewsFile | None = None,
    ) -> None:
        self._recogniser = recogniser
        self._views = views
        self._archive = archive
        self._blobs = blobs
        self._planner = planner
        self._settings = settings
        self._clock = clock or archive.clock
        self._warned_at = float("-inf")
        blobs.sweep_parts()

    def precheck(self, expected_bytes: int = 0) -> None:
        """Whether `expected_bytes` more may be received.

        Raises:
            OutOfStorage: less than storage.refuse_below_bytes would be left; nothing has been read yet.
        """
        storage = self._settings.storage
        free = self._blobs.free_bytes() - expected_bytes
        if free < storage.refuse_below_bytes:
            raise OutOfStorage(f"{free} bytes are free, storage.refuse_below_bytes is {storage.refuse_below_bytes}")
        if free < storage.warn_below_bytes and self._clock() - self._warned_at > _WARN_EVERY_SECONDS:
            self._warned_at = self._clock()
            log.warning("little disk space is left", free_bytes=free)

    def accept(self, received: ReceivedObject) -> Receipt:
        """Store one object, or say why not. `received.part` is gone afterwards, whatever happens.

        Raises:
            StorageUnavailable: the disk or the database does not take writes now; nothing was kept.
        """
        try:
            return self._accept(received)
        except OSError as error:
            raise StorageUnavailable(f"the object could not be written: {error.strerror or error}") from error
        finally:
            received.part.unlink(missing_ok=True)

    def _accept(self, received: ReceivedObject) -> Receipt:
        entry: Entry | None = None
        try:
            header = self._read(received)
            model = self._model(header, received)
            facts, doubt = self._facts(header, received)
            facts = replace(facts, self_check=received.self_check or self._is_ours(header, received))
            facts, entry = _entry(header, model, facts, received)
            if received.sop_instance_uid and received.sop_instance_uid != entry.sop_instance_uid:
                raise ObjectMismatch("the command names another SOP Instance UID than the data set")
            if received.sop_class_uid and received.sop_class_uid != entry.sop_class_uid:
                raise ObjectMismatch("the command names another SOP Class UID than the data set")
            if received.marked_only and not facts.self_check:
                raise NotAuthorised("under the node's own AE title only its own simulated objects are taken")
        except (UnreadableObject, BudgetExceeded, ObjectMismatch, NotAuthorised) as refusal:
            return self._quarantine(received, received.part, refusal, entry)
        requests, complaint = ((), "") if entry.derived else self._plan(facts, received)
        doubt = doubt or complaint
        entry = replace(entry, content=self._content(header, model, entry, received))
        entry, place = self._adopt(entry, received)
        try:
            self._archive.write(lambda connection: self._store(connection, entry, place, requests, doubt))
        except AlreadyIndexed:
            return self._again(received, entry, place)
        if received.origin is Origin.DIMSE and not entry.hidden:
            self._archive.activity.remember(received.correlation_id, entry.study_uid)
        return _receipt(Verdict.STORED, entry)

    def _read(self, received: ReceivedObject) -> Header:
        reader = read_deflated_header if received.transfer_syntax_uid in SYNTAXES_DEFLATED else read_header
        return reader(
            received.part,
            offset=received.dataset_offset,
            transfer_syntax_uid=received.transfer_syntax_uid,
            limits=self._settings.limits,
        )

    def _facts(self, header: Header, received: ReceivedObject) -> tuple[Facts, str]:
        syntax, caller = received.transfer_syntax_uid, received.calling_ae
        try:
            return facts_of(header.item, transfer_syntax_uid=syntax, calling_ae=caller, views=self._views), ""
        except Exception as error:  # noqa: BLE001  an object that can be kept is kept, whatever its header does to us
            log.warning("facts cannot be read", error=type(error).__name__, correlation_id=received.correlation_id)
            bare = Facts(
                sop_instance_uid="", sop_class_uid="", series_uid="", study_uid="", transfer_syntax_uid=syntax,
                calling_ae=caller, mode_reason="the header could not be interpreted",
            )  # fmt: skip
            return bare, f"facts could not be read: {type(error).__name__}"

    def _is_ours(self, header: Header, received: ReceivedObject) -> bool:
        """Never by name: the marker is a signature of the SOP Instance UID under a key that no one else has."""
        if self._recogniser is None:
            return False
        try:
            return self._recogniser(header.item)
        except Exception as error:  # noqa: BLE001  what cannot be told is a patient's
            log.warning("marker not read", error=type(error).__name__, correlation_id=received.correlation_id)
            return False

    def _model(self, header: Header, received: ReceivedObject) -> Model:
        try:
            return model_of(header)
        except Exception as error:  # noqa: BLE001  as with the facts
            log.warning("metadata cannot be made", error=type(error).__name__, correlation_id=received.correlation_id)
            return {}

    def _content(self, header: Header, model: Model, entry: Entry, received: ReceivedObject) -> Content:
        return content_of(
            header,
            model or named_model(entry),
            received.part,
            transfer_syntax_uid=received.transfer_syntax_uid,
            limits=self._settings.limits,
        )

    def _plan(self, facts: Facts, received: ReceivedObject) -> tuple[Sequence[WorkRequest], str]:
        try:
            requests = self._planner(facts)
        except Exception as error:  # noqa: BLE001  nobody's object is refused because a rule of ours fails
            log.error("planning failed", error=type(error).__name__, correlation_id=received.correlation_id)
            return (), f"planning failed: {type(error).__name__}"
        return [
            request if request.correlation_id else replace(request, correlation_id=received.correlation_id)
            for request in requests
        ], ""

    def _adopt(self, entry: Entry, received: ReceivedObject) -> tuple[Entry, Path]:
        place = self._blobs.adopt(received.part, sha256=entry.blob)
        offset = place.stat().st_size - received.size
        # The same data set may lie there already with a file meta of another length, from a try that was cut short.
        moved = offset - entry.dataset_offset
        if moved:
            content = entry.content and replace(entry.content, frames=entry.content.frames.shifted(moved))
            entry = replace(entry, dataset_offset=offset, content=content)
        return entry, place

    def _store(
        self, connection: Connection, entry: Entry, place: Path, requests: Sequence[WorkRequest], doubt: str
    ) -> None:
        known = insert_entry(connection, entry, now=self._clock())
        if known is not None and not entry.derived:
            self._archive.conflicts.check(connection, entry, known=known)
        self._archive.work.enqueue(connection, requests)
        details: dict[str, Any] = {"planned": [request.unique_key for request in requests]} if requests else {}
        self._audit(connection, "stored", entry, details | ({"doubt": doubt} if doubt else {}))
        if entry.origin == Origin.DIMSE and not entry.hidden:
            self._archive.activity.received(
                connection,
                association_id=entry.correlation_id,
                study_uid=entry.study_uid,
                calling_ae=entry.calling_ae,
                called_ae=entry.called_ae,
                peer_address=entry.peer_address,
            )
        _must_exist(place)

    def _again(self, received: ReceivedObject, entry: Entry, place: Path) -> Receipt:
        """The SOP Instance UID is known: a duplicate, a version, or a conflict."""
        index = self._archive.index
        first = index.instance(entry.sop_instance_uid)
        if first is None:
            raise StorageUnavailable("the object was removed while it came in again")
        for known in (first, *index.versions(entry.sop_instance_uid)):
            if (known.sha256, known.transfer_syntax_uid) == (entry.sha256, entry.transfer_syntax_uid):
                return _receipt(Verdict.DUPLICATE, entry, "the same bytes are stored already")
        # It must neither vanish with the hidden one nor be taken for it.
        if first.hidden != entry.hidden and not first.withdrawn:
            whose = "is" if first.hidden else "is not"
            conflict = ConflictingDuplicate(
                f"the object that is stored under this UID {whose} this node's own simulation"
            )
            return self._quarantine(received, place, conflict, entry)
        sameness = compare_objects(first, _stored(entry, place), limits=self._settings.limits)
        if not sameness.same:
            conflict = ConflictingDuplicate(f"the SOP Instance UID is stored with other content: {sameness.detail}")
            return self._quarantine(received, place, conflict, entry)

        def keep(connection: Connection) -> None:
            if insert_version(connection, entry, detail=sameness.detail, now=self._clock()):
                self._audit(connection, "version kept", entry, {"detail": sameness.detail})
            _must_exist(place)

        self._archive.write(keep)
        return _receipt(Verdict.VERSION, entry, sameness.detail)

    def _quarantine(self, received: ReceivedObject, file: Path, refusal: EchonodeError, entry: Entry | None) -> Receipt:
        blob = blob_name(received.sha256, received.transfer_syntax_uid)
        place = self._blobs.quarantine(file, sha256=blob)
        instance_uid = entry.sop_instance_uid if entry else received.sop_instance_uid
        row: dict[str, Any] = {
            "blob": blob,
            "sha256": received.sha256,
            "size": received.size,
            "dataset_offset": place.stat().st_size - received.size,
            "reason": str(refusal),
            "dicom_status": refusal.dicom_status,
            "sop_class_uid": _claimed(entry.sop_class_uid if entry else received.sop_class_uid),
            "sop_instance_uid": _claimed(instance_uid),
            "study_uid": _claimed(entry.study_uid if entry else ""),
            "transfer_syntax_uid": received.transfer_syntax_uid,
            "origin": received.origin,
            "calling_ae": received.calling_ae,
            "called_ae": received.called_ae,
            "peer_address": received.peer_address,
            "correlation_id": received.correlation_id,
        }

        def keep(connection: Connection) -> int:
            number = self._archive.quarantine.put(connection, row)
            self._archive.audit.write(
                connection,
                event="quarantined",
                correlation_id=received.correlation_id,
                study_uid=row["study_uid"],
                sop_instance_uid=row["sop_instance_uid"],
                who=received.calling_ae,
                details={"number": number, "reason": str(refusal), "status": f"{refusal.dicom_status:04X}H"},
            )
            _must_exist(place)
            return number

        number = self._archive.write(keep)
        status = f"{refusal.dicom_status:04X}H"
        log.warning("quarantined", number=number, status=status, correlation_id=received.correlation_id)
        conflict = isinstance(refusal, ConflictingDuplicate)
        return Receipt(
            verdict=Verdict.CONFLICT if conflict else Verdict.QUARANTINED,
            dicom_status=refusal.dicom_status,
            http_status=refusal.http_status,
            sop_instance_uid=row["sop_instance_uid"],
            sop_class_uid=row["sop_class_uid"],
            study_uid=row["study_uid"],
            detail=str(refusal),
        )

    def _audit(self, connection: Connection, event: str, entry: Entry, details: dict[str, Any]) -> None:
        self._archive.audit.write(
            connection,
            event=event,
            correlation_id=entry.correlation_id,
            study_uid=entry.study_uid,
            sop_instance_uid=entry.sop_instance_uid,
            who=entry.calling_ae or entry.origin,
            details={"origin": entry.origin, "derived": entry.derived, **details},
        )


def _entry(header: Header, model: Model, facts: Facts, received: ReceivedObject) -> tuple[Facts, Entry]:
    """The facts under the UIDs that the door has checked, and the index entry.

    Raises:
        UnreadableObject: a naming UID is missing or has the wrong form.
    """
    uids = {name: _uid(header, tag, name) for name, tag in _NAMING.items()}
    named = replace(
        facts,
        sop_instance_uid=uids["SOP Instance UID"],
        sop_class_uid=uids["SOP Class UID"],
        series_uid=uids["Series Instance UID"],
        study_uid=uids["Study Instance UID"],
    )
    entry = Entry(
        sop_instance_uid=named.sop_instance_uid,
        sop_class_uid=named.sop_class_uid,
        transfer_syntax_uid=received.transfer_syntax_uid,
        series_uid=named.series_uid,
        study_uid=named.study_uid,
        sha256=received.sha256,
        blob=blob_name(received.sha256, received.transfer_syntax_uid),
        size=received.size,
        dataset_offset=received.dataset_offset,
        attributes=index_attributes(header, model),
        facts=named.as_dict(),
        derived=facts.derived or received.origin is Origin.DERIVED,
        hidden=facts.self_check,
        origin=received.origin,
        calling_ae=received.calling_ae,
        called_ae=received.called_ae,
        peer_address=received.peer_address,
        correlation_id=received.correlation_id,
    )
    return named, entry


_NAMING = {
    "SOP Instance UID": 0x00080018,
    "SOP Class UID": 0x00080016,
    "Study Instance UID": 0x0020000D,
    "Series Instance UID": 0x0020000E,
}


def _uid(header: Header, tag: int, name: str) -> str:
    raw = header.raw.get(tag)
    if raw is None or not raw.value:
        raise UnreadableObject(f"the data set has no {name}")
    text: str = raw.value[:80].rstrip(b"\0 ").decode("latin-1")
    if not is_uid(text):
        raise UnreadableObject(f"the {name} of the data set is no UID")
    return text


def _claimed(text: str) -> str:
    """A UID as somebody claimed it, fit for a table: printable and short."""
    return "".join(character if " " <= character <= "~" else "?" for character in text[:64])


def _must_exist(place: Path) -> None:
    if not place.exists():
        raise StorageUnavailable("the object's file went away before it was indexed")


def _stored(entry: Entry, place: Path) -> StoredInstance:
    return StoredInstance(
        sop_instance_uid=entry.sop_instance_uid,
        sop_class_uid=entry.sop_class_uid,
        transfer_syntax_uid=entry.transfer_syntax_uid,
        series_uid=entry.series_uid,
        study_uid=entry.study_uid,
        patient_id=entry.identity.patient_id,
        sha256=entry.sha256,
        size=entry.size,
        path=str(place),
        dataset_offset=entry.dataset_offset,
        derived=entry.derived,
    )


def _receipt(verdict: Verdict, entry: Entry, detail: str = "") -> Receipt:
    return Receipt(
        verdict=verdict,
        dicom_status=0x0000,
        sop_instance_uid=entry.sop_instance_uid,
        sop_class_uid=entry.sop_class_uid,
        series_uid=entry.series_uid,
        study_uid=entry.study_uid,
        detail=detail,
        self_check=entry.hidden,
    )
