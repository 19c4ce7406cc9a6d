"""The Sender port over C-STORE."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import structlog

from echonode.archive.blobs import LocalBlobs
from echonode.core.configuration import Configuration
from echonode.core.errors import DeliveryFailed
from echonode.core.ports import BlobStore, Outgoing, SendOutcome
from echonode.dimse.guarded import application_entity
from echonode.dimse.sending import ObjectSender, Sent, associate, proposals
from echonode.flow.decoding import Decoder

log = structlog.get_logger(__name__)


class DimseSender:
    """Sends batches to the peers of peers.toml: one association a batch, one outcome an object."""

    def __init__(self, configuration: Configuration, *, blobs: BlobStore | None = None) -> None:
        self._configuration = configuration
        self._blobs = blobs or LocalBlobs(configuration.root)
        self._decoder = Decoder(limits=configuration.node.limits, blobs=self._blobs)

    def send(self, peer: str, objects: Sequence[Outgoing]) -> Iterable[SendOutcome]:
        """One outcome an object, in order, as they come; see core.ports.Sender."""
        if not objects:
            return
        known = self._configuration.peers.named(peer)
        if known is None or not known.host or known.port is None:
            for item in objects:
                yield _outcome(item, Sent(status=None, detail=f"peers.toml has no host for {peer!r}"))
            return
        dimse = self._configuration.node.dimse
        ours = known.called_as or self._configuration.node.node.ae_title
        ae = application_entity(ours, timeout_seconds=dimse.idle_seconds)
        done = 0
        try:
            with associate(
                ae,
                host=known.host,
                port=known.port,
                called_ae=known.ae_title,
                contexts=proposals(objects),
                max_pdu=dimse.max_pdu_bytes,
                stall_seconds=dimse.stall_seconds,
            ) as association:
                sender = ObjectSender(association, decoder=self._decoder, stall_seconds=dimse.stall_seconds)
                for item in objects:
                    sent = sender.send(item)
                    done += 1
                    yield _outcome(item, sent)
        except DeliveryFailed as failure:
            log.warning("not delivered", peer=peer, reason=str(failure), transient=failure.transient)
            for item in objects[done:]:
                yield _outcome(item, Sent(status=None, detail=str(failure), transient=failure.transient))

    def close(self) -> None:
        """End the decoder process; idempotent."""
        self._decoder.close()


def _outcome(item: Outgoing, sent: Sent) -> SendOutcome:
    return SendOutcome(
        sop_instance_uid=item.sop_instance_uid,
        ok=sent.ok,
        dicom_status=sent.status,
        detail=sent.detail,
        transient=sent.transient,
    )
