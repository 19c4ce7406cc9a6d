"""Each request has one id and one line in the log, and the line tells nothing of patients and cannot be forged."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from echonode.web.access import resource_of
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

ID = re.compile(r"[0-9a-f]{32}")


def lines_of(web: WebProcess, identity: str) -> list[dict[str, Any]]:
    """Log lines of one request, once there is one."""

    def found() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in web.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("correlation_id") == identity and line["event"] == "request"]

    return wait_until(found, "the line of the request")


def test_an_answer_and_its_log_line_carry_the_client_s_id(web: WebProcess) -> None:
    answer = web.call("GET", "/dicom-web/nothing", headers={"X-Request-ID": "viewer-7.session_12"})
    assert answer.headers["x-request-id"] == "viewer-7.session_12"
    (line,) = lines_of(web, "viewer-7.session_12")
    assert (line["method"], line["path"], line["status"]) == ("GET", "/dicom-web/nothing", answer.status)
    assert (line["process"], line["level"]) == ("web", "info")
    assert line["bytes"] == len(answer.body)


def test_an_id_that_is_no_id_is_replaced(web: WebProcess) -> None:
    for given in (None, "short", "x" * 65, "a" * 10 + "<script>", "DOE^JOHN 1970"):
        headers = {} if given is None else {"X-Request-ID": given}
        assert ID.fullmatch(web.call("GET", "/health/live", headers=headers).headers["x-request-id"]), given


def test_the_query_of_a_request_is_not_logged(web: WebProcess) -> None:
    identity = "search-for-doe-01"
    web.call("GET", "/dicom-web/studies?PatientName=DOE^JOHN&PatientID=12345", headers={"X-Request-ID": identity})
    lines_of(web, identity)
    assert "DOE" not in web.log.read_text()
    assert "12345" not in web.log.read_text()


def test_a_path_cannot_forge_a_line_of_the_log(web: WebProcess) -> None:
    identity = "forger-0001"
    web.call("GET", "/x%0A%7B%22event%22:%22forged%22%7D%1B%5B31m", headers={"X-Request-ID": identity})
    (line,) = lines_of(web, identity)
    assert line["path"] == '/x\\n{"event":"forged"}\\x1b[31m'
    assert not [text for text in web.log.read_text().splitlines() if text.startswith('{"event":"forged')]


def test_health_checks_fill_no_log(web: WebProcess) -> None:
    for _ in range(3):
        web.call("GET", "/health/live")
    web.call("GET", "/", headers={"X-Request-ID": "the-last-one"})
    lines_of(web, "the-last-one")
    assert "/health" not in web.log.read_text()


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/dicom-web/studies", "studies"),
        ("/dicom-web/studies/1.2/series/3/instances/4/frames/1,2", "frames"),
        ("/dicom-web/studies/1.2/series/3/instances/4/frames/1/rendered", "rendered"),
        ("/dicom-web/studies/1.2/metadata", "metadata"),
        ("/viewer/frames/metadata.js", "viewer"),
        ("/api/v1/work/studies", "api"),
        ("/health/live", "health"),
        ("/../../etc/passwd", "other"),
        ("", "other"),
    ],
)
def test_strangers_cannot_make_series_of_metrics(path: str, resource: str) -> None:
    assert resource_of(path) == resource
