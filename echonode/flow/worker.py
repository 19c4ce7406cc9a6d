"""The worker's loops: runs, reports, one delivery loop a destination, and the heartbeat of their leases."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from echonode.core.errors import EchonodeError
from echonode.core.tally import Tally
from echonode.flow.deliver import Delivery
from echonode.flow.leases import Leases
from echonode.flow.reporting import Reporting
from echonode.flow.run import Runs

LOG = logging.getLogger(__name__)
PAUSE_AFTER_FAULT_SECONDS = 1.0


def work(
    runs: Runs,
    delivery: Delivery,
    leases: Leases,
    reporting: Reporting | None = None,
    *,
    poll_seconds: float,
    stop: threading.Event,
    tally: Tally | None = None,
) -> None:
    """Work until `stop`, then give back what is in hand. A slow destination holds up no other, and no run.

    `tally` pulses with the loop of the runs.
    """
    pulse = (tally or Tally()).pulse
    loops = [threading.Thread(target=leases.beat, args=(stop,), name="heartbeat", daemon=True)]
    steps = {f"deliver to {name}": _delivering(delivery, name) for name in delivery.destinations}
    if reporting is not None:
        steps["report"] = reporting.step
    for name, step in steps.items():
        loops.append(
            threading.Thread(
                target=_repeat,
                args=(step, stop),
                kwargs={"poll": lambda: stop.wait(poll_seconds)},
                name=name,
                daemon=True,
            )
        )
    for loop in loops:
        loop.start()
    try:
        _repeat(_pulsing(runs.step, pulse), stop, poll=lambda: _wait_for_change(runs, poll_seconds))
    finally:
        runs.stop()
        for loop in loops:
            loop.join(timeout=leases.seconds)
        leases.release_all()


def _delivering(delivery: Delivery, destination: str) -> Callable[[], int]:
    return lambda: delivery.step(destination)


def _pulsing(step: Callable[[], int], pulse: Callable[[], None]) -> Callable[[], int]:
    def turn() -> int:
        pulse()
        return step()

    return turn


def _wait_for_change(runs: Runs, seconds: float) -> object:
    changed = runs.changed.wait(seconds)
    runs.changed.clear()
    return changed


def _repeat(step: Callable[[], int], stop: threading.Event, *, poll: Callable[[], object]) -> None:
    while not stop.is_set():
        try:
            taken = step()
        except EchonodeError as error:  # the database is busy or away
            LOG.warning("a step failed", extra={"reason": str(error)})
            stop.wait(PAUSE_AFTER_FAULT_SECONDS)
        except Exception:
            LOG.exception("a step ended in a fault")
            stop.wait(PAUSE_AFTER_FAULT_SECONDS)
        else:
            if not taken:
                poll()
