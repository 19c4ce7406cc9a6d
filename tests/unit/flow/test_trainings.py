"""What the node decides about trainings: when one begins, yields, stops, is tried again. The process is scripted."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from echonode.archive.archive import Archive
from echonode.core.errors import BadInput, RunFailed
from echonode.core.settings import WorkSection
from echonode.core.states import WorkState
from echonode.core.window import Window
from echonode.core.work import WorkItem, WorkKind, WorkRequest
from echonode.flow.training_orders import TrainingOrder, order_training, words
from echonode.flow.trainings import CALM_SECONDS, SAVING_SECONDS, Ended, Trainings
from tests.support.bench import Clock

NIGHT = Window(at="22:00", until="06:00")
RESULT = {"folder": "/r", "package": "/m/x", "metrics": [{"name": "MAE", "value": 0.5, "unit": "%"}]}


@dataclass
class Scripted:
    """A training whose end the test writes; it notes what it was told."""

    told: list[str] = field(default_factory=list)
    end: Ended | None = None
    step: tuple[int, int] | None = None

    def ended(self) -> Ended | None:
        return self.end

    def progress(self) -> tuple[int, int] | None:
        return self.step

    def pause(self) -> None:
        self.told.append("pause")

    def go_on(self) -> None:
        self.told.append("go on")

    def stop(self) -> None:
        self.told.append("stop")

    def kill(self) -> None:
        self.told.append("kill")
        self.end = Ended(reason="killed by SIGKILL")


@dataclass
class Room:
    """An archive, a clock, and the trainings of one worker."""

    archive: Archive
    clock: Clock
    started: list[Scripted] = field(default_factory=list)
    refuses: Exception | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.trainings = self.worker("worker 1")

    def worker(self, owner: str) -> Trainings:
        return Trainings(
            archive=self.archive, trainer=self, settings=WorkSection(), owner=owner, clock=self.clock, stop=self.stop
        )  # fmt: skip

    def start(self, work_id: str, arguments: Mapping[str, Any]) -> Scripted:
        if self.refuses is not None:
            raise self.refuses
        self.started.append(Scripted())
        return self.started[-1]

    def order(self, out: str = "/runs/one", window: Window = NIGHT) -> WorkItem:
        arguments = {"task": "tiny", "out": out, "data": ["phantom:2@1"]}
        return order_training(self.archive, TrainingOrder(arguments=arguments, window=window, who="cli:me"))

    def run(self, key: str = "run", **more: Any) -> str:
        request = WorkRequest(kind=WorkKind.RUN, queue="model", unique_key=key, study_uid="1.2", **more)
        with self.archive.transaction() as connection:
            return self.archive.work.enqueue(connection, [request])[0]

    def says(self, item: WorkItem) -> str:
        return words(self.archive.work.get(item.id), self.clock())

    def at(self, day: int, time: str) -> int:
        self.clock.now = moment(day, time)
        return self.trainings.sweep()

    def events(self) -> list[str]:
        return [row.event for row in reversed(self.archive.audit.latest()) if "train" in row.event]


def moment(day: int, time: str) -> float:
    return datetime.fromisoformat(f"2026-03-{day:02d}T{time}").timestamp()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    clock = Clock(moment(3, "15:00"))
    archive = Archive.open(f"sqlite:///{tmp_path / 'node.sqlite3'}", clock=clock, migrate=True)
    yield Room(archive, clock)
    archive.close()


def test_a_training_waits_for_its_night_and_tells_how_far_it_is(room: Room) -> None:
    item = room.order()
    assert room.says(item) == "waits for 22:00"
    assert room.at(3, "21:59") == 0
    assert room.at(3, "22:00") == 1
    assert room.says(item) == "training"
    room.started[0].step = (120, 4500)
    room.at(3, "22:12")
    assert room.says(item) == "training, step 120 of 4500, 12 min"
    room.started[0].end = Ended(result=RESULT)
    room.at(3, "22:13")
    assert room.archive.work.get(item.id).state is WorkState.COMPLETED
    assert room.says(item) == "trained, step 120 of 4500, 13 min, MAE 0.5 %, package /m/x"
    assert room.events() == ["training ordered", "training began", "trained"]


def test_the_end_of_the_night_stops_it_and_the_next_night_goes_on(room: Room) -> None:
    """No attempt is used up by it: a long training may take a month of nights."""
    item = room.order()
    for night in (3, 4, 5, 6, 7):
        assert room.at(night, "22:00") == 1
        room.at(night + 1, "06:00")
        assert room.started[-1].told == ["stop"]
        room.started[-1].step, room.started[-1].end = (200 * night, 4500), Ended(reason="stopped by a signal")
        assert room.at(night + 1, "06:01") == 1
        assert room.says(item) == "stopped at 06:00, goes on at 22:00"
        assert room.at(night + 1, "12:00") == 0
    assert room.archive.work.get(item.id).attempts == 0
    assert room.archive.work.get(item.id).outcome["step"] == 1400


def test_without_an_end_it_goes_on_by_day(room: Room) -> None:
    room.order(window=Window(at="22:00"))
    room.at(3, "22:00")
    room.at(4, "12:00")
    assert room.started[0].told == []


def test_it_stands_still_while_runs_are_wanted_and_wakes_after_a_calm(room: Room) -> None:
    """A sonographer at night must not wait for a training."""
    item = room.order()
    room.at(3, "22:00")
    run = room.run()
    assert room.trainings.sweep() == 1
    assert room.started[0].told == ["pause"]
    assert room.says(item) == "paused for live runs"
    (claimed,) = room.archive.work.claim(kind=WorkKind.RUN, owner="w", lease_seconds=600)
    room.clock.now += 60
    assert room.trainings.sweep() == 0
    room.archive.work.finish(claimed.id, owner="w", outcome={})
    assert run == claimed.id
    assert room.trainings.sweep() == 0
    room.clock.now += CALM_SECONDS
    assert room.trainings.sweep() == 1
    assert room.started[0].told == ["pause", "go on"]


def test_what_nobody_waits_for_does_not_hold_it_up(room: Room) -> None:
    """A paused model's queue may be full for days, a run that failed is due later, a shadow only looks."""
    room.order()
    room.run("later", not_before=moment(4, "23:00"))
    room.run("held", held="two patients")
    room.run("shadow", payload={"shadow": True})
    assert room.at(3, "22:00") == 1
    room.trainings.sweep()
    assert room.started[0].told == []


