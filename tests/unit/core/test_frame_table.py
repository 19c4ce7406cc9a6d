"""The frame table: what is cut out by it must be the frame."""

from __future__ import annotations

import pytest

from echonode.core.errors import BadInput
from echonode.core.frame_table import FrameTable

TABLES = {
    "native": (FrameTable.native(first=1000, size=64, count=3), [((1000, 64),), ((1064, 64),), ((1128, 64),)]),
    "single": (
        FrameTable.encapsulated(first=1000, lengths=[10, 20, 30]),
        [((1000, 10),), ((1018, 20),), ((1046, 30),)],
    ),
    "grouped": (
        FrameTable.encapsulated(first=1000, lengths=[10, 20, 30, 40], fragments=[1, 3]),
        [((1000, 10),), ((1018, 20), (1046, 30), (1084, 40))],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_spans_survive_the_database(name: str) -> None:
    table, spans = TABLES[name]
    for each in (table, FrameTable.unpack(table.pack())):
        assert [each.spans(index) for index in range(each.count)] == spans
    moved = table.shifted(8)
    assert moved.spans(0)[0][0] == table.spans(0)[0][0] + 8


@pytest.mark.parametrize("index", [-1, 3])
def test_a_frame_that_is_not_there_is_refused(index: int) -> None:
    with pytest.raises(BadInput):
        TABLES["native"][0].spans(index)


def test_nothing_is_made_of_bytes_that_are_no_table() -> None:
    assert FrameTable.unpack(b"").count == 0
    packed = TABLES["grouped"][0].pack()
    for wrong in (packed[:5], packed[:-1], packed + b"\0"):
        with pytest.raises(BadInput):
            FrameTable.unpack(wrong)


def test_fragments_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(BadInput):
        FrameTable.encapsulated(first=0, lengths=[1, 2], fragments=[2, 1])
