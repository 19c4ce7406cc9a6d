"""Results as plain JSON values, and back: how they travel through a page on disk, and how the archive keeps them.

A value that JSON does not know keeps its kind: a code as `{"code": [...]}`, a tuple as `{"tuple": [...]}`, a mapping as
`{"pairs": [...]}`. Arrays are whoever's who moves them: see execution/spool.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from echonode.core.codes import Code
from echonode.core.errors import BadInput
from echonode.core.results import (
    Details,
    Embedding,
    Finding,
    Ineligible,
    LabelMap,
    Loop,
    Measurement,
    Picture,
    Result,
)

KINDS: Mapping[str, type[Result]] = {
    "measurement": Measurement,
    "finding": Finding,
    "loop": Loop,
    "label-map": LabelMap,
    "picture": Picture,
    "embedding": Embedding,
    "ineligible": Ineligible,
    "details": Details,
}
KEPT = (Measurement, Finding, Ineligible)
"""What is kept as values: no arrays, and no Details, which are kept beside them."""


def kind_of(result: Result) -> str:
    """What a page calls the kind of `result`."""
    return next(name for name, known in KINDS.items() if type(result) is known)


def results_to_json(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Results without arrays as JSON values.

    Raises:
        BadInput: one of them carries an array.
    """
    page = []
    for result in results:
        values = {field.name: getattr(result, field.name) for field in fields(result)}
        if any(isinstance(value, np.ndarray) for value in values.values()):
            raise BadInput(f"a {kind_of(result)} has arrays, which are no JSON values")
        page.append({"kind": kind_of(result), "values": {name: plain(value) for name, value in values.items()}})
    return page


def results_of_json(page: Sequence[Mapping[str, Any]]) -> tuple[Result, ...]:
    """The results that `results_to_json` made `page` of; a field that came later has its default.

    Raises:
        BadInput: the values are none of results.
    """
    try:
        return tuple(
            KINDS[item["kind"]](**{name: restored(value) for name, value in item["values"].items()}) for item in page
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"these are no values of results: {type(error).__name__}: {error}") from error


def plain(value: Any) -> Any:
    """One field's value as JSON values; `restored` gives it back."""
    match value:
        case Code():
            return {"code": [value.value, value.scheme, value.meaning]}
        case Mapping():
            return {"pairs": [[plain(key), plain(item)] for key, item in value.items()]}
        case tuple() | list():
            return {"tuple": [plain(item) for item in value]}
        case np.generic():
            return value.item()
        case _:
            return value


def restored(value: Any) -> Any:
    """The inverse of `plain`."""
    match value:
        case {"code": [text, scheme, meaning]}:
            return Code(text, scheme, meaning)
        case {"pairs": pairs}:
            return {restored(key): restored(item) for key, item in pairs}
        case {"tuple": items}:
            return tuple(restored(item) for item in items)
        case _:
            return value


def json_values(value: Any) -> Any:
    """`value` as JSON that every reader takes: names are texts, sequences lists, and a number that is none is null."""
    match value:
        case Mapping():
            return {str(key): json_values(item) for key, item in value.items()}
        case np.ndarray() | np.generic():
            return json_values(value.tolist())
        case tuple() | list():
            return [json_values(item) for item in value]
        case float() if not math.isfinite(value):
            return None
        case str() | int() | float() | bool() | None:
            return value
        case _:
            return str(value)
