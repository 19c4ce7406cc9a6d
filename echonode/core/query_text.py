"""Which stored objects a person means, as text: StudyDate=20260101-20260331&StudyDescription=*stress*."""

from __future__ import annotations

import re

from echonode.core.errors import BadInput
from echonode.core.query import Matcher, Range, Single, Wildcard

_DATES = re.compile(r"(?P<first>[0-9]{8})?-(?P<last>[0-9]{8})?")


def keys_of_query(query: str, *, called: str = "") -> dict[str, Matcher]:
    """The matchers of KEYWORD=VALUE with & between; none for an empty text, which is everything.

    `*` and `?` stand for characters, dates take FIRST-LAST. `called` is what an error calls the text: "--query ".

    Raises:
        BadInput: it has another form.
    """
    keys: dict[str, Matcher] = {}
    for part in filter(None, query.split("&")):
        keyword, separator, value = part.partition("=")
        if not separator or not keyword or not value:
            raise BadInput(
                f"{called}{query}: KEYWORD=VALUE with & between is expected, such as StudyDescription=*stress*"
            )
        if keyword.endswith("Date") and (dates := _DATES.fullmatch(value)):
            keys[keyword] = Range(first=dates["first"], last=dates["last"])
        else:
            keys[keyword] = Wildcard(value) if set(value) & set("*?") else Single(value)
    return keys
