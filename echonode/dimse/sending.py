"""Stored objects out through an association: the stored bytes as they are, or transcoded when the peer wants that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pynetdicom import AE
from pynetdicom.pdu_primitives import P_DATA, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from echonode.core.errors import DeliveryFailed, EchonodeError
from echonode.core.ports import Outgoing
from echonode.dimse.classes import EXPLICIT_LE, IMPLICIT_LE
from echonode.dimse.command import store_request
from echonode.dimse.guarded import GuardedAssociation, GuardedSocket, StoreOpener, pdvs
from echonode.dimse.pdu import COMMAND, LAST, MOST_CONTEXTS
from echonode.flow.decoding import Decoder

_SMALLEST_PDU = 1024
_LARGEST_PDU = 1 << 20
_MOST_UNRELATED = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What the peer said of one object; `status` is None when it said nothing."""

    status: int | None
    detail: str = ""
    transient: bool = False

    @property
    def ok(self) -> bool:
        """Success or a warning: the peer has the object (PS3.4 B.2.3)."""
        return self.status is not None and (self.status == 0 or self.status & 0xF000 == 0xB000)


def judge(status: int) -> Sent:
    """A C-STORE status as an outcome; out of resources and processing failures are worth another try."""
    if status == 0 or status & 0xF000 == 0xB000:
        return Sent(status=status)
    transient = status & 0xFF00 == 0xA700 or status == 0x0110
    return Sent(status=status, detail=f"the peer answered {status:04X}H", transient=transient)


def proposals(objects: Iterable[Outgoing]) -> list[PresentationContext]:
    """Contexts for `objects`, at most 128: for each class every stored syntax by itself, then the fallbacks.

    Each syntax stands in a context of its own, so that the peer cannot choose one over another.
    """
    wanted: dict[tuple[str, str], None] = {}
    for item in objects:
        wanted[item.sop_class_uid, item.transfer_syntax_uid] = None
    for sop_class, _ in list(wanted):
        wanted[sop_class, EXPLICIT_LE] = None
        wanted[sop_class, IMPLICIT_LE] = None
    return [context_of(*pair) for pair in list(wanted)[:MOST_CONTEXTS]]


def context_of(abstract_syntax: str, *transfer_syntaxes: str) -> PresentationContext:
    """A presentation context to be proposed."""
    context = PresentationContext()
    context.abstract_syntax = abstract_syntax
    context.transfer_syntax = list(transfer_syntaxes)
    return context


