"""Options of a recipe and arguments of a command: wrong ones are one line before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from echonode.core.errors import BadInput
from echonode.training.arguments import TrainingArguments
from echonode.training.options import as_json, with_options


@dataclass(frozen=True, kw_only=True)
class Options:
    rate: float = 0.1
    width: int = 8
    loss: Literal["l1", "l2"] = "l1"
    sizes: tuple[int, ...] = (1, 2)
    augment: bool = True
    weights: Path | None = None

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError("rate must be more than 0")


def test_texts_become_what_the_field_is() -> None:
    given = {"rate": "1e-3", "width": "16", "loss": "l2", "sizes": "3, 4,5", "augment": "no", "weights": "a/b.pt"}
    options = with_options(Options(), given)
    assert options == Options(rate=1e-3, width=16, loss="l2", sizes=(3, 4, 5), augment=False, weights=Path("a/b.pt"))
    assert with_options(options, {"weights": "none"}).weights is None
    assert as_json(options)["sizes"] == [3, 4, 5]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"ratio": "1"}, "no such option; there are: rate, width, loss, sizes, augment, weights"),
        ({"width": "wide"}, "width=wide: a whole number is expected"),
        ({"loss": "l3"}, "one of l1, l2 is expected"),
        ({"augment": "perhaps"}, "true or false is expected"),
        ({"rate": "-1"}, "rate must be more than 0"),
    ],
)
def test_a_wrong_option_is_told_with_what_there_is(given: dict[str, str], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        with_options(Options(), given)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"data": ()}, "--data is missing"),
        ({"precision": "fp8"}, "fp32, bf16, fp16"),
        ({"recipe": "other"}, "sound or published"),
        ({"epochs": 1, "steps": 1}, "give one"),
        ({"minutes": 0.0}, "more than 0"),
        ({"batch": 0}, "at least 1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        TrainingArguments(**{"task": "x", "data": ("phantom:2@1",), "out": Path("run"), **changes})
