"""A workitem that leaves the table of states would be run twice or be lost."""

from __future__ import annotations

from itertools import product

import pytest

from echonode.core.errors import IllegalTransition
from echonode.core.states import TRANSITIONS, WorkEvent, WorkState, after


@pytest.mark.parametrize(("state", "event"), list(product(WorkState, WorkEvent)))
def test_every_pair_is_either_in_the_table_or_refused(state: WorkState, event: WorkEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert after(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition, match=event):
            after(state, event)


def test_an_ended_item_leaves_its_end_only_when_a_person_asks() -> None:
    for ended in (WorkState.COMPLETED, WorkState.CANCELED):
        assert [event for event in WorkEvent if (ended, event) in TRANSITIONS] == [WorkEvent.RETRY]


def test_only_a_claim_starts_work() -> None:
    assert [pair for pair, state in TRANSITIONS.items() if state is WorkState.IN_PROGRESS] == [
        (WorkState.SCHEDULED, WorkEvent.CLAIM),
        (WorkState.IN_PROGRESS, WorkEvent.RENEW),
    ]
