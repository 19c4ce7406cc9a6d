"""Workitems: each (state, event) of the table, leases, order, holds and pauses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from echonode.archive.archive import Archive
from echonode.core.errors import IllegalTransition, NotFound
from echonode.core.states import TRANSITIONS, WorkEvent, WorkState
from echonode.core.work import WorkItem, WorkKind, WorkRequest
from tests.support.door import DoorBench, picture


@dataclass
class Hand:
    """A clock that a test turns."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def archive(tmp_path: Path, clock: Hand) -> Iterator[Archive]:
    made = Archive.open(f"sqlite:///{tmp_path / 'echonode.sqlite3'}", clock=clock, migrate=True)
    yield made
    made.close()


def request(key: str = "k", **values: object) -> WorkRequest:
    settled: dict[str, object] = {"kind": WorkKind.RUN, "queue": "model", "unique_key": key, "study_uid": "1.2.3"}
    return WorkRequest(**settled | values)  # type: ignore[arg-type]


def put(archive: Archive, *requests: WorkRequest) -> list[str]:
    with archive.transaction() as connection:
        return archive.work.enqueue(connection, requests)


def claim(archive: Archive, owner: str = "w1", **values: object) -> list[WorkItem]:
    settled: dict[str, object] = {"kind": WorkKind.RUN, "owner": owner, "lease_seconds": 60.0}
    return archive.work.claim(**settled | values)  # type: ignore[arg-type]


def bring_to(archive: Archive, state: WorkState) -> str:
    (work_id,) = put(archive, request())
    if state is WorkState.IN_PROGRESS:
        claim(archive)
    elif state is WorkState.COMPLETED:
        claim(archive)
        archive.work.finish(work_id, owner="w1", outcome={})
    elif state is WorkState.CANCELED:
        archive.work.cancel(work_id, reason="not wanted")
    assert archive.work.get(work_id).state is state
    return work_id


EVENTS: dict[WorkEvent, Callable[[Archive, str, Hand], object]] = {
    WorkEvent.CLAIM: lambda archive, _, __: claim(archive, owner="w2"),
    WorkEvent.RENEW: lambda archive, work_id, _: archive.work.renew([work_id], owner="w1", lease_seconds=90),
    WorkEvent.FINISH: lambda archive, work_id, _: archive.work.finish(work_id, owner="w1", outcome={"done": True}),
    WorkEvent.FAIL: lambda archive, work_id, _: archive.work.fail(work_id, owner="w1", reason="no", exhausted=False),
    WorkEvent.EXHAUST: lambda archive, work_id, _: archive.work.fail(work_id, owner="w1", reason="no", exhausted=True),
    WorkEvent.RELEASE: lambda archive, work_id, _: archive.work.release(work_id, owner="w1"),
    WorkEvent.CANCEL: lambda archive, work_id, _: archive.work.cancel(work_id, reason="superseded"),
    WorkEvent.RETRY: lambda archive, work_id, _: archive.work.retry(work_id),
}


def lapse(archive: Archive, _: str, clock: Hand) -> int:
    clock.now += 1000
    return archive.work.reap()


EVENTS[WorkEvent.LAPSE] = lapse
SILENT = {WorkEvent.CLAIM, WorkEvent.RENEW, WorkEvent.LAPSE}
"""Events that pick items by themselves: an item in another state is passed over, not an error."""


@pytest.mark.parametrize(("state", "event"), list(product(WorkState, WorkEvent)))
def test_every_state_and_event_follows_the_table(
    archive: Archive, clock: Hand, state: WorkState, event: WorkEvent
) -> None:
    work_id = bring_to(archive, state)
    expected = TRANSITIONS.get((state, event))
    if expected is None and event not in SILENT:
        with pytest.raises(IllegalTransition):
            EVENTS[event](archive, work_id, clock)
    else:
        EVENTS[event](archive, work_id, clock)
    item = archive.work.get(work_id)
    assert item.state is (expected or state)
    assert (item.lease_owner is not None) == (item.state is WorkState.IN_PROGRESS)


def test_enqueueing_twice_is_one_item(archive: Archive) -> None:
    assert put(archive, request("a"), request("b")) == put(archive, request("a"), request("b"))
    assert len(archive.work.list()) == 2


def test_highest_priority_then_oldest_comes_first(archive: Archive, clock: Hand) -> None:
    for key, priority in (("old", 0), ("new", 0), ("urgent", 5)):
        put(archive, request(key, priority=priority))
        clock.now += 1
    assert [item.unique_key for item in claim(archive, limit=3)] == ["urgent", "old", "new"]


def test_an_item_is_claimed_by_one_worker_alone(archive: Archive) -> None:
    put(archive, request())
    assert len(claim(archive, owner="w1")) == 1
    assert claim(archive, owner="w2") == []


