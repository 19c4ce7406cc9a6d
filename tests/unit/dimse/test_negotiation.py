"""Which contexts are accepted: for scanners everything they send, for strangers nothing they may not do."""

from __future__ import annotations

import pytest

from echonode.core.peers import Right
from echonode.core.settings import DimseSection
from echonode.dimse import classes
from echonode.dimse.negotiation import is_receive_only, negotiate
from echonode.dimse.pdu import AssociateRequest, ContextResult, ProposedContext, Roles

JPEG = "1.2.840.10008.1.2.4.50"
US_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"
ALL = (Right.STORE, Right.QUERY, Right.RETRIEVE)


def asked(*contexts: tuple[str, tuple[str, ...]], roles: dict[str, Roles] | None = None) -> AssociateRequest:
    return AssociateRequest(
        called_ae="ECHONODE",
        calling_ae="SCANNER",
        contexts=tuple(
            ProposedContext(id=2 * index + 1, abstract_syntax=abstract, transfer_syntaxes=syntaxes)
            for index, (abstract, syntaxes) in enumerate(contexts)
        ),
        roles=roles or {},
    )


@pytest.mark.parametrize("syntax", sorted(classes.storage_syntaxes(deflate=False)))
@pytest.mark.parametrize("sop_class", ["3", "3.1", "6", "6.1", "6.2", "7", "88.33", "66.4", "104.1", "9.1.1"])
def test_every_class_of_an_echo_lab_is_taken_in_every_syntax(sop_class: str, syntax: str) -> None:
    uid = f"1.2.840.10008.5.1.4.1.1.{sop_class}"
    [answer] = negotiate(asked((uid, (syntax,))), rights=(Right.STORE,), settings=DimseSection())
    assert answer.accepted
    assert answer.transfer_syntax == syntax


def test_the_scanners_first_choice_is_kept() -> None:
    request = asked((US_MULTIFRAME, ("1.2.3", JPEG, classes.EXPLICIT_LE)), (US_MULTIFRAME, (classes.IMPLICIT_LE, JPEG)))
    answers = negotiate(request, rights=(Right.STORE,), settings=DimseSection())
    assert [answer.transfer_syntax for answer in answers] == [JPEG, classes.IMPLICIT_LE]


@pytest.mark.parametrize(("deflate", "result"), [(False, 4), (True, 0)])
def test_deflate_is_taken_only_when_it_is_switched_on(deflate: bool, result: int) -> None:
    settings = DimseSection(deflate=deflate)
    [answer] = negotiate(asked((US_MULTIFRAME, (classes.DEFLATED_LE,))), rights=ALL, settings=settings)
    assert answer.result == result


@pytest.mark.parametrize("abstract", sorted(classes.QUERY_RETRIEVE_CLASSES))
@pytest.mark.parametrize("rights", [(), (Right.STORE,), (Right.QUERY,), (Right.RETRIEVE,), ALL])
def test_query_and_retrieve_need_their_right(abstract: str, rights: tuple[Right, ...]) -> None:
    needed = Right.QUERY if abstract in classes.FIND_CLASSES else Right.RETRIEVE
    [answer] = negotiate(asked((abstract, (classes.IMPLICIT_LE,))), rights=rights, settings=DimseSection())
    assert answer.result == (ContextResult.ACCEPTED if needed in rights else ContextResult.USER_REJECTION)


def test_a_peer_that_may_only_retrieve_gets_its_storage_contexts_for_c_get_alone() -> None:
    get = (classes.STUDY_ROOT_GET, (classes.IMPLICIT_LE,))
    storage = (US_MULTIFRAME, (JPEG,))
    roles = {US_MULTIFRAME: Roles(scu=True, scp=True)}
    answers = negotiate(asked(get, storage, roles=roles), rights=(Right.RETRIEVE,), settings=DimseSection())
    assert answers[1].accepted
    assert answers[1].roles == Roles(scu=False, scp=True)
    without = negotiate(asked(get, storage), rights=(Right.RETRIEVE,), settings=DimseSection())
    assert without[1].result is ContextResult.USER_REJECTION


def test_an_echo_is_always_welcome_and_an_unknown_class_never() -> None:
    request = asked((classes.VERIFICATION, (classes.IMPLICIT_LE,)), ("1.2.3.4", (classes.IMPLICIT_LE,)))
    answers = negotiate(request, rights=(), settings=DimseSection())
    assert [answer.result for answer in answers] == [0, 3]
    settings = DimseSection(private_classes=("1.2.3.4",))
    assert negotiate(request, rights=(Right.STORE,), settings=settings)[1].accepted


def test_a_query_that_was_refused_leaves_the_association_on_the_receive_path() -> None:
    request = asked((US_MULTIFRAME, (JPEG,)), (classes.STUDY_ROOT_FIND, (classes.IMPLICIT_LE,)))
    assert is_receive_only(negotiate(request, rights=(Right.STORE,), settings=DimseSection()))
    assert not is_receive_only(negotiate(request, rights=ALL, settings=DimseSection()))
