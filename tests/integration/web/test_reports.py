"""Reports are asked for, reviewed, corrected and withdrawn from afar as from beside the node."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from echonode.cli.main import execute
from echonode.core.tokens import new_secret, sha256_of
from tests.support.reporting import ReportBench
from tests.support.web import Answer, WebProcess

ROUTES = """
[report]
deliver_to = ["pacs"]
[[destination]]
name = "pacs"
peer = "pacs"
kinds = ["report", "rejection"]
"""
PEERS = "[[peer]]\nname = 'pacs'\nae_title = 'PACS'\nhost = '127.0.0.1'\nport = 104\n"


@pytest.fixture
def site(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[tuple[WebProcess, ReportBench]]:
    """A node with one study of one loop, read and settled but not yet reported."""
    web = WebProcess(tmp_path / "site", port=free_port())
    (web.config / "peers.toml").write_text(PEERS)
    (web.config / "routes.toml").write_text(ROUTES)
    web.start()
    bench = ReportBench(tmp_path / "site")
    bench.say(bench.loop(), 54.0)
    yield web, bench
    bench.close()
    web.close()


def both(web: WebProcess, *words: str) -> list[list[str]]:
    """The command on the node from afar, and on its files."""
    return [[*words, "--node", f"http://127.0.0.1:{web.port}"], [*words, "--config", str(web.config)]]


def post(web: WebProcess, path: str, words: Any = None, **headers: str) -> Answer:
    body = None if words is None else json.dumps(words).encode()
    return web.call("POST", f"/api/v1/{path}", body=body, headers={"Content-Type": "application/json", **headers})


def same(web: WebProcess, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What both say, which is the same."""
    said = []
    for command in both(web, *words):
        assert execute(command) == 0, capsys.readouterr().err
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    return said[0]


def test_a_report_from_the_loop_to_the_signature_over_http(
    site: tuple[WebProcess, ReportBench], capsys: pytest.CaptureFixture[str]
) -> None:
    web, bench = site
    afar = ["--node", f"http://127.0.0.1:{web.port}"]
    assert "not complete yet" in same(web, capsys, "study", "report", "A1")
    assert execute(["study", "process-now", "A1", *afar]) == 0
    assert "counts as complete" in capsys.readouterr().out
    assert "will be made" in same(web, capsys, "study", "report", "A1")
    bench.report_all()
    told = same(web, capsys, "study", "report", "A1")
    assert "PRELIMINARY" in told
    assert "54 %" in told
    assert "report  2.25." in same(web, capsys, "study", "show", "A1")
    assert "pacs scheduled" in same(web, capsys, "results", "list", "A1")
    assert "report" in same(web, capsys, "work", "list", "--kind", "report")
    assert execute(["review", "A1", "--set", "EF=45", "--by", "Dr. Ada", "--comment", "by eye", *afar]) == 0
    assert "is being written" in capsys.readouterr().out
    assert "a report is being made" in same(web, capsys, "study", "report", "A1")
    bench.report_all()
    told = same(web, capsys, "study", "report", "A1")
    assert "VERIFIED by Dr. Ada" in told
    assert "by eye" in told
    assert "superseded" in told
    answer = web.call("GET", "/api/v1/studies/A1/report")
    assert answer.json["current"]["by"] == "Dr. Ada"
    assert answer.json["current"]["content"]["verified_by"] == "Dr. Ada"
    events = {row.event: row.who for row in bench.archive.audit.latest()}
    assert (events["reviewed"], events["settled"]) == ("web:127.0.0.1", "web:127.0.0.1")


def test_a_correction_and_a_withdrawal_from_afar(
    site: tuple[WebProcess, ReportBench], capsys: pytest.CaptureFixture[str]
) -> None:
    web, bench = site
    afar = ["--node", f"http://127.0.0.1:{web.port}"]
    bench.complete()
    words = ["--by", "Dr. Ada", "--reason", "wrong entry"]
    assert execute(["study", "correct", "A1", "--patient-id", "P7", "--name", "Right^Rita", *words, *afar]) == 0
    assert "belongs to Patient ID 'P7' now" in capsys.readouterr().out
    bench.complete()
    assert "P7" in same(web, capsys, "study", "list")
    uid = bench.current(bench.archive.index.resolve_study("A1")).sop_instance_uid
    assert execute(["results", "withdraw", uid, *words, "--config", str(web.config)]) == 0
    assert "1 result withdrawn" in capsys.readouterr().out
    assert "withdrawn: wrong entry (Dr. Ada)" in same(web, capsys, "results", "list", "A1")
    assert "process-now has it made again" in same(web, capsys, "study", "report", "A1")
    bench.report_all()
    assert execute(["study", "process-now", "A1", *afar]) == 0
    bench.report_all()
    capsys.readouterr()
    assert execute(["review", "A1", "--reject", "not this heart", "--by", "Dr. Ada", *afar]) == 0
    assert "is rejected and withdrawn" in capsys.readouterr().out


NONSENSE: list[tuple[str, Any, int, str]] = [
    ("studies/A1/review", {"name": ""}, 400, "name is needed"),
    ("studies/A1/review", {"name": "Ada"}, 404, "no report that stands"),
    ("studies/A1/review", {"name": "Ada", "values": {"EF": "45"}}, 400, "object of numbers"),
    ("studies/A1/review", {"name": "Ada", "rejected": " ", "values": {}}, 400, "a reason is needed"),
    ("studies/A1/review", {"name": "Ada", "rejected": "x", "values": {"EF": 4}}, 400, "not both"),
    ("studies/A9/process-now", None, 404, "no study"),
    ("studies/A1/correct", {"changes": {}, "name": "Ada", "reason": "x"}, 400, "changes must be"),
    ("studies/A1/correct", {"changes": {"age": "7"}, "name": "Ada", "reason": "x"}, 400, "cannot be corrected"),
    ("results/1.2.3/withdraw", {"reason": "x", "name": "Ada"}, 404, "no result"),
    ("results/A1/withdraw", {"reason": "x"}, 400, "name is needed"),
]


def test_nonsense_is_one_line(site: tuple[WebProcess, ReportBench]) -> None:
    web, _bench = site
    for path, words, status, message in NONSENSE:
        answer = post(web, path, words)
        assert (answer.status, message in answer.json["error"]) == (status, True), (path, answer.body)


def test_an_order_needs_the_right_to_administer(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Whoever may look at results may not sign or take back one."""
    looker, keeper = new_secret(), new_secret()
    tokens = "".join(
        f'[[token]]\nname = "{name}"\nsha256 = "{sha256_of(secret)}"\nrights = ["{right}"]\n'
        for name, secret, right in (("looker", looker, "query"), ("keeper", keeper, "admin"))
    )
    web = WebProcess(tmp_path / "site", port=free_port(), tokens=tokens).start()
    try:
        for path in ("studies/A1/review", "studies/A1/correct", "studies/A1/process-now", "results/A1/withdraw"):
            assert post(web, path, {}, Authorization=f"Bearer {looker}").status == 403
            assert post(web, path, {}, Authorization=f"Bearer {keeper}").status in (400, 404)
    finally:
        web.close()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["review", "A1", "--by", "Ada"], "one of --accept"),
        (["review", "A1", "--by", "Ada", "--accept", "--reject", "x"], "one of --accept"),
        (["study", "correct", "A1", "--by", "Ada", "--reason", "x"], "nothing to correct"),
    ],
)
def test_an_order_that_cannot_be_meant_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
