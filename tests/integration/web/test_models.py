"""Models are promoted from afar as from beside the node, and the audit trail has who and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from echonode.cli.main import execute
from echonode.registry.verify import verify
from tests.support.runners import write_package
from tests.support.web import Answer, WebProcess

SAID = {"name": "Dr Ada", "why": "a trial"}


@pytest.fixture
def site(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[WebProcess]:
    """A node with a candidate for the line of its one route."""
    web = WebProcess(tmp_path / "site", port=free_port())
    (web.config / "routes.toml").write_text(
        '[[route]]\nname = "slow"\ntask = "slow_motion"\nmodel = "optical-flow"\n[report]\nenabled = false\n'
    )
    web.start()
    folder = web.configuration.model_paths[-1]
    write_package(folder, name="optical-flow", task="slow_motion")
    package = write_package(folder, name="newer-flow", task="slow_motion")
    with web.archive() as archive:
        archive.models.register(verify(package), checks={}, shipped=True, by="Dr Ada", why="new")
    yield web
    web.close()


def order(web: WebProcess, path: str, words: Any) -> Answer:
    body = json.dumps(words).encode()
    return web.call("POST", f"/api/v1/{path}", body=body, headers={"Content-Type": "application/json"})


def test_the_life_of_a_model_over_http(site: WebProcess) -> None:
    promoted = order(site, "models/newer-flow/promote", {"active": True, **SAID})
    assert promoted.status == 200, promoted.body
    assert (promoted.json["line"], promoted.json["displaced"]) == ("optical-flow", "optical-flow")
    again = order(site, "models/newer-flow/promote", {"active": True, **SAID})
    assert again.status == 409
    assert order(site, "models/newer-flow/remove", SAID).status == 409
    assert order(site, "models/newer-flow/retire", {"name": "Dr Ada"}).status == 400
    assert order(site, "models/newer-flow/promote", {"active": "yes", **SAID}).status == 400
    assert order(site, "models/none/retire", SAID).status == 404
    url = f"http://127.0.0.1:{site.port}"
    said = ["--by", "Dr Bob", "--why", "seams", "--node", url]
    assert execute(["models", "rollback", "optical-flow", *said]) == 0
    states = {row["name"]: row["state"] for row in site.call("GET", "/api/v1/models").json}
    assert (states["optical-flow"], states["newer-flow"]) == ("active", "retired")
    assert order(site, "models/newer-flow/remove", SAID).json["state"] == "removed"
    assert [row["event"] for row in site.call("GET", "/api/v1/models/newer-flow").json["history"]][-1] == "remove"
    with site.archive() as archive:
        told = [(row.event, row.who.partition(" (")[0]) for row in archive.audit.latest() if "model" in row.event]
    assert told[:3] == [("model removed", "Dr Ada"), ("model rolled back", "Dr Bob"), ("model made active", "Dr Ada")]
