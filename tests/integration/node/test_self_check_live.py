"""A node that checks itself while it serves: killed in the middle it purges at its next start, and then it passes."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from echonode.archive.self_checks import CheckState
from tests.support.live import LiveNode, Pacs
from tests.support.waiting import wait_until

LONG = 400.0


def page(node: LiveNode, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{node.web_port}{path}", timeout=30) as answer:
        return str(answer.read().decode())


@pytest.mark.slow
def test_killed_in_the_middle_it_leaves_nothing_and_then_passes(
    tmp_path: Path, free_port: Callable[[], int], checkout: Path, pacs: Pacs
) -> None:
    live = LiveNode(tmp_path / "node", port=free_port(), pacs_port=pacs.port, checkout=checkout, web_port=free_port())
    try:
        _play(live.start(), pacs)
    finally:
        live.close()


def _play(live: LiveNode, pacs: Pacs) -> None:
    with live.archive() as archive:
        first = archive.self_checks.ask(by="test")
        assert first is not None
        wait_until(archive.hidden.studies, "the simulated study to come in", seconds=LONG)
        assert json.loads(page(live, "/dicom-web/studies")) == []
        live.kill()
        assert archive.hidden.studies() != []
        live.start()
        wait_until(lambda: not archive.hidden.studies(), "what was left to be purged", seconds=LONG)
        ended = archive.self_checks.get(first)
        assert (ended.state, ended.ok) == (CheckState.ENDED, None)
        second = archive.self_checks.ask(by="test")
        assert second is not None
        wait_until(lambda: archive.self_checks.get(second).state is CheckState.ENDED, "the check to end", seconds=LONG)
        check = archive.self_checks.get(second)
        assert check.ok is True, check
        assert {answer.task for answer in check.answers} >= {"store", "slow_motion"}
        wait_until(lambda: not archive.hidden.studies(), "the study to be purged", seconds=LONG)
        assert archive.index.totals()["studies"] == 0
    assert pacs.times.total() == 0
    assert "echonode_self_check_ok 1.0" in page(live, "/metrics")
    assert json.loads(page(live, "/health/ready"))["checks"]["self-check"]["ok"] is True
    assert live.stop() == 0
