"""From PDVs to messages (PS3.7 6.3.1, PS3.8 annex E): a state machine as one table, with bounded memory."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from echonode.core.errors import ProtocolViolation
from echonode.dimse.command import LONGEST_COMMAND, Command, parse_command
from echonode.dimse.pdu import COMMAND, LAST


class State(StrEnum):
    """Where in a message the peer is."""

    IDLE = "idle"  # between two messages
    COMMAND = "command"  # some of a command set has come
    DATA = "data"  # the command set is complete and a data set follows
    CLOSED = "closed"


class Event(StrEnum):
    """What can come in."""

    COMMAND_PART = "command part"
    COMMAND_END = "command end, data set follows"
    COMMAND_ONLY = "command end, no data set"
    DATA_PART = "data part"
    DATA_END = "data end"
    RELEASE = "release"
    GONE = "abort or closed connection"


_S, _E = State, Event
TRANSITIONS: dict[tuple[State, Event], State] = {
    (_S.IDLE, _E.COMMAND_PART): _S.COMMAND,
    (_S.IDLE, _E.COMMAND_END): _S.DATA,
    (_S.IDLE, _E.COMMAND_ONLY): _S.IDLE,
    (_S.IDLE, _E.RELEASE): _S.CLOSED,
    (_S.IDLE, _E.GONE): _S.CLOSED,
    (_S.COMMAND, _E.COMMAND_PART): _S.COMMAND,
    (_S.COMMAND, _E.COMMAND_END): _S.DATA,
    (_S.COMMAND, _E.COMMAND_ONLY): _S.IDLE,
    (_S.COMMAND, _E.GONE): _S.CLOSED,
    (_S.DATA, _E.DATA_PART): _S.DATA,
    (_S.DATA, _E.DATA_END): _S.IDLE,
    (_S.DATA, _E.GONE): _S.CLOSED,
}


def after(state: State, event: Event) -> State:
    """The state after `event`.

    Raises:
        ProtocolViolation: the peer may not send that now.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ProtocolViolation(f"{event} while {state}") from None


class DataSink(Protocol):
    """Takes the data set of one message, piece by piece."""

    def write(self, piece: memoryview) -> None:
        """`piece` is valid during the call only."""
        ...

    def finish(self) -> None:
        """The data set is complete."""
        ...

    def discard(self) -> None:
        """The data set will never be complete."""
        ...


class MessageHandler(Protocol):
    """Told of every message."""

    def on_command(self, context_id: int, command: Command, encoded: bytes) -> None:
        """A message without a data set."""
        ...

    def on_data_set(self, context_id: int, command: Command, encoded: bytes) -> DataSink:
        """A command set came whose data set follows: where to put it."""
        ...


class Assembly:
    """Puts PDV pieces together; keeps no more than one command set of 64 KiB in memory."""

    def __init__(self, handler: MessageHandler) -> None:
        self._handler = handler
        self._state = State.IDLE
        self._command = bytearray()
        self._context_id = 0
        self._sink: DataSink | None = None

    @property
    def state(self) -> State:
        """Where in a message the peer is."""
        return self._state

    def piece(self, context_id: int, control: int, data: memoryview, *, end_of_pdv: bool) -> None:
        """One piece of a PDV; a PDV may come in many pieces, `end_of_pdv` marks its last.

        Raises:
            ProtocolViolation: out of order, on another context than the message began on, or a malformed command.
        """
        last = bool(control & LAST) and end_of_pdv
        if self._state is not State.IDLE and context_id != self._context_id:
            raise ProtocolViolation(f"a message of context {self._context_id} goes on in context {context_id}")
        self._context_id = context_id
        if control & COMMAND:
            self._command_piece(data, last=last)
        else:
            self._data_piece(data, last=last)

    def _command_piece(self, data: memoryview, *, last: bool) -> None:
        after(self._state, Event.COMMAND_PART)
        if len(self._command) + len(data) > LONGEST_COMMAND:
            raise ProtocolViolation(f"a command set has more than {LONGEST_COMMAND} bytes")
        self._command += data
        if not last:
            self._state = after(self._state, Event.COMMAND_PART)
            return
        encoded = bytes(self._command)
        self._command.clear()
        command = parse_command(encoded)
        if command.has_data_set:
            self._sink = self._handler.on_data_set(self._context_id, command, encoded)
            self._state = after(self._state, Event.COMMAND_END)
        else:
            self._state = after(self._state, Event.COMMAND_ONLY)
            self._handler.on_command(self._context_id, command, encoded)

    def _data_piece(self, data: memoryview, *, last: bool) -> None:
        following = after(self._state, Event.DATA_END if last else Event.DATA_PART)
        sink = self._sink
        if sink is None:
            raise ProtocolViolation("a data set without a command")
        if len(data):
            sink.write(data)
        self._state = following
        if last:
            self._sink = None
            sink.finish()

    def release(self) -> None:
        """The peer asks for release.

        Raises:
            ProtocolViolation: in the middle of a message.
        """
        self._state = after(self._state, Event.RELEASE)

    def close(self) -> bool:
        """The peer is gone; what it began is discarded. Whether a message was cut off. Idempotent."""
        cut_off = self._state in (State.COMMAND, State.DATA)
        if self._state is not State.CLOSED:
            self._state = after(self._state, Event.GONE)
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.discard()
        return cut_off
