"""/metrics in Prometheus' text form: what all processes of the node counted, what waits, and the room on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from echonode import __version__
from echonode.archive.vitals import Sheet, read_vitals
from echonode.core.errors import EchonodeError
from echonode.core.tally import SERIES
from echonode.web.health import slots_of
from echonode.web.services import Services

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ROLES = ("acceptor", "web", "worker")


def routes(services: Services) -> list[BaseRoute]:
    """/metrics."""

    async def metrics(_request: Request) -> Response:
        text = await run_in_threadpool(exposition, services)
        return Response(text, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})

    return [Route("/metrics", metrics, methods=["GET"])]


def exposition(services: Services) -> bytes:
    """The page. A database that is away takes its own numbers with it and no others."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Node(services))
    return generate_latest(registry)


class _Node(Collector):
    """Everything that is read anew for each page."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterable[Metric]:
        """Every family, each name once."""
        services = self._services
        if services.vitals is not None:  # what this process has just counted must not be missing from its own answer
            services.vitals.write()
        sheet = read_vitals(services.configuration.root)
        info = GaugeMetricFamily("echonode_info", "the version that answers", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield from _counted(sheet.counts)
        yield from _processes(sheet)
        yield from _disk(services)
        yield from _waiting(services)


def _counted(counts: list[list[Any]]) -> Iterator[Metric]:
    """The series of the tallies; one that nobody has counted yet stands there without samples."""
    rows: dict[str, list[list[Any]]] = {}
    for row in sorted(counts, key=lambda each: (each[0], each[1])):
        rows.setdefault(row[0], []).append(row)
    for name, series in SERIES.items():
        labels, family = list(series.labels), f"echonode_{name}"
        if series.kind == "histogram":
            histogram = HistogramMetricFamily(family, series.help, labels=labels)
            bounds = [*map(str, series.bounds), "+Inf"]
            for _name, values, buckets, total in rows.get(name, ()):
                cumulative = list(accumulate(buckets))
                histogram.add_metric(values, list(zip(bounds, cumulative, strict=True)), total)
            yield histogram
            continue
        kind = CounterMetricFamily if series.kind == "counter" else GaugeMetricFamily
        metric = kind(family, series.help, labels=labels)
        for _name, values, number in rows.get(name, ()):
            metric.add_metric(values, number)
        if not labels and name not in rows:
            metric.add_metric([], 0)
        yield metric


def _processes(sheet: Sheet) -> Iterator[Metric]:
    alive = GaugeMetricFamily("echonode_processes", "processes that live", labels=["role"])
    turned = GaugeMetricFamily(
        "echonode_pulse_timestamp_seconds", "when the main loop of a role turned last", labels=["role"]
    )
    for role in ROLES:
        found = sheet.of(role)
        alive.add_metric([role], len(found))
        if found:
            turned.add_metric([role], max(process.pulsed_at for process in found))
    yield alive
    yield turned
    runners = GaugeMetricFamily(
        "echonode_runners", "slots of models that have run, by whether their runner works", labels=["model", "state"]
    )
    for model, slots in sorted(slots_of(sheet).items()):
        failing = sum(bool(slot.get("failures")) for slot in slots)
        runners.add_metric([model, "failing"], failing)
        runners.add_metric([model, "working"], len(slots) - failing)
    yield runners


def _disk(services: Services) -> Iterator[Metric]:
    try:
        usage = shutil.disk_usage(services.configuration.root)
    except OSError:
        return
    storage = services.configuration.node.storage
    yield GaugeMetricFamily("echonode_disk_free_bytes", "room on the file system of the data", value=usage.free)
    yield GaugeMetricFamily("echonode_disk_size_bytes", "size of the file system of the data", value=usage.total)
    yield GaugeMetricFamily(
        "echonode_disk_refuse_below_bytes", "objects are refused below this room", value=storage.refuse_below_bytes
    )


def _waiting(services: Services) -> Iterator[Metric]:
    try:
        services.archive.check()
        gauges, checked = services.archive.gauges(), services.archive.self_checks.latest()
    except EchonodeError:
        yield GaugeMetricFamily("echonode_database_up", "whether the database answers", value=0)
        return
    yield GaugeMetricFamily("echonode_database_up", "whether the database answers", value=1)
    labels = ["kind", "queue", "state"]
    depth = GaugeMetricFamily("echonode_work_items", "workitems that have not ended", labels=labels)
    held = GaugeMetricFamily("echonode_work_held", "workitems that are on hold", labels=labels)
    oldest = GaugeMetricFamily("echonode_work_oldest_seconds", "age of the oldest that has not ended", labels=labels)
    for queue in gauges.queues:
        values = [queue.kind, queue.queue, queue.state]
        depth.add_metric(values, queue.items)
        held.add_metric(values, queue.held)
        oldest.add_metric(values, queue.oldest_seconds)
    yield from (depth, held, oldest)
    yield GaugeMetricFamily("echonode_dead_letters", "deliveries that were given up", value=gauges.dead_letters)
    yield GaugeMetricFamily("echonode_quarantined", "objects in quarantine", value=gauges.quarantined)
    yield GaugeMetricFamily("echonode_identity_conflicts", "studies that name two patients", value=gauges.conflicts)
    yield GaugeMetricFamily("echonode_unsettled_studies", "studies that still grow", value=gauges.unsettled)
    if checked is not None:
        ok = "whether every answer to the last self-check was within its limit"
        yield GaugeMetricFamily("echonode_self_check_ok", ok, value=bool(checked.ok))
        yield GaugeMetricFamily(
            "echonode_self_check_timestamp_seconds", "when the last self-check ended", value=checked.ended_at or 0
        )