def test_nothing_begins_while_runs_are_wanted(room: Room) -> None:
    room.order()
    run = room.run()
    assert room.at(3, "22:00") == 0
    room.archive.work.cancel(run, reason="no more")
    assert room.trainings.sweep() == 1


def test_cancel_stops_it_and_a_training_that_hangs_is_killed(room: Room) -> None:
    item = room.order()
    room.at(3, "22:00")
    room.archive.work.cancel(item.id, reason="wrong data")
    assert room.trainings.sweep() == 1
    assert room.started[0].told == ["stop"]
    room.clock.now += SAVING_SECONDS
    room.trainings.sweep()
    room.trainings.sweep()
    assert room.started[0].told == ["stop", "kill"]
    assert room.trainings.in_hand == ""
    assert room.says(item) == "given up: wrong data"
    assert room.events()[-1] == "training stopped"


def test_a_crash_counts_an_attempt_with_its_reason(room: Room) -> None:
    item = room.order()
    clock = moment(3, "22:00")
    for attempt in (1, 2, 3):
        room.clock.now = clock
        assert room.trainings.sweep() == 1
        room.started[-1].end = Ended(reason="loss is not a number")
        room.trainings.sweep()
        assert room.archive.work.get(item.id).attempts == attempt
        clock += 600
    assert room.says(item) == "given up: loss is not a number"
    assert room.events()[-3:] == ["training failed", "training began", "training given up"]


@pytest.mark.parametrize(("refusal", "state"), [(RunFailed("no room"), "SCHEDULED"), (BadInput("odd"), "CANCELED")])
def test_what_cannot_start_says_why(room: Room, refusal: Exception, state: str) -> None:
    item = room.order()
    room.refuses = refusal
    room.at(3, "22:00")
    assert room.archive.work.get(item.id).state == state
    assert str(refusal) in room.says(item)


def test_a_night_that_was_missed_is_not_made_up_by_day(room: Room) -> None:
    """A node that was off at night must not begin to train when the clinic opens."""
    item = room.order()
    assert room.at(4, "09:00") == 0
    assert room.started == []
    assert room.says(item) == "waits for 22:00"
    assert room.archive.work.get(item.id).attempts == 0


def test_one_trains_at_a_time(room: Room) -> None:
    first, second = room.order("/runs/one"), room.order("/runs/two")
    room.at(3, "22:00")
    room.trainings.sweep()
    assert len(room.started) == 1
    assert room.says(second) == "waits for its turn"
    room.started[0].end = Ended(result=RESULT)
    room.trainings.sweep()
    room.trainings.sweep()
    assert room.archive.work.get(first.id).state is WorkState.COMPLETED
    assert room.says(second) == "training"


def test_a_folder_is_ordered_once(room: Room) -> None:
    """Two runs in one folder would spoil both."""
    item = room.order()
    with pytest.raises(BadInput, match="it has not ended"):
        room.order()
    room.archive.work.cancel(item.id, reason="no")
    with pytest.raises(BadInput, match="work retry"):
        room.order()


def test_a_node_that_stops_gives_the_training_back(room: Room) -> None:
    """The next worker goes on at once, and no attempt is lost."""
    item = room.order()
    room.at(3, "22:00")
    room.started[0].step = (7, 9)
    ending = threading.Timer(0.1, lambda: setattr(room.started[0], "end", Ended(reason="stopped by a signal")))
    ending.start()
    room.trainings.close()
    ending.join()
    kept = room.archive.work.get(item.id)
    assert (kept.state, kept.attempts, kept.outcome["step"]) == (WorkState.SCHEDULED, 0, 7)
    assert room.says(item) == "the node was stopped, goes on in its turn"
    room.stop.clear()
    assert room.worker("worker 2").sweep() == 1
    assert len(room.started) == 2


def test_a_training_that_does_not_end_with_the_node_is_killed(room: Room) -> None:
    room.order()
    room.at(3, "22:00")
    room.trainings.close(seconds=0.1)
    assert room.started[0].told[-1] == "kill"
    assert room.trainings.in_hand == ""


def test_the_lease_is_kept_for_as_long_as_it_trains(room: Room) -> None:
    item = room.order()
    room.at(3, "22:00")
    for _ in range(20):
        room.clock.now += 30
        room.trainings.sweep()
        assert room.archive.work.reap() == 0
    assert room.archive.work.get(item.id).state is WorkState.IN_PROGRESS


def test_a_payload_that_is_no_order_is_given_up(room: Room) -> None:
    request = WorkRequest(kind=WorkKind.TRAIN, queue="train", unique_key="odd", study_uid="", payload={"at": "22:00"})
    with room.archive.transaction() as connection:
        (work_id,) = room.archive.work.enqueue(connection, [request])
    room.trainings.sweep()
    assert room.archive.work.get(work_id).state is WorkState.CANCELED
