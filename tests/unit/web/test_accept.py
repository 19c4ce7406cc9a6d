"""Accept headers as clients really write them."""

from __future__ import annotations

from typing import Any

import pytest

from echonode.web.accept import accepted, media_ranges


def asked(header: str = "", query: str = "") -> Any:
    headers = [(b"accept", header.encode())] if header else []
    return accepted({"type": "http", "headers": headers, "query_string": query.encode()})


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", [("*/*", False, None)]),
        ("application/dicom", [("application/dicom", False, None)]),
        ('multipart/related; type="application/dicom"; transfer-syntax=*', [("application/dicom", True, "*")]),
        ("multipart/related;type=application/dicom;transfer-syntax=1.2.3", [("application/dicom", True, "1.2.3")]),
        ('multipart/related; type="*/*"', [("*/*", True, None)]),
        ("Multipart/Related", [("*/*", True, None)]),
        ('multipart/related; type="image/x-jls"', [("image/jls", True, None)]),
        ("text/html, image/gif, *; q=.2, */*; q=.2", [("text/html", False, None), ("image/gif", False, None),
                                                      ("*/*", False, None), ("*/*", False, None)]),
    ],
)  # fmt: skip
def test_what_clients_write_is_read(header: str, expected: list[tuple[str, bool, str | None]]) -> None:
    assert [(each.media_type, each.multipart, each.transfer_syntax) for each in asked(header)] == expected


def test_the_most_wanted_comes_first_and_what_is_refused_not_at_all() -> None:
    ranges = asked("image/jpeg;q=0.5, image/jls, image/png;q=0, application/octet-stream;q=0.9")
    assert [each.media_type for each in ranges] == ["image/jls", "application/octet-stream", "image/jpeg"]


def test_a_comma_or_semicolon_inside_quotes_separates_nothing() -> None:
    ranges = asked('multipart/related; type="application/dicom"; start="<a,b;c>", application/dicom')
    assert [each.multipart for each in ranges] == [True, False]
    assert ranges[0].parameter("start") == "<a,b;c>"


def test_the_query_parameter_stands_above_the_header() -> None:
    """A link in a browser cannot set headers."""
    query = "x=1&accept=application/dicom%2Bjson"
    assert [each.media_type for each in asked("image/png", query)] == ["application/dicom+json"]
    assert asked("", "accept=application/dicom+json")[0].media_type == "application/dicom+json"


def test_junk_is_passed_over_and_bounded() -> None:
    assert asked("nonsense, ;;;, q=1, /, application/dicom;q=x")[0].media_type == "/"
    assert len(media_ranges("image/png," * 10_000)) <= 64
    assert media_ranges("a/b; q=nan")[0].q == 1.0
