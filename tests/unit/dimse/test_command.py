"""Command sets from hostile bytes, and the responses that are made of them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echonode.core.errors import ProtocolViolation
from echonode.dimse.command import LONGEST_COMMAND, Command, Field, parse_command, response, store_request
from tests.support.dimse import US, command_set, echo_command, element, store_command, us


def test_a_store_request_is_read_with_padding_removed() -> None:
    command = parse_command(store_command(US, "1.2.3", message_id=9))
    assert command.field == Field.C_STORE
    assert (command.message_id, command.has_data_set) == (9, True)
    assert (command.sop_class_uid, command.sop_instance_uid) == (US, "1.2.3")


def test_what_we_write_we_read() -> None:
    encoded = store_request(message_id=3, sop_class_uid=US, sop_instance_uid="1.2.3.4", originator=("PACS", 7))
    command = parse_command(encoded)
    assert (command.field, command.message_id, command.sop_instance_uid) == (1, 3, "1.2.3.4")
    answer = parse_command(response(command, status=0xA700, comment="no room\r\n left"))
    assert (answer.field, answer.responded_to, answer.status) == (0x8001, 3, 0xA700)
    assert answer.sop_instance_uid == "1.2.3.4"


def test_an_echo_has_no_data_set() -> None:
    assert not parse_command(echo_command()).has_data_set


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        b"\x08\0\x18\0\4\0\0\0abcd",
        command_set(element(0x0100, us(1))),
        command_set(element(0x0800, us(1)), element(0x0110, us(1))),
        command_set(element(0x0100, b"1234"), element(0x0800, us(1)), element(0x0110, us(1))),
        command_set(element(0x0100, us(1)), element(0x0800, us(1))),
        command_set(element(0x0100, us(0x8001)), element(0x0800, us(0x0101)), element(0x0110, us(1))),
        bytes(LONGEST_COMMAND + 8),
    ],
)
def test_what_is_no_command_set_is_a_violation(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        parse_command(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_command_or_a_violation(noise: bytes) -> None:
    for data in (noise, store_command(US, "1.2.3") + noise, store_command(US, "1.2.3")[: len(noise)]):
        with contextlib.suppress(ProtocolViolation):
            parse_command(data)


@given(st.text(max_size=200), st.text(max_size=200), st.integers(0, 0xFFFF))
def test_a_response_is_even_and_short_whatever_the_peer_called_its_object(sop: str, comment: str, status: int) -> None:
    command = Command(field=1, message_id=1, has_data_set=True, sop_class_uid=sop, sop_instance_uid=sop)
    encoded = response(command, status=status, comment=comment)
    assert len(encoded) % 2 == 0
    assert len(encoded) < 512
    assert parse_command(encoded).status == status
