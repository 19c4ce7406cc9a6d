"""Numbers on the dashboard are the sum of what every process counted."""

from __future__ import annotations

import threading

import pytest

from echonode.core.tally import SERIES, Tally, add_up


def test_counts_from_many_threads_are_not_lost() -> None:
    tally = Tally()
    threads = [
        threading.Thread(target=lambda: [tally.count("associations", "accepted") for _ in range(500)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.counts() == [["associations", ["accepted"], 4000]]


def test_a_series_or_label_that_the_table_does_not_have_is_our_fault_and_is_said_at_once() -> None:
    with pytest.raises(KeyError):
        Tally().count("assocations", "accepted")
    with pytest.raises(ValueError, match="answer"):
        Tally().count("associations")


def test_processes_add_up_and_the_latest_time_wins() -> None:
    one, two = Tally(clock=lambda: 100.0), Tally(clock=lambda: 200.0)
    for tally, seconds in ((one, 0.004), (two, 99.0)):
        tally.count("objects", "dimse", "stored")
        tally.now("last_object_timestamp_seconds", "dimse")
        tally.observe("object_seconds", "dimse", seconds=seconds)
    total = {row[0]: row[2:] for row in add_up([one.counts(), two.counts()])}
    assert total["objects"] == [2]
    assert total["last_object_timestamp_seconds"] == [200.0]
    buckets, seconds = total["object_seconds"]
    assert (buckets[0], buckets[-1], sum(buckets), seconds) == (1, 1, 2, pytest.approx(99.004))


def test_counts_of_another_version_do_not_spoil_the_sum() -> None:
    strange = [["gone", [], 1], ["associations", [], 1], ["object_seconds", ["dimse"], [1, 2], 3.0]]
    assert add_up([strange]) == []


def test_every_series_has_its_help() -> None:
    assert all(series.help for series in SERIES.values())
