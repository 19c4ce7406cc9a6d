"""Delivery: a destination that is down, slow, full or gone, and nothing that is lost or sent for ever."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from echonode.core.errors import StorageUnavailable
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.deliver import pause_after
from tests.support.bench import ROUTES, Bench
from tests.support.loops import loop_dataset

DOWN = {"detail": "the peer cannot be reached", "transient": True}


@pytest.fixture
def made(bench: Bench) -> Bench:
    bench.receive(loop_dataset())
    bench.run_all()
    return bench


def test_a_destination_that_is_down_gets_it_later(made: Bench) -> None:
    """A PACS that is updated over the weekend must find the results on Monday."""
    made.destination.says = DOWN
    pauses = []
    for _ in range(4):
        made.deliver_all()
        (item,) = made.items(WorkKind.DELIVER)
        pauses.append(item.not_before - made.clock.now)
        made.clock.now = item.not_before
    assert pauses == [10, 20, 40, 80]
    made.destination.says = {}
    made.deliver_all()
    assert len(made.destination.received) == 1
    assert made.items(WorkKind.DELIVER)[0].state is WorkState.COMPLETED


def test_pauses_grow_to_a_limit() -> None:
    """Sixty attempts must fit into days, not into centuries."""
    from echonode.core.settings import WorkSection

    assert pause_after(1, WorkSection()) == 10
    assert pause_after(60, WorkSection()) == 7200
    assert pause_after(100_000, WorkSection()) == 7200


def test_a_refusal_for_good_is_a_dead_letter_and_can_be_retried(made: Bench) -> None:
    """Repeating what can never work hides it; the operator must see it and be able to try again."""
    made.destination.says = {"detail": "class not supported", "status": 0x0122}
    made.deliver_all()
    (item,) = made.items(WorkKind.DELIVER)
    assert item.state is WorkState.CANCELED
    assert "class not supported (status 0122H)" in item.reason
    assert [row.event for row in made.archive.audit.story(item.study_uid)].count("dead letter") == 1
    made.destination.says = {}
    made.archive.work.retry(item.id)
    made.deliver_all()
    assert len(made.destination.received) == 1


def test_attempts_end(opened: Callable[..., Bench]) -> None:
    """A destination that was switched off for good must not fill the log for ever."""
    bench = opened(work={"delivery_attempts": 2})
    bench.receive(loop_dataset())
    bench.run_all()
    bench.destination.says = DOWN
    for _ in range(3):
        bench.deliver_all()
        bench.clock.now += 8000
    (item,) = bench.items(WorkKind.DELIVER)
    assert (item.state, item.attempts) == (WorkState.CANCELED, 2)


def test_a_paused_destination_waits(made: Bench) -> None:
    """While the PACS is migrated, nothing may be sent to it."""
    made.archive.pauses.pause("destination", "pacs", by="tester", reason="migration")
    made.deliver_all()
    assert made.destination.received == []
    made.archive.pauses.resume("destination", "pacs", by="tester")
    made.deliver_all()
    assert len(made.destination.received) == 1


def test_objects_for_one_destination_share_an_association(bench: Bench) -> None:
    """A hundred associations for a hundred loops is what makes a PACS refuse them."""
    for seed in range(3):
        bench.receive(loop_dataset(seed=seed))
    bench.run_all()
    bench.deliver_all()
    assert (len(bench.destination.received), bench.destination.batches) == (3, 1)


def test_a_destination_that_routes_no_longer_name_is_a_dead_letter(opened: Callable[..., Bench]) -> None:
    """Results that wait for a name that is gone would wait unseen."""
    bench = opened()
    bench.receive(loop_dataset())
    bench.run_all()
    routes = deepcopy(ROUTES)
    routes["route"][0]["deliver_to"], routes["destination"] = [], []
    bench.close()
    after = opened(routes=routes)
    assert after.delivery.refuse_strays() == 1
    (item,) = after.items(WorkKind.DELIVER)
    assert item.state is WorkState.CANCELED
    assert "routes.toml names no destination 'pacs'" in item.reason


def test_a_sender_that_breaks_fails_the_attempt_and_not_the_worker(made: Bench) -> None:
    """A fault in one delivery must not stop all others."""

    class Broken:
        def send(self, peer, objects):
            raise RuntimeError("the library has a fault")

    made.delivery._sender = Broken()
    made.deliver_all()
    (item,) = made.items(WorkKind.DELIVER)
    assert (item.state, item.attempts) == (WorkState.SCHEDULED, 1)
    assert "the library has a fault" in item.reason


def test_a_delivery_that_could_not_be_written_down_is_sent_again(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full for a moment must not leave a lease that is kept alive until the node is restarted."""
    work = made.archive.work
    finish = work.finish
    full = iter([True])

    def finish_once_full(*arguments: Any, **values: Any) -> WorkItem:
        if next(full, False):
            raise StorageUnavailable("the database did not take the write: database or disk is full")
        return finish(*arguments, **values)

    monkeypatch.setattr(work, "finish", finish_once_full)
    made.deliver_all()
    (item,) = made.items(WorkKind.DELIVER)
    assert not made.leases.holds(item.id)
    assert item.state is WorkState.SCHEDULED
    made.clock.now = item.not_before
    made.deliver_all()
    assert made.items(WorkKind.DELIVER)[0].state is WorkState.COMPLETED


def test_a_database_that_is_away_keeps_no_lease_alive(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other half of it: the look-up of what is to be sent fails after the item was claimed."""

    def away(sop_instance_uid: str) -> None:
        raise StorageUnavailable("the database cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr(made.archive.index, "instance", away)
        made.delivery.step("pacs")
    (item,) = made.items(WorkKind.DELIVER)
    assert not made.leases.holds(item.id)
    made.clock.now = item.not_before
    made.deliver_all()
    assert len(made.destination.received) == 1
