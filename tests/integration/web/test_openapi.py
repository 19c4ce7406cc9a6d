"""The API's description says what the node serves: every route, nothing else, and which right each needs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from echonode.node import open_archive, open_blobs, open_catalogue, open_ingest
from echonode.web import admin
from echonode.web.app import build_app
from echonode.web.openapi import document_of, page_of
from echonode.web.operations import Operation, operations
from echonode.web.services import Services
from tests.support.web import WebProcess

PREFIX = "/dicom-web"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    configuration = WebProcess(tmp_path / "node", port=8080).configuration
    archive = open_archive(configuration, migrate=True)
    yield Services(
        configuration=configuration,
        archive=archive,
        blobs=open_blobs(configuration),
        ingest=open_ingest(configuration, archive),
        catalogue=open_catalogue(configuration),
        clock=time.time,
    )
    archive.close()


def test_every_route_is_described_and_every_description_is_a_route(services: Services) -> None:
    served = {
        (method, re.sub(r":[a-z]+\}", "}", route.path).rstrip("/"))
        for route in build_app(services).routes
        for method in (getattr(route, "methods", None) or ())
        if method not in ("HEAD", "OPTIONS") and not route.path.startswith("/viewer")
    }
    described = {(operation.method, operation.path) for operation in operations(PREFIX)}
    assert described - served == set(), "described, but not served"
    assert served - described == set(), "served, but not described"


def test_the_words_of_the_admin_api_are_those_that_it_takes(services: Services) -> None:
    taken = {
        (method, admin.ROOT + re.sub(r":[a-z]+\}", "}", path)): words
        for method, path, _job, words in admin._table(services)
    }
    for operation in operations(PREFIX):
        if operation.path.startswith(admin.ROOT):
            assert taken[operation.method, operation.path] == {*operation.words, *operation.body}, operation.path


def test_the_document_is_whole(services: Services) -> None:
    document = document_of(operations(PREFIX), PREFIX, site="http://127.0.0.1:8080")
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    for path, methods in document["paths"].items():
        for operation in methods.values():
            placed = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
            assert placed == re.findall(r"\{([a-z]+)\}", path)
            assert operation["summary"].endswith(".")
    instances = document["paths"][f"{PREFIX}/studies/{{study}}/instances"]["get"]
    assert instances["description"] == "When tokens exist one with the right query is needed."
    assert document["paths"]["/health/live"]["get"]["security"] == []


def test_the_page_runs_nothing_and_loads_nothing(web: WebProcess) -> None:
    answer = web.call("GET", "/api")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    text = answer.body.decode()
    assert "<script" not in text
    assert not re.search(r"(src|href)=['\"]?(https?:)?//", text)
    for operation in operations(PREFIX):
        assert operation.path in text


def test_what_is_described_is_written_harmlessly() -> None:
    hostile = Operation(method="GET", path="/<script>", group="<b>", says="'\"><script>alert(1)</script>")
    assert "<script>" not in page_of([hostile], PREFIX)


def test_the_document_is_served_with_the_address_that_the_client_used(web: WebProcess) -> None:
    document: Any = web.call("GET", "/api/openapi.json").json
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": f"http://127.0.0.1:{web.port}"}]


def test_a_client_that_leaves_the_port_out_of_its_host_header_is_led_to_ours(web: WebProcess) -> None:
    """dicomweb-client does; the addresses of bulk data would else point to another server on this machine."""
    for host in ("127.0.0.1", "localhost", "[::1]"):
        document: Any = web.call("GET", "/api/openapi.json", headers={"Host": host}).json
        assert document["servers"] == [{"url": f"http://{host}:{web.port}"}]
