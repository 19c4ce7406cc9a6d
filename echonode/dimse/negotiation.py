"""Which presentation contexts are accepted, and in which transfer syntax: the one place that says so."""

from __future__ import annotations

from collections.abc import Collection

from echonode.core.peers import Right
from echonode.core.settings import DimseSection
from echonode.dicom.storage import storable
from echonode.dimse.classes import (
    EXPLICIT_LE,
    FIND_CLASSES,
    GET_CLASSES,
    IMPLICIT_LE,
    MOVE_CLASSES,
    QUERY_RETRIEVE_CLASSES,
    UNCOMPRESSED,
    VERIFICATION,
    storage_syntaxes,
)
from echonode.dimse.pdu import AssociateRequest, ContextAnswer, ContextResult, ProposedContext, Roles


def _needed(abstract_syntax: str) -> Right | None:
    if abstract_syntax in FIND_CLASSES:
        return Right.QUERY
    if abstract_syntax in MOVE_CLASSES or abstract_syntax in GET_CLASSES:
        return Right.RETRIEVE
    return None


def negotiate(
    request: AssociateRequest, *, rights: Collection[Right], settings: DimseSection
) -> tuple[ContextAnswer, ...]:
    """One answer a proposed context, in order: of its syntaxes the first that we take, as the proposer prefers.

    A storage context is accepted for a peer with the right to store, or to retrieve when the request also proposes
    C-GET with the role of an SCP for that class (PS3.4 C.5.3.1). A known service without the right is a user
    rejection, so that the peer's log says "rejected", not "unknown".
    """
    classes, syntaxes = storable(settings), storage_syntaxes(deflate=settings.deflate)
    retrieving = Right.RETRIEVE in rights and any(c.abstract_syntax in GET_CLASSES for c in request.contexts)
    return tuple(
        _answer(proposed, request=request, rights=rights, retrieving=retrieving, classes=classes, syntaxes=syntaxes)
        for proposed in request.contexts
    )


def _answer(
    proposed: ProposedContext,
    *,
    request: AssociateRequest,
    rights: Collection[Right],
    retrieving: bool,
    classes: frozenset[str],
    syntaxes: frozenset[str],
) -> ContextAnswer:
    abstract, roles = proposed.abstract_syntax, None
    if abstract in classes:
        wanted = request.roles.get(abstract)
        receives = retrieving and wanted is not None and wanted.scp
        allowed, taken = Right.STORE in rights or receives, syntaxes
        if wanted is not None:
            roles = Roles(scu=wanted.scu and Right.STORE in rights, scp=receives)
            allowed = allowed and (roles.scu or roles.scp)
    elif abstract == VERIFICATION or abstract in QUERY_RETRIEVE_CLASSES:
        needed = _needed(abstract)
        allowed, taken = needed is None or needed in rights, frozenset(UNCOMPRESSED)
    else:
        return _refused(proposed, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED)
    if not allowed:
        return _refused(proposed, ContextResult.USER_REJECTION)
    chosen = next((syntax for syntax in proposed.transfer_syntaxes if syntax in taken), None)
    if chosen is None:
        return _refused(proposed, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED)
    return ContextAnswer(
        id=proposed.id, abstract_syntax=abstract, result=ContextResult.ACCEPTED, transfer_syntax=chosen, roles=roles
    )


def _refused(proposed: ProposedContext, result: ContextResult) -> ContextAnswer:
    return ContextAnswer(
        id=proposed.id, abstract_syntax=proposed.abstract_syntax, result=result, transfer_syntax=IMPLICIT_LE
    )


def is_receive_only(answers: Collection[ContextAnswer]) -> bool:
    """Whether nothing but verification and storage towards us was accepted: the receive path takes it."""
    return not any(answer.accepted and answer.abstract_syntax in QUERY_RETRIEVE_CLASSES for answer in answers)


def fallback_syntaxes(transfer_syntax_uid: str) -> tuple[str, ...]:
    """Syntaxes into which an object may be transcoded on its way out, the best first."""
    return tuple(syntax for syntax in (EXPLICIT_LE, IMPLICIT_LE) if syntax != transfer_syntax_uid)
