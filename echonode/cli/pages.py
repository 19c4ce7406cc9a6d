"""node.toml and docs/settings.md, written from the code that reads the files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from echonode.core.peers import Peer, PeersFile
from echonode.core.routes import Conditions, Destination, Route, RoutesFile
from echonode.core.settings import NodeSettings, Section
from echonode.core.tokens import Token, TokensFile
from echonode.core.views import PrivateLabel, ViewRule, ViewsFile

WIDTH = 116
SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"))
NODE_HEAD = """\
# node.toml: who this node is, where it keeps things, what it allows itself.
# Every key stands here with its default; a key that is left out has that default. docs/settings.md has the same table.
# A wrong key, type or value stops `echonode serve` with one line that says which.
"""
SETTINGS_HEAD = """\
# Settings

Written by `echonode reference settings` from the code that reads the files; a test holds this page to it.
A key that a table does not list is an error, and so is a wrong type or value: the start stops with one line that names
file, key and what was expected.
"""
TABLES: tuple[tuple[str, str, type[Section]], ...] = (
    ("peers.toml", "", PeersFile),
    ("peers.toml", "[[peer]]", Peer),
    ("routes.toml", "", RoutesFile),
    ("routes.toml", "[[route]]", Route),
    ("routes.toml", "[route.when]", Conditions),
    ("routes.toml", "[[destination]]", Destination),
    ("views.toml", "", ViewsFile),
    ("views.toml", "[[view]]", ViewRule),
    ("views.toml", "[view.private]", PrivateLabel),
    ("tokens.toml", "", TokensFile),
    ("tokens.toml", "[[token]]", Token),
)


def node_toml() -> str:
    """node.toml with every setting at its default and its description as a comment; read back, it changes nothing."""
    lines = [NODE_HEAD.rstrip()]
    for name, section in _sections():
        lines += ["", f"# {_first_line(section)}", f"[{name}]"]
        for key, field in section.model_fields.items():
            comment = _help(field)
            if size := _size(field.get_default(call_default_factory=True)):
                comment += f" ({size})"
            lines += [*_comment(comment), f"{key} = {_toml(field.get_default(call_default_factory=True))}"]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """docs/settings.md: one table a section, with type, bounds, default and meaning."""
    parts = [SETTINGS_HEAD.rstrip()]
    parts += ["", "## node.toml"]
    for name, section in _sections():
        parts += ["", f"### [{name}]", "", _first_line(section), "", *_table(section)]
    file = ""
    for in_file, name, section in TABLES:
        if in_file != file:
            file = in_file
            parts += ["", f"## {file}"]
        parts += ["", *([f"### {name}", ""] if name else []), *_table(section)]
    return "\n".join(parts) + "\n"


def keys_of(section: type[Section], prefix: str = "") -> set[str]:
    """Every key below `section` in dotted form."""
    found: set[str] = set()
    for key, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            found |= keys_of(inner, f"{prefix}{key}.")
        else:
            found.add(f"{prefix}{key}")
    return found


def _sections() -> Iterator[tuple[str, type[Section]]]:
    for name, field in NodeSettings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            yield name, section


def _first_line(section: type[Section]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def _table(section: type[Section]) -> list[str]:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in section.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "needed" if default is PydanticUndefined else _default(default)
        bounds = f" ({limits})" if (limits := _bounds(field)) else ""
        rows.append(f"| `{key}` | {_type(field.annotation)}{bounds} | {shown} | {_help(field).replace('|', '/')} |")
    return rows


def _default(value: Any) -> str:
    if value is None:
        return "absent"
    if isinstance(value, Section):
        return "`{}`"
    size = _size(value)
    return f"`{_toml(value)}`" + (f" ({size})" if size else "")


def _help(field: FieldInfo) -> str:
    return field.description or ""


def _comment(text: str) -> list[str]:
    lines, line = [], "#"
    for word in text.split():
        if len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = "#"
        line += f" {word}"
    return [*lines, line]


def _size(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        for unit, name in SIZES:
            if value >= unit and value % unit == 0:
                return f"{value // unit} {name}"
    return ""


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return _toml(value.value)
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(_type(item) for item in arguments if item is not NoneType)
    if origin is Literal:
        return "one of " + ", ".join(f"`{item}`" for item in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(f"`{item.value}`" for item in annotation)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "table"
    return {str: "text", Path: "path", int: "whole number", float: "number", bool: "true or false"}.get(
        annotation, str(annotation)
    )


def _bounds(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "max_length": "at most"}
    found = []
    for metadata in _metadata(field):
        for attribute, word in words.items():
            bound = getattr(metadata, attribute, None)
            if bound is not None:
                characters = " characters" if attribute == "max_length" else ""
                found.append(f"{word} {_size(bound) or f'{bound:g}'}{characters}")
    return ", ".join(dict.fromkeys(found))


def _metadata(field: FieldInfo) -> list[Any]:
    inner = list(field.metadata)
    for item in (field.annotation, *get_args(field.annotation)):
        if get_origin(item) is Annotated:
            inner += get_args(item)[1:]
    return [constraint for item in inner for constraint in (item.metadata if isinstance(item, FieldInfo) else (item,))]