def test_only_what_is_due_and_wanted_is_claimed(archive: Archive, clock: Hand) -> None:
    put(archive, request("later", not_before=clock.now + 10), request("other", queue="other"))
    put(archive, request("delivery", kind=WorkKind.DELIVER))
    assert claim(archive, queues=["model"]) == []
    assert [item.unique_key for item in claim(archive, limit=9)] == ["other"]
    clock.now += 10
    assert [item.unique_key for item in claim(archive, limit=9)] == ["later"]
    assert claim(archive, queues=[]) == []


def test_a_lost_lease_cannot_finish_and_renew_says_so(archive: Archive, clock: Hand) -> None:
    (work_id,) = put(archive, request())
    claim(archive, owner="slow", lease_seconds=5)
    clock.now += 6
    assert archive.work.reap() == 1
    claim(archive, owner="quick")
    assert archive.work.renew([work_id], owner="slow", lease_seconds=5) == set()
    with pytest.raises(IllegalTransition, match="leased to quick"):
        archive.work.finish(work_id, owner="slow", outcome={})
    archive.work.finish(work_id, owner="quick", outcome={"by": "quick"})
    assert archive.work.get(work_id).outcome == {"by": "quick"}


def test_attempts_end_with_a_reason_that_stays_visible(archive: Archive) -> None:
    (work_id,) = put(archive, request(max_attempts=2))
    for attempt in (1, 2):
        claim(archive)
        item = archive.work.fail(work_id, owner="w1", reason=f"broke {attempt}", not_before=0.0)
    assert (item.state, item.reason, item.attempts) == (WorkState.CANCELED, "broke 2", 2)
    assert archive.work.retry(work_id).attempts == 0


def test_a_silent_worker_uses_up_attempts_too(archive: Archive, clock: Hand) -> None:
    (work_id,) = put(archive, request(max_attempts=2))
    for _ in range(2):
        claim(archive, lease_seconds=1)
        clock.now += 2
        archive.work.reap()
    item = archive.work.get(work_id)
    assert item.state is WorkState.CANCELED
    assert "silent" in item.reason


def test_giving_an_item_back_at_shutdown_costs_no_attempt(archive: Archive) -> None:
    (work_id,) = put(archive, request(max_attempts=1))
    claim(archive)
    assert archive.work.release(work_id, owner="w1").attempts == 0


def test_pauses_hold_routes_models_and_destinations(archive: Archive) -> None:
    put(archive, request("run", route="r"), request("deliver", kind=WorkKind.DELIVER, queue="pacs"))
    for kind, name, asked in (
        ("route", "r", WorkKind.RUN),
        ("model", "model", WorkKind.RUN),
        ("destination", "pacs", WorkKind.DELIVER),
    ):
        archive.pauses.pause(kind, name, by="ada", reason="maintenance")  # type: ignore[arg-type]
        assert claim(archive, kind=asked) == []
        archive.pauses.resume(kind, name, by="ada")  # type: ignore[arg-type]
        (item,) = claim(archive, kind=asked)
        archive.work.release(item.id, owner="w1")
    with pytest.raises(NotFound):
        archive.pauses.resume("route", "r", by="ada")
    assert [row.event for row in archive.audit.latest(2)] == ["resumed", "paused"]


def test_a_held_study_holds_what_is_there_and_what_comes(tmp_path: Path) -> None:
    door = DoorBench(tmp_path)
    door.send(picture())
    with door.archive.transaction() as connection:
        door.archive.work.hold_study(connection, "1.2.3", "two patients")
    put(door.archive, request("more"), request("elsewhere", study_uid="1.9"))
    assert [item.unique_key for item in claim(door.archive, limit=9)] == ["elsewhere"]
    assert {item.held for item in door.archive.work.list(study_uid="1.2.3")} == {"two patients"}
    with door.archive.transaction() as connection:
        door.archive.work.release_study(connection, "1.2.3")
    assert len(claim(door.archive, limit=9)) == 2
    door.archive.close()


def test_a_retry_does_not_slip_past_the_hold_of_its_study(tmp_path: Path) -> None:
    """A dead letter that is tried again must not go out while nobody knows whose study it is."""
    door = DoorBench(tmp_path)
    door.send(picture())
    (work_id,) = put(door.archive, request("ended"))
    door.archive.work.cancel(work_id, reason="dead letter")
    with door.archive.transaction() as connection:
        door.archive.work.hold_study(connection, "1.2.3", "two patients")
    assert door.archive.work.retry(work_id).held == "two patients"
    assert claim(door.archive, limit=9) == []
    with door.archive.transaction() as connection:
        door.archive.work.release_study(connection, "1.2.3")
    assert work_id in [item.id for item in claim(door.archive, limit=9)]
    door.archive.close()


def test_an_unknown_item_is_named(archive: Archive) -> None:
    with pytest.raises(NotFound, match="nothing"):
        archive.work.get("nothing")
