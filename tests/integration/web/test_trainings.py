"""Trainings of the night over HTTP: seen, canceled and gone on with as any work; and no backlog in the metrics."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from echonode.cli.main import execute
from echonode.core.window import Window
from echonode.flow.training_orders import TrainingOrder, order_training
from tests.support.web import WebProcess


def ordered(web: WebProcess, window: Window) -> str:
    arguments = {"task": "view", "out": "/runs/one", "data": ["phantom:4@1"]}
    with web.archive() as archive:
        return order_training(archive, TrainingOrder(arguments=arguments, window=window, who="cli:me")).id


def call(web: WebProcess, method: str, path: str) -> Any:
    answer = web.call(method, f"/api/v1/{path}")
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def test_a_training_is_listed_canceled_and_gone_on_with(web: WebProcess, capsys: pytest.CaptureFixture[str]) -> None:
    later = datetime.now() + timedelta(hours=2)
    work_id = ordered(web, Window(at=f"{later:%H:%M}"))
    (row,) = call(web, "GET", "work?kind=train")
    assert (row["id"], row["says"]) == (work_id, f"waits for {later:%H:%M}")
    assert execute(["work", "list", "--kind", "train", "--node", f"http://127.0.0.1:{web.port}"]) == 0
    assert f"waits for {later:%H:%M}" in capsys.readouterr().out
    assert call(web, "POST", f"work/{work_id}/cancel")["state"] == "CANCELED"
    again = call(web, "POST", f"work/{work_id}/retry")
    assert (again["state"], again["says"]) == ("SCHEDULED", f"waits for {later:%H:%M}")
    with web.archive() as archive:
        events = [(row.event, row.who) for row in archive.audit.latest()]
    assert ("training ordered", "cli:me") in events
    assert "canceled" in [event for event, _ in events]


def test_a_training_that_waits_is_no_backlog(web: WebProcess) -> None:
    """An alert on the age of the oldest work would go off every evening."""
    ordered(web, Window(at="22:00"))
    assert 'kind="train"' not in web.call("GET", "/metrics").body.decode()
