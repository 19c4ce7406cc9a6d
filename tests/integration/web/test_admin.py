"""A node is run from afar as it is run from beside it, and every order stands in the audit trail with who gave it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from echonode.cli.main import execute
from echonode.core.tokens import new_secret, sha256_of
from echonode.core.work import WorkKind, WorkRequest
from tests.support.loops import loop_dataset
from tests.support.stow import stow
from tests.support.web import Answer, WebProcess

ROUTES = """
[[route]]
name = "slow"
task = "slow_motion"
model = "optical-flow"
deliver_to = ["pacs"]
[[destination]]
name = "pacs"
peer = "pacs"
"""
PEERS = "[[peer]]\nname = 'pacs'\nae_title = 'PACS'\nhost = '127.0.0.1'\nport = 104\n"


@pytest.fixture
def site(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[WebProcess]:
    """A node with a route, a destination and three workitems, of which one has failed."""
    web = WebProcess(tmp_path / "site", port=free_port())
    (web.config / "peers.toml").write_text(PEERS)
    (web.config / "routes.toml").write_text(ROUTES)
    web.start()
    with web.archive() as archive:
        requests = [
            WorkRequest(
                kind=WorkKind.RUN, queue="optical-flow", unique_key=f"run {number}", study_uid="1.2", route="slow"
            )
            for number in range(2)
        ] + [WorkRequest(kind=WorkKind.DELIVER, queue="pacs", unique_key="deliver", study_uid="1.2", route="slow")]
        with archive.transaction() as connection:
            archive.work.enqueue(connection, requests)
        (item,) = archive.work.claim(kind=WorkKind.RUN, owner="worker", lease_seconds=60, limit=1)
        archive.work.fail(item.id, owner="worker", reason="the probe fell down", exhausted=True)
    yield web
    web.close()


def address(web: WebProcess) -> str:
    return f"http://127.0.0.1:{web.port}"


def get(web: WebProcess, path: str) -> Any:
    answer = web.call("GET", f"/api/v1/{path}")
    assert answer.status == 200, answer.body
    assert answer.headers["cache-control"] == "no-store"
    return answer.json


def post(web: WebProcess, path: str, words: Any = None, method: str = "POST") -> Answer:
    body = None if words is None else json.dumps(words).encode()
    return web.call(method, f"/api/v1/{path}", body=body, headers={"Content-Type": "application/json"})


def audited(web: WebProcess) -> list[tuple[str, str]]:
    with web.archive() as archive:
        return [(row.event, row.who) for row in archive.audit.latest()]


def test_the_command_line_says_the_same_of_a_node_from_afar_and_from_beside_it(
    site: WebProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    (failed,) = get(site, "work?state=canceled")
    commands = (
        ["work", "list"], ["work", "list", "--kind", "run", "--state", "canceled"], ["work", "show", failed["id"][:8]],
        ["routes", "list"], ["models", "list"], ["peers", "list"], ["quarantine", "list"], ["conflicts"], ["refused"],
        ["study", "list"],
    )  # fmt: skip
    for command in commands:
        said = []
        for where in (["--node", address(site)], ["--config", str(site.config)]):
            assert execute([*command, *where]) == 0
            said.append(capsys.readouterr().out)
        assert said[0] == said[1]
        assert said[0].strip()


def test_work_is_retried_and_canceled_and_the_audit_trail_names_the_caller(
    site: WebProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    (failed,) = get(site, "work?state=canceled")
    assert failed["says"] == "given up: the probe fell down"
    assert execute(["work", "retry", failed["id"][:10], "--node", address(site)]) == 0
    assert get(site, f"work/{failed['id']}")["state"] == "SCHEDULED"
    assert execute(["work", "cancel", failed["id"], "--reason", "enough", "--node", address(site)]) == 0
    assert get(site, f"work/{failed['id']}")["says"] == "given up: enough"
    assert audited(site)[:2] == [("canceled", "web:127.0.0.1"), ("retried", "web:127.0.0.1")]
    capsys.readouterr()
    assert execute(["work", "cancel", failed["id"], "--node", address(site)]) != 0
    assert "that is CANCELED cannot cancel" in capsys.readouterr().err


def test_a_view_is_corrected_from_afar_and_found_by_it(
    site: WebProcess, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    loop = loop_dataset()
    file = tmp_path / "loop.dcm"
    loop.save_as(file, enforce_file_format=True)
    assert stow(site, file.read_bytes()).status == 200
    (row,) = get(site, "objects?mode=2d")
    assert (row["sop_instance_uid"], row["view"]) == (loop.SOPInstanceUID, None)
    order = ["view", "set", loop.SOPInstanceUID, "A4C", "--by", "Ada", "--reason", "apex", "--node", address(site)]
    assert execute(order) == 0
    assert "A4C, was unknown" in capsys.readouterr().out
    (row,) = get(site, "objects?view=A4C")
    assert row["view_reason"] == "set by Ada (web:127.0.0.1): apex"
    assert ("view known", "Ada (web:127.0.0.1)") in audited(site)
    said = []
    for where in (["--node", address(site)], ["--config", str(site.config)]):
        assert execute(["objects", "--view", "A4C", "--json", *where]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert loop.SOPInstanceUID in said[0]


def test_a_destination_is_paused_and_goes_on(site: WebProcess, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["pause", "destination", "pacs", "--reason", "upgrade", "--node", address(site)]) == 0
    (delivery,) = get(site, "deliveries")
    assert delivery["says"] == "destination pacs is paused"
    (pause,) = get(site, "pauses")
    assert (pause["name"], pause["reason"], pause["by"]) == ("pacs", "upgrade", "web:127.0.0.1")
    assert execute(["resume", "destination", "pacs", "--node", address(site)]) == 0
    assert get(site, "pauses") == []
    assert execute(["pause", "destination", "pcas", "--node", address(site)]) == 2
    assert "there is no destination 'pcas'; there are: pacs" in capsys.readouterr().err


NONSENSE: list[tuple[str, str, Any, int, str]] = [
    ("GET", "work?limit=0", None, 400, "limit must be"),
    ("GET", "work?limit=1e9", None, 400, "limit must be"),
    ("GET", "work?state=lost", None, 400, "is no state of work"),
    ("GET", "work?kind=joy", None, 400, "is no kind of work"),
    ("GET", "work?colour=red", None, 400, "unknown word 'colour'"),
    ("GET", "work/zzz", None, 404, "no workitem 'zzz'"),
    ("GET", "work/%25", None, 404, "no workitem '%'"),
    ("GET", "studies/1.2.3", None, 404, "no study has"),
    ("GET", "studies/..%2f..%2fetc%2fpasswd", None, 404, ""),
    ("GET", "models/..%2fsecret", None, 404, ""),
    ("GET", "models/%2e%2e", None, 404, "is no model name"),
    ("GET", "routes/explain/abc", None, 400, "digits and dots"),
    ("GET", "nothing", None, 404, ""),
    ("DELETE", "work/zzz", None, 405, ""),
    ("POST", "work/zzz/retry", None, 404, "no workitem"),
    ("POST", "work/zzz/retry?reason=x", None, 400, "takes its words from a JSON body"),
    ("POST", "work/zzz/cancel", {"reason": 5}, 400, "reason must be text"),
    ("POST", "requests", {"task": "slow_motion"}, 400, "target is needed"),
    ("POST", "requests", {"task": "a", "target": "b", "deliver_to": "pacs"}, 400, "must be a list"),
    ("POST", "requests", ["no", "object"], 400, "must be a JSON object"),
    ("PUT", "pauses/planet/earth", {}, 400, "cannot be paused"),
    ("DELETE", "pauses/route/slow", None, 404, "is not paused"),
    ("POST", "quarantine/99/resubmit", None, 404, "number 99"),
    ("POST", "conflicts/1.2/resolve", {"keep": "P1"}, 404, "no study"),
    ("GET", "objects?view=A6C", None, 400, "is no view"),
    ("GET", "objects?mode=4d", None, 400, "is no mode"),
    ("GET", "objects?confidence_min=high", None, 400, "must be a number"),
    ("GET", "objects?quality_min=nan", None, 400, "between 0 and 1"),
    ("PUT", "objects/1.2.3.4/view", {"view": "A4C"}, 404, "no stored object"),
    ("PUT", "objects/1.2.3.4/view", {}, 400, "view is needed"),
]  # fmt: skip


def test_nonsense_is_answered_in_one_line_and_changes_nothing(site: WebProcess) -> None:
    before = audited(site)
    for method, path, words, status, complaint in NONSENSE:
        answer = post(site, path, words, method=method)
        assert answer.status == status, (path, answer.body)
        assert complaint in answer.json["error"], path
    assert audited(site) == before


def test_a_body_that_is_not_json_or_too_large_is_refused(site: WebProcess) -> None:
    for body, kind, status in (
        (b"task=slow_motion", "application/x-www-form-urlencoded", 415),
        (b"{", "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b'{"reason": "' + b"x" * 70000 + b'"}', "application/json", 413),
    ):
        answer = site.call("POST", "/api/v1/requests", body=body, headers={"Content-Type": kind})
        assert answer.status == status, answer.body


def test_beyond_the_right_to_administer_there_is_no_admin_api(
    start_web: Callable[..., WebProcess], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    boss, viewer = new_secret(), new_secret()
    web = start_web(
        tokens="".join(
            f'[[token]]\nname = "{name}"\nsha256 = "{sha256_of(secret)}"\nrights = ["{right}"]\n'
            for name, secret, right in (("boss", boss, "admin"), ("viewer", viewer, "retrieve"))
        )
    )
    for token, code, says in ((None, 2, "answered 401"), (viewer, 2, "answered 403"), (boss, 0, "")):
        if token:
            monkeypatch.setenv("ECHONODE_NODE_TOKEN", token)
        assert execute(["work", "list", "--node", address(web)]) == code
        assert says in capsys.readouterr().err
    assert web.call("GET", "/health/live").status == 200


def test_a_node_that_does_not_answer_is_one_line(
    capsys: pytest.CaptureFixture[str], free_port: Callable[[], int]
) -> None:
    assert execute(["work", "list", "--node", f"http://127.0.0.1:{free_port()}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be reached" in line
    assert execute(["work", "list", "--node", "ftp://127.0.0.1"]) == 2
    assert "is no address like" in capsys.readouterr().err
