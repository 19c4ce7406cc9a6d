"""views.toml: what scanners say of a view in their own words and numbers, and which view that is."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator

from echonode.core.pattern_ways import MOST_WAYS, ways
from echonode.core.settings import Section
from echonode.core.view_codes import UNKNOWN_VIEW, VIEWS


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if re.search(text, ""):
        raise ValueError("a pattern that fits an empty text fits everything")
    if ways(text) > MOST_WAYS:
        raise ValueError(
            "could take hours on a text that nearly fits: no repetition inside a repetition, and at most two of * + {n,}; "
            "a pattern is found anywhere, so .* at its beginning or end can go"
        )
    return text


Pattern = Annotated[str, Field(min_length=1, max_length=400), AfterValidator(_pattern)]
"""A regular expression of Python, found anywhere in the text, in any case."""
_TEXTS = {
    "view_name": "ViewName",
    "protocol": "ProtocolName",
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "comments": "ImageComments",
}


class PrivateLabel(Section):
    """[view.private]: text in a vendor's private element (PS3.5 7.8)."""

    group: int = Field(ge=0x0009, le=0xFFFF, description="group, odd: 0x0009")
    creator: str = Field(min_length=1, max_length=64, description="Private Creator of the block")
    element: int = Field(ge=0x00, le=0xFF, description="last byte of the element: 0x20 of (0009,xx20)")
    pattern: Pattern = Field(description="what stands in it")

    @field_validator("group")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("a private group is odd")
        return value


class ViewRule(Section):
    """One [[view]]: every condition that is given must hold; a list means any of its values; text ignores case."""

    view: str = Field(description="what it is: PLAX, PSAX, PSAX-PM, A4C, A2C, A3C, A5C, ..., or unknown")
    view_number: tuple[int, ...] | None = Field(None, description="View Number of the protocol (0008,2128)")
    view_name: Pattern | None = Field(None, description="pattern in View Name (0008,2127)")
    protocol: Pattern | None = Field(None, description="pattern in Protocol Name (0018,1030)")
    study_description: Pattern | None = Field(None, description="pattern in Study Description (0008,1030)")
    series_description: Pattern | None = Field(None, description="pattern in Series Description (0008,103E)")
    comments: Pattern | None = Field(None, description="pattern in Image Comments (0020,4000)")
    text: Pattern | None = Field(
        None, description="pattern in View Name, Protocol Name, Image Comments or Series Description, whichever has it"
    )
    private: PrivateLabel | None = Field(None, description="text in a vendor's private element")
    vendor: tuple[str, ...] | None = Field(None, description="text that the Manufacturer contains")
    model: tuple[str, ...] | None = Field(None, description="text that Manufacturer's Model Name contains")
    calling_ae: tuple[str, ...] | None = Field(None, description="AE title of the sender")
    stage: tuple[str, ...] | None = Field(None, description="Stage Name as the scanner writes it, any, or none")
    image_type: tuple[str, ...] | None = Field(None, description="values that Image Type has, all of them")
    override: bool = Field(False, description="stands before View Code Sequence too")
    firm: bool | None = Field(
        None,
        description="as good as a code: only a view classifier that is sure stands against it; when absent, rows with "
        "view_number or private are firm, others are a hint",
    )

    @field_validator("view_number", mode="before")
    @classmethod
    def _one_or_more_numbers(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("vendor", "model", "calling_ae", "stage", "image_type", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("view")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in VIEWS and value != UNKNOWN_VIEW:
            raise ValueError(f"no such view; there are: {', '.join(VIEWS)}, {UNKNOWN_VIEW}")
        return value

    @model_validator(mode="after")
    def _conditional(self) -> ViewRule:
        given = self.model_dump(exclude_none=True, exclude={"view", "override", "firm"})
        if not any(value not in ((), []) for value in given.values()):
            raise ValueError("a row without a condition would name the view of every object")
        return self

    @property
    def patterns(self) -> tuple[tuple[str, str], ...]:
        """Keyword and pattern of each text that must fit."""
        found = ((keyword, getattr(self, name)) for name, keyword in _TEXTS.items())
        return tuple((keyword, pattern) for keyword, pattern in found if pattern is not None)

    @property
    def is_firm(self) -> bool:
        """Whether the row says what a code would say."""
        return self.firm if self.firm is not None else self.view_number is not None or self.private is not None

    @property
    def before_name(self) -> bool:
        """Whether the row stands before a View Name that echonode knows."""
        return self.is_firm or self.view_name is not None


class ViewsFile(Section):
    """views.toml as a whole."""

    view: tuple[ViewRule, ...] = Field((), description="rows, tried in order; the first that fits tells the view")
