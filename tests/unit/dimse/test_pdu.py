"""PDUs from hostile bytes: read strictly, never beyond their bounds."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echonode.core.errors import ProtocolViolation
from echonode.dimse.pdu import (
    LONGEST_ASSOCIATE,
    ContextAnswer,
    ContextResult,
    PduType,
    Roles,
    associate_accept,
    header,
    parse_associate_request,
)
from tests.support.dimse import EXPLICIT_LE, US, associate_body, item


def test_an_association_request_is_read_as_it_was_meant() -> None:
    uid = US.encode()
    role = item(0x54, struct.pack(">H", len(uid)) + uid + b"\0\1")
    request = parse_associate_request(
        associate_body([(US, [EXPLICIT_LE, "1.2.840.10008.1.2"]), ("1.2.3", [EXPLICIT_LE])], max_pdu=4096, extra=role)
    )
    assert (request.called_ae, request.calling_ae, request.max_pdu) == ("ECHONODE", "SCANNER", 4096)
    assert [(context.id, context.abstract_syntax) for context in request.contexts] == [(1, US), (3, "1.2.3")]
    assert request.contexts[0].transfer_syntaxes == (EXPLICIT_LE, "1.2.840.10008.1.2")
    assert request.roles == {US: Roles(scu=False, scp=True)}


@pytest.mark.parametrize("kind", [kind for kind in PduType if kind is not PduType.DATA])
def test_a_length_beyond_the_cap_is_refused_before_anything_is_read(kind: PduType) -> None:
    with pytest.raises(ProtocolViolation):
        header(struct.pack(">BxI", kind, LONGEST_ASSOCIATE + 1), max_pdu=1 << 30)


def test_data_may_be_as_long_as_was_offered_and_six_bytes_more() -> None:
    assert header(struct.pack(">BxI", 4, 16390), max_pdu=16384) == (PduType.DATA, 16390)
    with pytest.raises(ProtocolViolation):
        header(struct.pack(">BxI", 4, 16391), max_pdu=16384)


@pytest.mark.parametrize("kind", [0, 8, 0x16, 0x47, 0xFF])
def test_other_protocols_are_no_pdu(kind: int) -> None:
    with pytest.raises(ProtocolViolation):
        header(struct.pack(">BxI", kind, 0), max_pdu=16384)


@pytest.mark.parametrize("contexts", [129, 200])
def test_more_contexts_than_there_are_ids_are_refused(contexts: int) -> None:
    body = associate_body([])
    body += b"".join(item(0x20, bytes(((2 * n + 1) % 256, 0, 0, 0)) + item(0x30, b"1.2")) for n in range(contexts))
    with pytest.raises(ProtocolViolation):
        parse_associate_request(body)


def test_an_even_context_id_is_refused() -> None:
    with pytest.raises(ProtocolViolation):
        parse_associate_request(associate_body([]) + item(0x20, bytes((2, 0, 0, 0)) + item(0x30, b"1.2")))


@given(st.binary(max_size=400), st.integers(0, 500))
def test_any_bytes_are_a_request_or_a_violation(noise: bytes, cut: int) -> None:
    """What a peer sends first must never raise what nobody catches."""
    whole = bytearray(associate_body([(US, [EXPLICIT_LE])]) + noise)
    for body in (noise, bytes(whole[:cut]), bytes(whole)):
        with contextlib.suppress(ProtocolViolation):
            parse_associate_request(body)


@given(st.data())
def test_any_flipped_byte_is_a_request_or_a_violation(data: st.DataObject) -> None:
    body = bytearray(associate_body([(US, [EXPLICIT_LE]), ("1.2.3", [EXPLICIT_LE])]))
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolViolation):
        parse_associate_request(bytes(body))


def test_lengths_that_lie_allocate_nothing() -> None:
    body = associate_body([]) + b"\x20\0\xff\xff" + b"\x50\0\xff\xff"
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolViolation):
            parse_associate_request(body)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_an_accept_repeats_the_titles_and_answers_every_context() -> None:
    body = associate_body([(US, [EXPLICIT_LE]), ("1.2.3", [EXPLICIT_LE])], calling="ODD TITLE")
    answers = (
        ContextAnswer(id=1, abstract_syntax=US, result=ContextResult.ACCEPTED, transfer_syntax=EXPLICIT_LE),
        ContextAnswer(
            id=3,
            abstract_syntax="1.2.3",
            result=ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED,
            transfer_syntax=EXPLICIT_LE,
        ),
    )
    answer = associate_accept(body, answers, max_pdu=1 << 20)
    kind, length = header(answer, max_pdu=0)
    assert kind is PduType.ASSOCIATE_AC
    assert length == len(answer) - 6
    assert answer[6 + 4 : 6 + 68] == body[4:68]
