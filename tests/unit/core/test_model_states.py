"""A package that leaves the table of states would answer for patients without anybody having let it."""

from __future__ import annotations

from itertools import product

import pytest

from echonode.core.errors import IllegalTransition
from echonode.core.model_states import RUNS, TRANSITIONS, ModelEvent, ModelState, after


@pytest.mark.parametrize(("state", "event"), list(product(ModelState, ModelEvent)))
def test_every_pair_is_either_in_the_table_or_refused(state: ModelState, event: ModelEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert after(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition, match=event):
            after(state, event)


def test_only_a_persons_word_lets_a_package_at_patients() -> None:
    into = {event for (state, event), then in TRANSITIONS.items() if then in RUNS and state not in RUNS}
    assert into == {ModelEvent.ACTIVATE, ModelEvent.ROLLBACK}
    assert all((state, ModelEvent.ACTIVATE) not in TRANSITIONS for state in (ModelState.UNKNOWN, ModelState.REMOVED))


def test_what_runs_or_looks_is_never_removed() -> None:
    assert {state for state, event in TRANSITIONS if event is ModelEvent.REMOVE} == {
        ModelState.CANDIDATE,
        ModelState.RETIRED,
    }


def test_another_model_in_its_place_takes_it_out_of_service() -> None:
    for state in (ModelState.SHIPPED, ModelState.ACTIVE, ModelState.SHADOW):
        assert after(state, ModelEvent.DISPLACE) not in RUNS | {ModelState.SHADOW}


def test_a_removed_package_comes_back_by_registration_alone() -> None:
    assert [event for event in ModelEvent if (ModelState.REMOVED, event) in TRANSITIONS] == [ModelEvent.REGISTER]
