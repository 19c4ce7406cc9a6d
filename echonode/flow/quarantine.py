"""Sending a quarantined object through the door again, and throwing one away."""

from __future__ import annotations

import os

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.core.errors import NotFound
from echonode.core.received import Origin, Receipt, ReceivedObject, Verdict
from echonode.flow.ingest import Ingest


def resubmit(number: int, *, archive: Archive, blobs: LocalBlobs, ingest: Ingest, by: str = "") -> Receipt:
    """Try the quarantined object again: after an upgrade, a changed limit, or a resolved conflict.

    It leaves the quarantine when it is accepted, and stays when it is not. The command's UIDs of the first time do
    not count: a person has decided that the object is what its data set says.

    Raises:
        NotFound: nothing in quarantine has that number.
        OutOfStorage, StorageUnavailable: not now.
    """
    held = archive.quarantine.get(number)
    kept = blobs.quarantined(held.blob)
    if not kept.exists():
        raise NotFound(f"the bytes of quarantined object {number} are gone")
    ingest.precheck(held.size)
    part = blobs.new_part()
    try:
        os.link(kept, part)
        receipt = ingest.accept(
            ReceivedObject(
                part=part,
                dataset_offset=held.dataset_offset,
                size=held.size,
                sha256=held.sha256,
                sop_class_uid="",
                sop_instance_uid="",
                transfer_syntax_uid=held.transfer_syntax_uid,
                origin=Origin.IMPORT,
                calling_ae=held.calling_ae,
                called_ae=held.called_ae,
                peer_address=held.peer_address,
                correlation_id=held.correlation_id,
            )
        )
    finally:
        part.unlink(missing_ok=True)
    if receipt.verdict in (Verdict.STORED, Verdict.VERSION, Verdict.DUPLICATE):
        _remove(
            number, held.blob, archive=archive, blobs=blobs, event="resubmitted", by=by, study_uid=receipt.study_uid
        )
    return receipt


def discard(number: int, *, archive: Archive, blobs: LocalBlobs, by: str = "") -> None:
    """Throw a quarantined object away for good; the audit trail keeps that it was there.

    Raises:
        NotFound: nothing in quarantine has that number.
    """
    held = archive.quarantine.get(number)
    _remove(number, held.blob, archive=archive, blobs=blobs, event="discarded", by=by, study_uid=held.study_uid)


def _remove(
    number: int, blob: str, *, archive: Archive, blobs: LocalBlobs, event: str, by: str, study_uid: str
) -> None:
    with archive.transaction() as connection:
        if archive.quarantine.take(connection, number):
            details = {"number": number, "blob": blob}
            archive.audit.write(
                connection, event=event, study_uid=study_uid, who=by or f"uid {os.getuid()}", details=details
            )
    blobs.remove_quarantined(blob)
