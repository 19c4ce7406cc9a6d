"""Range and If-None-Match as RFC 9110 has them: a wrong byte here is a wrong picture there."""

from __future__ import annotations

from typing import Any

import pytest

from echonode.web.conditional import byte_range, etag_of, is_current

ETAG = etag_of("abc", "one")


def scope(**headers: str) -> Any:
    return {
        "type": "http",
        "method": "GET",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-9", (0, 10)),
        ("bytes=10-", (10, 90)),
        ("bytes=-5", (95, 5)),
        ("bytes=-500", (0, 100)),
        ("bytes=90-500", (90, 10)),
        ("bytes=100-", False),
        ("bytes=-0", False),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("items=0-1", None),
        ("bytes=99999999999999999999-", None),
        ("", None),
    ],
)
def test_ranges(text: str, expected: Any) -> None:
    assert byte_range(scope(range=text), ETAG, 100) == expected


def test_a_range_of_another_version_gives_the_whole() -> None:
    assert byte_range(scope(range="bytes=0-1", if_range=ETAG), ETAG, 100) == (0, 2)
    assert byte_range(scope(range="bytes=0-1", if_range='"other"'), ETAG, 100) is None


def test_a_client_that_has_it_is_told_so() -> None:
    assert is_current(scope(if_none_match=ETAG), ETAG)
    assert is_current(scope(if_none_match=f'"x", W/{ETAG}'), ETAG)
    assert is_current(scope(if_none_match="*"), ETAG)
    assert not is_current(scope(if_none_match='"x"'), ETAG)
    assert not is_current(scope(), ETAG)
