"""A pattern of views.toml that hangs on a sender's text would hang the door that scanners send to."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydicom.dataset import Dataset

from echonode.core.pattern_ways import LONGEST_TEXT, MOST_WAYS, ways
from echonode.core.views import ViewRule, ViewsFile
from echonode.dicom.views import told_view


@pytest.mark.parametrize(
    "pattern",
    [
        r"(x+x+)+y", r"^(\w+\s?)*Q$", r"(a|a)*b", r"(a|ab)+c", r"(?:a?){30}a{30}", r"(.*,){20}P", r"(?=(a+)+b)c", r"((a+)+|c)d",
        r"\w*\w*\w*\w*Q", r"(?>(x+x+)+y)", r"(x+?)+?y", "a?" * 30 + "b",
    ],
)  # fmt: skip
def test_what_can_hang_on_a_text_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="could take hours"):
        ViewRule(view="A4C", text=pattern)


def test_the_shipped_patterns_are_no_such(request: pytest.FixtureRequest) -> None:
    shipped = tomllib.loads((Path(request.config.rootpath) / "ae_config" / "views.toml").read_text("utf-8"))
    assert ViewsFile.model_validate(shipped).view


@pytest.mark.parametrize("pattern", [r"x*x*Q", r"(x|y|xx)x*(x|z|xy)x*(a|b|Q)", r"x{0,3}x{0,3}x{0,3}x*Q"])
def test_what_is_let_through_ends_soon_on_the_worst_text(pattern: str) -> None:
    assert ways(pattern) <= MOST_WAYS
    header = Dataset()
    header.SeriesInstanceUID, header.SeriesDescription = "1.2.3", "x" * 60
    header.ImageComments = "x" * 10 * LONGEST_TEXT
    begin = time.process_time()
    told_view(header, rules=ViewsFile(view=(ViewRule(view="A4C", text=pattern),)))
    assert time.process_time() - begin < 5
