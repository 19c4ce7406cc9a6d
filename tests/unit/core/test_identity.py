"""UIDs of derived objects must not change between attempts, nor collide, nor name files outside the store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echonode.core.identity import derived_uid, is_uid


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_equal_parts_and_only_those_give_equal_uids(first: list[str], second: list[str]) -> None:
    assert is_uid(derived_uid(*first))
    assert (derived_uid(*first) == derived_uid(*second)) == (first == second)


@pytest.mark.parametrize(
    "text", ["", "../../etc/passwd", "1.2.3\n", "1..2", ".1", "1.", "1" * 65, "1.2.3\0", "1.2.a", "/1.2", "１.２"]
)
def test_what_is_no_uid_is_seen(text: str) -> None:
    assert not is_uid(text)


@pytest.mark.parametrize("text", ["1", "1.2.840.10008.1.1", "1.02.3", "9" * 64])
def test_what_scanners_send_is_taken(text: str) -> None:
    assert is_uid(text)
