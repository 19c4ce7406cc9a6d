"""A recipe's own options: `--set key=value` against the recipe's frozen dataclass."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from echonode.core.errors import BadInput

Options = TypeVar("Options")
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def with_options(start: Options, given: Mapping[str, str]) -> Options:
    """`start`, a frozen dataclass, with the fields that `given` names replaced by its texts, each read as its type.

    Types: bool, int, float, str, Path, Literal, tuple[X, ...] (commas) and X | None ("none").

    Raises:
        BadInput: an unknown key (the message lists all), or a text that is not of the field's type or that the
            dataclass refuses.
    """
    if not dataclasses.is_dataclass(start) or isinstance(start, type):
        raise TypeError("options are an instance of a dataclass")
    hints = get_type_hints(type(start))
    known = [field.name for field in dataclasses.fields(start) if field.init]
    changed: dict[str, Any] = {}
    for key, text in given.items():
        name = key.replace("-", "_")
        if name not in known:
            raise BadInput(f"--set {key}: this recipe has no such option; there are: {', '.join(known) or 'none'}")
        try:
            changed[name] = _read(hints[name], text.strip())
        except ValueError as error:
            raise BadInput(f"--set {key}={text}: {error}") from error
    try:
        return dataclasses.replace(start, **changed)
    except ValueError as error:
        raise BadInput(f"--set: {error}") from error


def as_json(options: Any) -> dict[str, Any]:
    """The options as plain values, for a run's identity."""
    return {field.name: _plain(getattr(options, field.name)) for field in dataclasses.fields(options)}


def _read(kind: Any, text: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if type(None) in arguments and text.lower() == "none":
            return None
        return _read(next(each for each in arguments if each is not type(None)), text)
    if origin is Literal:
        for each in arguments:
            if str(each) == text:
                return each
        raise ValueError(f"one of {', '.join(map(str, arguments))} is expected")
    if origin is tuple:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_read(arguments[0], part) for part in parts)
        if len(parts) != len(arguments):
            raise ValueError(f"{len(arguments)} values with commas are expected")
        return tuple(_read(each, part) for each, part in zip(arguments, parts, strict=True))
    if kind is bool:
        if text.lower() not in _WORDS:
            raise ValueError("true or false is expected")
        return _WORDS[text.lower()]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"{'a whole number' if kind is int else 'a number'} is expected") from None
    if kind in (str, Path):
        return kind(text)
    raise TypeError(f"an option of type {kind} cannot be given by --set")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
