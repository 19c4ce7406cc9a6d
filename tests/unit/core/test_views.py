"""A slip in views.toml stops the node with one line that says where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from echonode.core.configuration import load_configuration
from echonode.core.errors import ConfigurationError
from echonode.core.view_codes import VIEWS, family_of, finer_views, is_one_of, name_of


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('view = "A6C"\nview_number = 1', "view.0.view: no such view; there are: PLAX"),
        ('view = "A4C"', "without a condition"),
        ('view = "A4C"\nvendor = []', "without a condition"),
        ('view = "A4C"\ntext = "("', "view.0.text: is no regular expression"),
        ('view = "A4C"\ntext = "x*"', "fits everything"),
        ('view = "A4C"\nnumber = 3', "view.0.number: no such key"),
        ('view = "A4C"\nview_number = "one"', "view.0.view_number"),
        ('view = "A4C"\nprivate = { group = 8, creator = "X", element = 1, pattern = "a" }', "view.0.private.group"),
        ('view = "A4C"\nprivate = { group = 10, creator = "X", element = 1, pattern = "a" }', "a private group is odd"),
    ],
)
def test_a_wrong_row_is_named_in_one_line(tmp_path: Path, row: str, words: str) -> None:
    (tmp_path / "node.toml").write_text("")
    (tmp_path / "views.toml").write_text(f"[[view]]\n{row}\n")
    with pytest.raises(ConfigurationError) as error:
        load_configuration(tmp_path)
    assert words in str(error.value)
    assert "views.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_without_the_file_there_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text("")
    assert load_configuration(tmp_path).views.view == ()


def test_who_asks_for_a_family_takes_its_members_and_not_the_other_way_round() -> None:
    assert is_one_of("PSAX-MV", ["PSAX"])
    assert is_one_of("A4C-RV", ["a4c"])
    assert not is_one_of("PSAX", ["PSAX-MV"])
    assert is_one_of(None, ["unknown"])
    assert not is_one_of(None, ["PSAX"])
    assert finer_views("PSAX") == ("PSAX", "PSAX-MV", "PSAX-CHORDS", "PSAX-PM", "PSAX-AV")
    assert {family_of(view) for view in ("SC-LAX", "SC-SAX")} == {"SUBCOSTAL"}
    assert all(name_of(code) == name for name, code in VIEWS.items()), "two views share a code"
