"""The message state machine over the full product of states and events, and over any cut of the bytes."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echonode.core.errors import ProtocolViolation
from echonode.dimse.assembly import TRANSITIONS, Assembly, DataSink, Event, State, after
from echonode.dimse.command import Command
from tests.support.dimse import US, echo_command, store_command


class Recorder:
    """Takes messages down."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.data: list[bytes] = []
        self.discarded = 0
        self._open = bytearray()

    def on_command(self, context_id: int, command: Command, encoded: bytes) -> None:
        self.commands.append(command)

    def on_data_set(self, context_id: int, command: Command, encoded: bytes) -> DataSink:
        self.commands.append(command)
        self._open = bytearray()
        return self

    def write(self, piece: memoryview) -> None:
        self._open += piece

    def finish(self) -> None:
        self.data.append(bytes(self._open))

    def discard(self) -> None:
        self.discarded += 1


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_is_in_the_table_or_a_violation(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert after(state, event) in State
    else:
        with pytest.raises(ProtocolViolation):
            after(state, event)


def test_nothing_follows_a_close_and_a_close_is_always_possible() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] is State.CLOSED]
    for state in (State.IDLE, State.COMMAND, State.DATA):
        assert after(state, Event.GONE) is State.CLOSED
        for event in Event:
            if (state, event) not in TRANSITIONS:
                continue
            assert after(state, event) is not State.COMMAND or event is Event.COMMAND_PART


@given(st.binary(max_size=200), st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_any_cut_of_the_same_bytes_is_the_same_message(data: bytes, cuts: list[int]) -> None:
    recorder = Recorder()
    assembly = Assembly(recorder)
    for control, content in ((1, store_command(US, "1.2.3")), (0, data), (1, echo_command())):
        offset, turn = 0, 0
        while True:
            step = cuts[turn % len(cuts)]
            last = offset + step >= len(content)
            piece = memoryview(content)[offset : offset + step]
            assembly.piece(1, control | (2 if last else 0), piece, end_of_pdv=True)
            offset, turn = offset + step, turn + 1
            if last:
                break
    assert recorder.data == [data]
    assert [command.field for command in recorder.commands] == [0x0001, 0x0030]
    assert assembly.state is State.IDLE
    assert not assembly.close()


pieces = st.tuples(
    st.sampled_from([1, 3]), st.integers(0, 3), st.sampled_from(["store", "echo", "noise"]), st.booleans()
)


@given(st.lists(pieces, max_size=12))
def test_any_sequence_of_pieces_is_taken_or_a_violation(sequence: list[tuple[int, int, str, bool]]) -> None:
    contents = {"store": store_command(US, "1.2.3"), "echo": echo_command(), "noise": b"\x00\xff\x10"}
    recorder = Recorder()
    assembly = Assembly(recorder)
    try:
        for context_id, control, content, end in sequence:
            assembly.piece(context_id, control, memoryview(contents[content]), end_of_pdv=end)
    except ProtocolViolation:
        pass
    cut_off = assembly.close()
    assert assembly.state is State.CLOSED
    assert recorder.discarded <= int(cut_off)
    assert not assembly.close(), "closing twice is harmless"