@contextlib.contextmanager
def associate(
    ae: AE,
    *,
    host: str,
    port: int,
    called_ae: str,
    contexts: Sequence[PresentationContext],
    max_pdu: int,
    stall_seconds: float,
    roles: Sequence[str] = (),
    open_store: StoreOpener | None = None,
) -> Iterator[GuardedAssociation]:
    """An established association that we requested, released at the end and aborted when something went wrong.

    `roles` are classes for which we also want to be the SCP (C-GET).

    Raises:
        DeliveryFailed: the peer cannot be reached (transient), or refuses us.
    """
    try:
        association = _request(
            ae, host, port, called_ae, contexts, max_pdu, stall_seconds, roles=roles, open_store=open_store
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise DeliveryFailed(f"{called_ae} at {host}:{port}: {error}") from error
    if association.is_rejected:
        refusal: Any = association.acceptor.primitive
        raise DeliveryFailed(
            f"{called_ae} at {host}:{port} refuses the association: {refusal.reason_str}",
            transient=refusal.result == 2,
        )
    if not association.is_established:
        raise DeliveryFailed(f"{called_ae} at {host}:{port} cannot be reached")
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    else:
        if association.is_established:
            association.release()
    finally:
        association.dimse.close()
        association.join(timeout=5)


def _request(
    ae: AE,
    host: str,
    port: int,
    called_ae: str,
    contexts: Sequence[PresentationContext],
    max_pdu: int,
    stall_seconds: float,
    *,
    roles: Sequence[str],
    open_store: StoreOpener | None,
) -> GuardedAssociation:
    remote = AddressInformation.from_addr_port(host, port)
    local = AddressInformation.from_tuple(("", 0) if remote.is_ipv4 else ("::0", 0))
    association = GuardedAssociation(ae, "requestor", max_pdu=max_pdu, open_store=open_store)
    association.name = "requestor"
    association.set_socket(GuardedSocket(association, stall_seconds=stall_seconds, address=local))
    association.acceptor.ae_title = called_ae
    association.acceptor.address_info = remote
    association.requestor.address_info = local
    association.requestor.ae_title = ae.ae_title
    association.requestor.maximum_length = max_pdu
    association.requestor.implementation_class_uid = ae.implementation_class_uid
    association.requestor.implementation_version_name = ae.implementation_version_name
    for uid in roles:
        item = SCP_SCU_RoleSelectionNegotiation()
        item.sop_class_uid, item.scu_role, item.scp_role = uid, False, True
        association.requestor.add_negotiation_item(item)
    for index, context in enumerate(contexts):
        context.context_id = 2 * index + 1
    association.requestor.requested_contexts = list(contexts)
    association.request()
    if association.is_established:
        association.start()
    return association


class ObjectSender:
    """Sends stored objects over one association, whichever side opened it."""

    def __init__(
        self, association: GuardedAssociation, *, decoder: Decoder, stall_seconds: float, as_scp: bool = False
    ) -> None:
        self._association = association
        self._decoder = decoder
        self._stall_seconds = stall_seconds
        self._message_id = 0
        self._contexts: dict[tuple[str, str], int] = {}
        for context_id, context in association._accepted_cx.items():
            if not as_scp or context.as_scu:
                self._contexts.setdefault((str(context.abstract_syntax), str(context.transfer_syntax[0])), context_id)

    def send(self, item: Outgoing, *, originator: tuple[str, int] | None = None) -> Sent:
        """Send one object and wait for its status. Never raises for what the peer or the object is like.

        The stored bytes go as they are when their syntax was accepted; otherwise they are decoded to Explicit, or
        Implicit, VR Little Endian in a process of its own.
        """
        try:
            return self._send(item, originator)
        except EchonodeError as error:
            return Sent(status=None, detail=str(error))
        except (TimeoutError, ConnectionError) as error:
            return Sent(status=None, detail=f"the association broke: {error}", transient=True)
        except OSError as error:
            return Sent(status=None, detail=f"the stored object cannot be read: {error.strerror}", transient=True)

    def _send(self, item: Outgoing, originator: tuple[str, int] | None) -> Sent:
        context_id = self._contexts.get((item.sop_class_uid, item.transfer_syntax_uid))
        if context_id is not None:
            return self._transfer(context_id, item, item.path, item.dataset_offset, originator)
        for syntax in (EXPLICIT_LE, IMPLICIT_LE):
            context_id = self._contexts.get((item.sop_class_uid, syntax))
            if context_id is not None:
                with self._decoder.transcoded(item.path, syntax) as decoded:
                    return self._transfer(context_id, item, decoded, 0, originator)
        return Sent(status=None, detail="the peer accepts neither this class in the stored syntax nor uncompressed")

    def _transfer(
        self, context_id: int, item: Outgoing, path: Path, offset: int, originator: tuple[str, int] | None
    ) -> Sent:
        association = self._association
        if not association.is_established:
            raise ConnectionResetError("it is closed")
        self._message_id = self._message_id % 65535 + 1
        command = store_request(
            message_id=self._message_id,
            sop_class_uid=item.sop_class_uid,
            sop_instance_uid=item.sop_instance_uid,
            originator=originator,
        )
        limit = association.dimse.maximum_pdu_size or _LARGEST_PDU
        if limit < _SMALLEST_PDU:
            return Sent(status=None, detail=f"the peer takes PDUs of {limit} bytes only")
        fragment = min(limit, _LARGEST_PDU) - 6
        with path.open("rb") as file, association.exclusive():
            file.seek(offset)
            self._put(context_id, COMMAND | LAST, command)
            for data, last in _fragments(file, fragment):
                self._put(context_id, LAST if last else 0, data)
            return self._response()

    def _put(self, context_id: int, control: int, data: bytes) -> None:
        self._association.wait_for_room(seconds=self._stall_seconds)
        primitive = P_DATA()
        primitive.presentation_data_value_list = pdvs((context_id, bytes((control,)) + data))
        self._association.dul.send_pdu(primitive)

    def _response(self) -> Sent:
        for _ in range(_MOST_UNRELATED):
            _, message = self._association.dimse.get_msg(block=True)
            if message is None:
                if self._association.is_established:
                    self._association.abort()
                raise TimeoutError("no response")
            status = getattr(message, "Status", None)
            if getattr(message, "MessageIDBeingRespondedTo", None) == self._message_id and status is not None:
                return judge(int(status))
        self._association.abort()
        raise ConnectionResetError("the peer answers what was not asked")


def _fragments(file: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """The rest of `file` in pieces of at most `size` bytes, each with whether it is the last."""
    data = file.read(size)
    while True:
        following = file.read(size)
        yield data, not following
        if not following:
            return
        data = following
