"""A report as plain JSON values, and back: what the archive keeps of it and what the admin API gives."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from echonode.core.errors import BadInput
from echonode.core.report import StudyReport


def to_json(report: StudyReport) -> dict[str, Any]:
    """Every field of `report` as JSON values (dict, list, str, float, int, bool, None); `of_json` gives it back."""
    plain: dict[str, Any] = _adapter().dump_python(report, mode="json")
    return plain


def of_json(values: Mapping[str, Any]) -> StudyReport:
    """The report that `to_json` made these values of; a field that came later has its default.

    Raises:
        BadInput: the values are none of a report; the message names the first field that is wrong.
    """
    try:
        return _adapter().validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "report"
        raise BadInput(f"these are no values of a report: {place}: {first['msg']}") from error


@cache
def _adapter() -> TypeAdapter[StudyReport]:
    return TypeAdapter(StudyReport)
