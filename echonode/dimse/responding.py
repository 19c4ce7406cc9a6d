"""Responses of the query and retrieve services, and the identifiers they carry."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from pydicom import Dataset
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import decode, encode
from pynetdicom.pdu_primitives import P_DATA

from echonode.core.errors import BadQuery, EchonodeError
from echonode.dimse.admission import printable
from echonode.dimse.classes import PATIENT_ROOT_FIND, PATIENT_ROOT_GET, PATIENT_ROOT_MOVE
from echonode.dimse.command import Command, Field
from echonode.dimse.command import response as encoded_response
from echonode.dimse.guarded import GuardedAssociation, pdvs
from echonode.dimse.pdu import COMMAND, LAST

PENDING = 0xFF00
CANCELLED = 0xFE00
SEND_SECONDS = 60.0
_LONGEST_PDU = 1 << 20
"""What goes into one PDU for a peer that names no limit."""
_PDV_OVERHEAD = 6
"""Length, context and control byte of a presentation data value (PS3.8 9.3.5.1)."""


def root_of(association: GuardedAssociation, context_id: int) -> str:
    """Which information model the context names: "patient" or "study"."""
    abstract = str(association._accepted_cx[context_id].abstract_syntax)
    return "patient" if abstract in (PATIENT_ROOT_FIND, PATIENT_ROOT_MOVE, PATIENT_ROOT_GET) else "study"


def identifier_of(association: GuardedAssociation, message: Any, context_id: int) -> Dataset:
    """The request's Identifier.

    Raises:
        BadQuery: there is none, or it cannot be read.
    """
    if message.Identifier is None:
        raise BadQuery("the request has no Identifier")
    syntax = association._accepted_cx[context_id].transfer_syntax[0]
    try:
        identifier = decode(message.Identifier, syntax.is_implicit_VR, syntax.is_little_endian)
        len(list(identifier))  # pydicom reads late; what cannot be read is to fail here
    except Exception as error:
        raise BadQuery(f"the Identifier cannot be read: {type(error).__name__}") from error
    return identifier


def respond(
    association: GuardedAssociation,
    response: Any,
    context_id: int,
    *,
    status: int,
    identifier: Dataset | None = None,
    comment: str = "",
) -> None:
    """Send one response.

    Raises:
        OSError: the association broke, or the peer does not read.
    """
    association.wait_for_room(seconds=SEND_SECONDS)
    syntax = association._accepted_cx[context_id].transfer_syntax[0]
    response.Status = status
    response.Identifier = None
    if identifier is not None:
        encoded = encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian)
        response.Identifier = BytesIO(encoded or b"")
    response.ErrorComment = printable(comment) or None
    association.dimse.send_msg(response, context_id)


def respond_find(
    association: GuardedAssociation,
    message: C_FIND,
    context_id: int,
    *,
    status: int,
    identifier: Dataset | None = None,
    comment: str = "",
) -> None:
    """Send one C-FIND-RSP in one PDU where it fits: a query is answered by many small ones.

    Raises:
        OSError: the association broke, or the peer does not read.
    """
    association.wait_for_room(seconds=SEND_SECONDS)
    syntax = association._accepted_cx[context_id].transfer_syntax[0]
    request = Command(
        field=Field.C_FIND,
        message_id=message.MessageID or 0,
        responded_to=0,
        has_data_set=True,
        sop_class_uid=str(message.AffectedSOPClassUID),
        sop_instance_uid="",
        status=None,
    )
    command = encoded_response(request, status=status, comment=printable(comment), has_data_set=identifier is not None)
    values = [(context_id, bytes((COMMAND | LAST,)) + command)]
    if identifier is not None:
        encoded = encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian) or b""
        most = (association.requestor.maximum_length or _LONGEST_PDU) - _PDV_OVERHEAD
        pieces = [encoded[at : at + most] for at in range(0, len(encoded), most)] or [b""]
        values += [
            (context_id, bytes((LAST if at == len(pieces) - 1 else 0,)) + each) for at, each in enumerate(pieces)
        ]
        if len(command) + len(encoded) + 2 * _PDV_OVERHEAD > most + _PDV_OVERHEAD:
            for value in values:
                _send(association, value)
            return
    _send(association, *values)


def _send(association: GuardedAssociation, *values: tuple[int, bytes]) -> None:
    primitive = P_DATA()
    primitive.presentation_data_value_list = pdvs(*values)
    association.dul.send_pdu(primitive)


def cancelled(association: GuardedAssociation, message: Any) -> bool:
    """Whether a C-CANCEL-RQ for the request has come."""
    return association.dimse.cancel_req.pop(message.MessageID, None) is not None


def status_of(error: Exception) -> tuple[int, str]:
    """The failure status of a query or retrieve, and its comment."""
    if isinstance(error, EchonodeError):
        return error.dicom_status, str(error)
    return 0xC001, type(error).__name__


def send_command(association: GuardedAssociation, context_id: int, encoded: bytes) -> None:
    """Send a message that is a command set alone."""
    _send(association, (context_id, bytes((COMMAND | LAST,)) + encoded))
