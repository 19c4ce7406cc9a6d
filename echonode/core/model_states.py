"""The life of a model package as one table of (state, event) -> state.

A package is a candidate when it is registered; it may then only look (shadow), run where routes name its line (active),
and step down (retired). A package that lies in a models folder without a word about it is active in the line that has
its name, as every package was before there was a register.
"""

from __future__ import annotations

from enum import StrEnum

from echonode.core.errors import IllegalTransition


class ModelState(StrEnum):
    """Where a package stands."""

    UNKNOWN = "unknown"  # it was never registered here, and lies in no models folder
    SHIPPED = "shipped"  # no event names it, and it lies in a models folder: active in its own line
    CANDIDATE = "candidate"  # it passed its contract tests
    SHADOW = "shadow"  # it runs beside the active one of its line; nothing is delivered
    ACTIVE = "active"  # it runs where routes name its line
    RETIRED = "retired"  # it ran, or was taken out
    REMOVED = "removed"  # its folder is gone; what happened stays


class ModelEvent(StrEnum):
    """What can happen to a package."""

    REGISTER = "register"  # it passed its contract tests
    ADOPT = "adopt"  # as REGISTER, of one that runs already because a route names it
    SHADOW = "shadow"  # a person lets it look
    ACTIVATE = "activate"  # a person lets it run
    DISPLACE = "displace"  # another one takes its place
    ROLLBACK = "rollback"  # a person takes the change back: it runs again
    RETIRE = "retire"  # a person takes it out
    REMOVE = "remove"  # a person removes its folder


_S, _E = ModelState, ModelEvent
TRANSITIONS: dict[tuple[ModelState, ModelEvent], ModelState] = {
    (_S.UNKNOWN, _E.REGISTER): _S.CANDIDATE,
    (_S.SHIPPED, _E.REGISTER): _S.CANDIDATE,
    (_S.SHIPPED, _E.ADOPT): _S.ACTIVE,
    (_S.SHIPPED, _E.DISPLACE): _S.RETIRED,
    (_S.SHIPPED, _E.RETIRE): _S.RETIRED,
    (_S.CANDIDATE, _E.REGISTER): _S.CANDIDATE,  # tested again
    (_S.CANDIDATE, _E.SHADOW): _S.SHADOW,
    (_S.CANDIDATE, _E.ACTIVATE): _S.ACTIVE,
    (_S.CANDIDATE, _E.RETIRE): _S.RETIRED,
    (_S.CANDIDATE, _E.REMOVE): _S.REMOVED,
    (_S.SHADOW, _E.REGISTER): _S.SHADOW,
    (_S.SHADOW, _E.ACTIVATE): _S.ACTIVE,
    (_S.SHADOW, _E.DISPLACE): _S.CANDIDATE,
    (_S.SHADOW, _E.RETIRE): _S.RETIRED,
    (_S.ACTIVE, _E.REGISTER): _S.ACTIVE,
    (_S.ACTIVE, _E.DISPLACE): _S.RETIRED,
    (_S.ACTIVE, _E.RETIRE): _S.RETIRED,
    (_S.RETIRED, _E.REGISTER): _S.CANDIDATE,
    (_S.RETIRED, _E.SHADOW): _S.SHADOW,
    (_S.RETIRED, _E.ACTIVATE): _S.ACTIVE,
    (_S.RETIRED, _E.ROLLBACK): _S.ACTIVE,
    (_S.RETIRED, _E.REMOVE): _S.REMOVED,
    (_S.REMOVED, _E.REGISTER): _S.CANDIDATE,
}
RUNS = frozenset({ModelState.SHIPPED, ModelState.ACTIVE})
"""States in which a package answers for patients."""


def after(state: ModelState, event: ModelEvent) -> ModelState:
    """The state after `event`.

    Raises:
        IllegalTransition: the table has no such pair.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a model that is {state} cannot {event}") from None
