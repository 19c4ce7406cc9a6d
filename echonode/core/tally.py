"""What a process counts while it works: one table of series, and a tally that is cheap enough for every object.

The names and labels are those of Prometheus; the web edge adds up the tallies of all processes of the node.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MINUTES = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One series: its kind, its help, its labels, and for a histogram the upper bounds of its buckets in seconds.

    A `latest` is a time since the epoch of which the newest of all processes counts; a `gauge` is added up.
    """

    kind: Literal["counter", "gauge", "latest", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


def _counter(help: str, *labels: str) -> Series:
    return Series(kind="counter", help=help, labels=labels)


def _histogram(help: str, *labels: str, bounds: tuple[float, ...]) -> Series:
    return Series(kind="histogram", help=help, labels=labels, bounds=bounds)


SERIES: Mapping[str, Series] = {
    "associations": _counter("DICOM associations that were asked for, by answer", "answer"),
    "associations_open": Series(kind="gauge", help="DICOM associations that are open now"),
    "refusals": _counter("what was refused to DICOM callers", "what"),
    "objects": _counter("objects that came through the door, by origin and verdict", "origin", "verdict"),
    "object_bytes": _counter("bytes of the data sets that came through the door", "origin"),
    "object_seconds": _histogram(
        "from the last byte received to the durable answer of the door", "origin", bounds=SECONDS
    ),
    "last_object_timestamp_seconds": Series(kind="latest", help="when the last object of a kind came", labels=("origin",)),
    "http_requests": _counter("HTTP requests, by method, kind of resource and status", "method", "resource", "status"),
    "http_request_seconds": _histogram(
        "from the head of a request to the end of its response", "resource", bounds=SECONDS
    ),
    "http_sent_bytes": _counter("bytes of HTTP response bodies", "resource"),
    "runs": _counter("runs that ended, by model and outcome", "model", "outcome"),
    "run_seconds": _histogram("how long models computed", "model", bounds=MINUTES),
    "store_to_result_seconds": _histogram(
        "from the arrival of a loop to its stored result", "model", bounds=MINUTES
    ),
    "last_result_timestamp_seconds": Series(kind="latest", help="when the last result was stored", labels=("model",)),
    "deliveries": _counter("attempts of deliveries, by destination and outcome", "destination", "outcome"),
    "delivery_lag_seconds": _histogram(
        "from a stored result to the destination's answer", "destination", bounds=MINUTES
    ),
    "store_to_delivery_seconds": _histogram(
        "from the arrival of a loop to the delivery of its result", "destination", bounds=MINUTES
    ),
}  # fmt: skip
"""Every series that processes count, without the prefix `echonode_`."""


@dataclass(slots=True)
class _Histogram:
    buckets: list[int]
    total: float = 0.0


@dataclass(slots=True, eq=False)
class Tally:
    """Counters of one process, safe to use from many threads; `pulse` says that its main loop turned.

    Labels are given in the order of `SERIES`. A series or a number of labels that the table does not have is a fault
    of ours and raises.
    """

    clock: Callable[[], float] = time.time
    _values: dict[tuple[str, ...], float] = field(default_factory=dict)
    _histograms: dict[tuple[str, ...], _Histogram] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pulse: float = 0.0

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add to a counter, or to a gauge."""
        _checked(name, labels)
        key = (name, *labels)
        with self._lock:
            self._values[key] = self._values.get(key, 0) + by

    def now(self, name: str, *labels: str) -> None:
        """Note that the thing happened now."""
        _checked(name, labels)
        with self._lock:
            self._values[name, *labels] = self.clock()

    def observe(self, name: str, *labels: str, seconds: float) -> None:
        """Add one duration to a histogram."""
        bounds = _checked(name, labels).bounds
        key, at = (name, *labels), bisect_left(bounds, seconds)
        with self._lock:
            found = self._histograms.get(key)
            if found is None:
                found = self._histograms[key] = _Histogram([0] * (len(bounds) + 1))
            found.buckets[at] += 1
            found.total += seconds

    def pulse(self) -> None:
        """The main loop of the process turned."""
        self._pulse = self.clock()

    @property
    def pulsed_at(self) -> float:
        """When the main loop turned last, seconds since the epoch; 0 when it never did."""
        return self._pulse

    def counts(self) -> list[list[Any]]:
        """Every value as [name, labels, number], and of histograms [name, labels, counts of buckets, total]."""
        with self._lock:
            values = [[name, labels, value] for (name, *labels), value in self._values.items()]
            return values + [
                [name, labels, list(each.buckets), each.total] for (name, *labels), each in self._histograms.items()
            ]


def add_up(sheets: list[list[list[Any]]]) -> list[list[Any]]:
    """One list of counts for several; what the table of series does not know any more is left out."""
    found: dict[tuple[str, ...], list[Any]] = {}
    for name, labels, *numbers in (row for sheet in sheets for row in sheet):
        series = SERIES.get(name)
        if series is None or len(labels) != len(series.labels):
            continue
        if series.kind == "histogram" and (len(numbers) != 2 or len(numbers[0]) != len(series.bounds) + 1):
            continue
        key = (name, *labels)
        known = found.get(key)
        if known is None:
            found[key] = [name, list(labels), *numbers]
        elif series.kind == "histogram":
            known[2] = [one + other for one, other in zip(known[2], numbers[0], strict=True)]
            known[3] += numbers[1]
        else:
            known[2] = max(known[2], numbers[0]) if series.kind == "latest" else known[2] + numbers[0]
    return list(found.values())


def _checked(name: str, labels: tuple[str, ...]) -> Series:
    series = SERIES[name]
    if len(labels) != len(series.labels):
        raise ValueError(f"{name} has the labels {series.labels}, not {labels}")
    return series
