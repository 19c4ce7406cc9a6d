"""When a training may run, by the clock on the wall."""

from __future__ import annotations

from datetime import datetime

import pytest

from echonode.core.errors import BadInput
from echonode.core.window import Window, time_of_day


def moment(day: int, time: str) -> float:
    return datetime.fromisoformat(f"2026-03-{day:02d}T{time}").timestamp()


@pytest.mark.parametrize(
    ("window", "now", "opens"),
    [
        (Window(at="22:00"), (3, "15:00"), (3, "22:00")),
        (Window(at="22:00"), (3, "22:00"), (3, "22:00")),
        (Window(at="22:00"), (3, "22:01"), (4, "22:00")),
        (Window(at="22:00", until="06:00"), (3, "15:00"), (3, "22:00")),
        (Window(at="22:00", until="06:00"), (3, "23:30"), (3, "23:30")),
        (Window(at="22:00", until="06:00"), (4, "05:59"), (4, "05:59")),
        (Window(at="22:00", until="06:00"), (4, "06:00"), (4, "22:00")),
        (Window(at="01:00", until="05:00"), (4, "06:00"), (5, "01:00")),
        (Window(at="01:00", until="05:00"), (4, "00:30"), (4, "01:00")),
    ],
)
def test_a_window_opens_when_it_says(window: Window, now: tuple[int, str], opens: tuple[int, str]) -> None:
    """A training that began at noon would be in the way of the clinic."""
    assert window.opening(moment(*now)) == moment(*opens)


def test_a_window_closes_at_its_end_and_one_without_end_never() -> None:
    night = Window(at="22:00", until="06:00")
    assert [night.closed(moment(4, time)) for time in ("21:59", "22:00", "05:59", "06:00")] == [
        True,
        False,
        False,
        True,
    ]
    assert not Window(at="22:00").closed(moment(4, "12:00"))


@pytest.mark.parametrize(("at", "until"), [("24:00", ""), ("9:00", ""), ("22:00", "6"), ("22:00", "22:00"), ("", "")])
def test_what_is_no_time_is_refused(at: str, until: str) -> None:
    with pytest.raises(BadInput):
        Window(at=at, until=until)


def test_a_moment_is_said_as_a_clock_shows_it() -> None:
    assert time_of_day(moment(3, "05:07")) == "05:07"
