"""Views have one class and one code, whatever a header, a folder or a list calls them."""

from __future__ import annotations

import pytest

from echonode.core.codes import PRIVATE_SCHEME
from echonode.dicom.views import VIEWS
from echonode.tasks.view.classes import CLASSES, CODES, NOT_RECOGNISED, class_of


@pytest.mark.parametrize(
    ("word", "found"),
    [("PLAX", "PLAX"), ("psax-mv", "PSAX"), ("SC-SAX", "SUBCOSTAL"), ("RV-INFLOW", "OTHER"), ("4ch", "A4C"),
     ("A4C-RV", "A4C"), ("subcostal", "SUBCOSTAL"), ("patient7", None), ("", None)],
)  # fmt: skip
def test_a_word_means_one_class_or_none(word: str, found: str | None) -> None:
    """A loop in a wrong class teaches the network a wrong view."""
    assert class_of(word) == found


def test_every_coded_view_belongs_to_a_class() -> None:
    """Otherwise an archive's loop of that view would silently be left out."""
    assert {class_of(view) for view in VIEWS} <= set(CLASSES)


def test_codes_are_those_of_the_standard_where_it_has_one() -> None:
    """A PACS sorts by the code, not by the words."""
    assert tuple(CODES) == CLASSES
    assert [CODES[name].scheme for name in ("PLAX", "PSAX", "A4C", "A2C", "A3C", "SUBCOSTAL")] == ["SCT"] * 6
    assert len({*CODES.values(), NOT_RECOGNISED}) == len(CLASSES) + 1
    assert NOT_RECOGNISED.scheme == PRIVATE_SCHEME
