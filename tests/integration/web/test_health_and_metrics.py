"""A supervisor learns when the node cannot do its work, and why; a dashboard gets numbers that add up."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from echonode.archive.vitals import VitalsWriter
from echonode.core.tally import Tally
from echonode.core.work import WorkKind, WorkRequest
from tests.support.web import WebProcess


def checks(web: WebProcess) -> dict[str, Any]:
    answer = web.call("GET", "/health/ready")
    assert answer.status == (200 if all(check["ok"] for check in answer.json["checks"].values()) else 503)
    found: dict[str, Any] = answer.json["checks"]
    return found


def numbers(web: WebProcess) -> dict[tuple[str, ...], float]:
    """Every sample as (name, label values in the order of the labels' names...)."""
    answer = web.call("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *(text for _, text in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


class Others:
    """Acceptor and worker of the node, as far as their vitals tell: their files say this process."""

    def __init__(self, web: WebProcess) -> None:
        self.root = web.configuration.root
        self.acceptor, self.worker = Tally(), Tally()
        self.health: dict[str, Any] = {"models": {}}

    def write(self) -> None:
        for role, tally in (("acceptor", self.acceptor), ("worker", self.worker)):
            VitalsWriter(self.root, role=role, tally=tally, report=lambda: {"executor": self.health}).write()
            own = next((self.root / "vitals").glob(f"process-{os.getpid()}-*.json"))
            own.replace(own.with_name(f"process-{role}.json"))


@pytest.fixture
def others(web: WebProcess) -> Others:
    beside = Others(web)
    beside.acceptor.pulse()
    beside.worker.pulse()
    beside.write()
    return beside


def test_a_node_whose_parts_work_is_ready(web: WebProcess, others: Others) -> None:
    found = checks(web)
    assert set(found) == {"database", "disk", "acceptors", "worker", "runners"}
    assert all(check["ok"] for check in found.values()), found
    assert web.call("GET", "/health/live").json == {"status": "alive"}


def test_a_web_process_alone_is_alive_but_not_ready(web: WebProcess) -> None:
    found = checks(web)
    assert not found["acceptors"]["ok"]
    assert found["acceptors"]["says"] == "0 of 2 take associations"
    assert found["worker"] == {"ok": False, "says": "no worker runs"}
    assert web.call("GET", "/health/live").status == 200


def test_an_accept_loop_that_hangs_is_not_ready(web: WebProcess, others: Others) -> None:
    others.acceptor = Tally(clock=lambda: 1000.0)
    others.acceptor.pulse()
    others.acceptor.clock = Tally().clock
    others.write()
    assert checks(web)["acceptors"] == {"ok": False, "says": "0 of 2 take associations, 1 are stuck"}


def test_a_model_whose_runner_never_starts_is_named_with_its_reason(web: WebProcess, others: Others) -> None:
    slot = {"slot": "flow@cpu", "failures": 3, "last_failure": "out of memory"}
    others.health = {"models": {"flow": {"slots": [slot]}, "other": {"slots": [slot, slot | {"failures": 0}]}}}
    others.write()
    assert checks(web)["runners"] == {"ok": False, "says": "flow: out of memory"}
    assert numbers(web)["echonode_runners", "flow", "failing"] == 1


def test_a_database_that_went_away_is_said_and_the_rest_still_answers(web: WebProcess, others: Others) -> None:
    (web.configuration.root / "echonode.sqlite3").unlink()
    found = checks(web)
    assert not found["database"]["ok"]
    assert found["disk"]["ok"]
    page = numbers(web)
    assert page["echonode_database_up",] == 0
    assert page["echonode_disk_free_bytes",] > 0


@pytest.fixture
def full(start_web: Callable[..., WebProcess]) -> WebProcess:
    """A node that wants more room than any disk has."""
    web = start_web()
    text = (web.config / "node.toml").read_text()
    web.stop()
    (web.config / "node.toml").write_text(text.replace("refuse_below_bytes = 0", f"refuse_below_bytes = {1 << 62}"))
    return web.start()


def test_a_full_disk_is_not_ready(full: WebProcess) -> None:
    found = checks(full)["disk"]
    assert not found["ok"]
    assert "objects are refused below" in found["says"]


def test_what_every_process_counts_is_added_up(web: WebProcess, others: Others) -> None:
    others.acceptor.count("associations", "accepted", by=3)
    others.acceptor.count("objects", "dimse", "stored", by=5)
    others.worker.count("objects", "derived", "stored", by=2)
    others.worker.observe("store_to_result_seconds", "optical-flow", seconds=7.0)
    others.write()
    web.call("GET", "/dicom-web/nothing")
    page = numbers(web)
    assert page["echonode_associations_total", "accepted"] == 3
    assert page["echonode_objects_total", "dimse", "stored"] == 5
    assert page["echonode_objects_total", "derived", "stored"] == 2
    assert page["echonode_store_to_result_seconds_bucket", "5.0", "optical-flow"] == 0
    assert page["echonode_store_to_result_seconds_bucket", "10.0", "optical-flow"] == 1
    assert page["echonode_store_to_result_seconds_bucket", "+Inf", "optical-flow"] == 1
    assert page["echonode_store_to_result_seconds_count", "optical-flow"] == 1
    assert page["echonode_store_to_result_seconds_sum", "optical-flow"] == 7.0
    assert page["echonode_http_requests_total", "GET", "other", "404"] == 1
    assert page["echonode_processes", "web"] == 1


def test_a_restart_loses_no_count(web: WebProcess) -> None:
    for _ in range(3):
        web.call("GET", "/dicom-web/nothing")
    web.stop()
    web.start()
    web.call("GET", "/dicom-web/nothing")
    assert numbers(web)["echonode_http_requests_total", "GET", "other", "404"] == 4


def test_what_waits_is_counted_by_queue_with_its_age(web: WebProcess) -> None:
    with web.archive() as archive:
        archive.clock = lambda: 0.0
        requests = [
            WorkRequest(kind=WorkKind.RUN, queue="optical-flow", unique_key=f"run {number}", study_uid="1.2")
            for number in range(3)
        ]
        with archive.transaction() as connection:
            archive.work.enqueue(connection, requests)
        (item,) = archive.work.claim(kind=WorkKind.RUN, owner="worker", lease_seconds=60, limit=1)
        archive.work.finish(item.id, owner="worker", outcome={})
    page = numbers(web)
    assert page["echonode_work_items", "run", "optical-flow", "SCHEDULED"] == 2
    assert 0 <= page["echonode_work_oldest_seconds", "run", "optical-flow", "SCHEDULED"] < 60
    assert ("echonode_work_items", "run", "optical-flow", "IN PROGRESS") not in page
    assert page["echonode_dead_letters",] == 0
    assert not any(math.isnan(value) for value in page.values())


def test_what_is_written_says_nothing_of_patients(web: WebProcess, others: Others, tmp_path: Path) -> None:
    """Vitals hold counts, models and destinations; nothing that came in an object."""
    for path in (web.configuration.root / "vitals").iterdir():
        assert set(json.loads(path.read_bytes())) == {
            "role", "owner", "started_at", "written_at", "pulsed_at", "reports", "counts",
        }  # fmt: skip
