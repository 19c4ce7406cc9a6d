"""Environment of processes that calculate: a count for every library, and an administrator's own setting that stands."""

from __future__ import annotations

from echonode.core.cores import THREADS, threads_of, wait_briefly


def test_each_numeric_library_is_given_the_same_count() -> None:
    assert threads_of(3) == dict.fromkeys(THREADS, "3")


def test_what_an_administrator_has_set_stays() -> None:
    own = {"GOMP_SPINCOUNT": "77"}
    wait_briefly(own)
    assert own == {"GOMP_SPINCOUNT": "77"}


def test_threads_that_wait_give_up_the_core_soon() -> None:
    environment: dict[str, str] = {}
    wait_briefly(environment)
    assert 0 < int(environment["GOMP_SPINCOUNT"]) < 100_000
