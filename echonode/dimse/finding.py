"""C-FIND as a service (PS3.4 C.4.1): one pending response a match."""

from __future__ import annotations

from typing import Literal, cast

import structlog
from pynetdicom.dimse_primitives import C_FIND

from echonode.archive.archive import Archive
from echonode.dimse.desk import Desk
from echonode.dimse.guarded import GuardedAssociation
from echonode.dimse.responding import (
    CANCELLED,
    PENDING,
    SEND_SECONDS,
    cancelled,
    identifier_of,
    respond_find,
    root_of,
    status_of,
)
from echonode.flow.query import find

_LOOK_UP_EVERY = 32
log = structlog.get_logger(__name__)


def answer_find(
    association: GuardedAssociation, message: C_FIND, context_id: int, *, archive: Archive, desk: Desk
) -> None:
    """Every match, then success; A900H for an identifier that does not fit, FE00H when the peer cancels.

    Raises:
        OSError: the association broke.
    """
    root = cast(Literal["patient", "study"], root_of(association, context_id))
    try:
        identifier = identifier_of(association, message, context_id)
        matches = find(archive, identifier, root=root, ae_title=desk.configuration.node.node.ae_title)
        for index, match in enumerate(matches):
            if index and index % _LOOK_UP_EVERY == 0:
                association.look_up(seconds=SEND_SECONDS)
            if cancelled(association, message):
                respond_find(association, message, context_id, status=CANCELLED)
                return
            respond_find(association, message, context_id, status=PENDING, identifier=match)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - the edge of one query: the peer gets a status, the association lives
        status, comment = status_of(error)
        log.warning("query failed", status=f"{status:04X}H", error=type(error).__name__)
        respond_find(association, message, context_id, status=status, comment=comment)
        return
    respond_find(association, message, context_id, status=0x0000)
