"""When a study counts as complete: quiet, and no association open for it; or it has waited too long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from echonode.archive.archive import Archive
from echonode.core.received import Origin
from tests.support.door import DoorBench, picture

QUIET, LONGEST = 90.0, 7200.0


class Hand:
    """A clock that a test turns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def door(tmp_path: Path, clock: Hand) -> Iterator[DoorBench]:
    made = DoorBench(tmp_path)
    made.archive.close()
    made.archive = Archive.open(f"sqlite:///{tmp_path / 'echonode.sqlite3'}", clock=clock)
    made.ingest = type(made.ingest)(
        archive=made.archive, blobs=made.blobs, planner=lambda _: (), settings=made.ingest._settings
    )
    yield made
    made.archive.close()


def complete(door: DoorBench) -> list[str]:
    return door.archive.activity.unsettled(quiet_seconds=QUIET, longest_seconds=LONGEST)


def settle(door: DoorBench, through: float) -> bool:
    with door.archive.transaction() as connection:
        return door.archive.activity.settled(connection, "1.2.3", through=through)


def test_an_open_association_keeps_its_study_open(door: DoorBench, clock: Hand) -> None:
    door.send(picture(), correlation_id="slow scanner")
    clock.now += 10 * QUIET
    assert complete(door) == []
    door.archive.activity.closed("slow scanner")
    assert complete(door) == ["1.2.3"]


def test_a_study_is_open_until_it_was_quiet_for_long_enough(door: DoorBench, clock: Hand) -> None:
    door.send(picture(), origin=Origin.IMPORT)
    clock.now += QUIET - 1
    door.send(picture("1.2.3.5"), origin=Origin.IMPORT)
    clock.now += QUIET - 1
    assert complete(door) == []
    clock.now += 1
    assert complete(door) == ["1.2.3"]


def test_no_study_waits_for_ever(door: DoorBench, clock: Hand) -> None:
    door.send(picture(), correlation_id="never closed")
    clock.now += LONGEST
    assert complete(door) == ["1.2.3"]


def test_a_late_object_opens_the_study_again_and_our_own_results_do_not(door: DoorBench, clock: Hand) -> None:
    door.send(picture(), origin=Origin.IMPORT)
    clock.now += QUIET
    seen = door.archive.activity.last_received("1.2.3")
    assert seen is not None
    assert settle(door, seen)
    assert complete(door) == []
    door.send(picture("1.2.3.5"), origin=Origin.DERIVED)
    clock.now += QUIET
    assert complete(door) == []
    door.send(picture("1.2.3.6"), origin=Origin.IMPORT)
    assert not settle(door, seen), "an object that came while the study was being settled is not lost"
    clock.now += QUIET
    assert complete(door) == ["1.2.3"]


def test_old_associations_are_forgotten(door: DoorBench, clock: Hand) -> None:
    door.send(picture(), correlation_id="old")
    door.archive.activity.closed("old")
    clock.now += 10
    assert door.archive.activity.forget_closed(before=clock.now) == 1
    assert door.archive.activity.reap() == 0
