"""/api and /api/openapi.json: what the web edge offers, as a page for people and as an OpenAPI 3.1 document.

The page loads nothing from elsewhere and runs no script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from http import HTTPStatus
from itertools import groupby
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from echonode import __version__
from echonode.web.address import base_url
from echonode.web.operations import PLACES, WORDS, Operation, operations
from echonode.web.services import Services
from echonode.web.tokens import rights_for

ABOUT = (
    "DICOMweb (PS3.18) and the admin API of a DICOM node for the echo lab. Research use only. Every answer carries "
    "X-Request-ID; a refusal is JSON with `status` and `error`, one line that says what was expected."
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b2733; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #cfd8e1; }
.op { margin: .9rem 0; } code { font: 13px/1.5 ui-monospace, monospace; }
.method { display: inline-block; width: 4.2rem; font-weight: 600; color: #0b5d8a; }
.says { margin: .1rem 0 0 4.2rem; } .more { margin: 0 0 0 4.2rem; color: #566573; font-size: 13px; }
@media (prefers-color-scheme: dark) { body { background: #14191e; color: #dde5ec; } .method { color: #6bb8e0; }
h2 { border-color: #33414d; } .more { color: #93a3b1; } }
"""
_PLACE = re.compile(r"\{([a-z]+)\}")


def routes(services: Services) -> list[BaseRoute]:
    """The page and the document."""
    listed = operations(services.web.prefix)

    async def page(_request: Request) -> Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return HTMLResponse(page_of(listed, services.web.prefix), headers=headers)

    async def document(request: Request) -> Response:
        site = base_url(request.scope, services.web).removesuffix(services.web.prefix)
        content = orjson.dumps(document_of(listed, services.web.prefix, site=site))
        return Response(content, media_type="application/json", headers={"Cache-Control": "no-cache"})

    return [
        Route("/api", page, methods=["GET"]),
        Route("/api/", page, methods=["GET"]),
        Route("/api/openapi.json", document, methods=["GET"]),
    ]


def document_of(listed: Iterable[Operation], prefix: str, *, site: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, prefix)
    refusal = {
        "type": "object",
        "properties": {"status": {"type": "integer"}, "error": {"type": "string"}},
        "required": ["status", "error"],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "echonode", "version": __version__, "description": ABOUT},
        "servers": [{"url": site}],
        "paths": paths,
        "components": {
            "schemas": {"Refusal": refusal},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation, prefix: str) -> dict[str, Any]:
    rights = _rights(operation, prefix)
    described: dict[str, Any] = {
        "tags": [operation.group],
        "operationId": _name(operation, prefix),
        "summary": operation.says,
        "parameters": [
            {"name": name, "in": "path", "required": True, "description": PLACES[name], "schema": {"type": "string"}}
            for name in _PLACE.findall(operation.path)
        ]
        + [
            {"name": name, "in": "query", "description": WORDS[name], "schema": {"type": "string"}}
            for name in operation.words
        ],
        "responses": {
            "200": {"description": "OK", "content": {kind: {"schema": _schema(kind)} for kind in operation.gives}},
            **{str(code): _refusal(code) for code in sorted({400, 404, *operation.also})},
        },
        "security": [{"token": []}, {}] if rights else [],
    }
    if rights:
        described["description"] = f"When tokens exist one with the right {' or '.join(rights)} is needed."
        described["responses"] |= {str(code): _refusal(code) for code in (401, 403)}
    if operation.takes:
        described["requestBody"] = {"content": {kind: {"schema": _body(operation, kind)} for kind in operation.takes}}
        described["requestBody"]["required"] = bool(operation.needed) or not operation.body
    return described


def _rights(operation: Operation, prefix: str) -> list[str]:
    filled = _PLACE.sub("1", operation.path)
    return [str(right) for right in rights_for(operation.method, filled, prefix)]


def _name(operation: Operation, prefix: str) -> str:
    words = re.findall(r"[a-z0-9]+", operation.path.removeprefix(prefix).lower())
    return "_".join([operation.method.lower(), *words])


def _schema(kind: str) -> dict[str, Any]:
    if kind == "application/dicom+json":
        return {"type": "array", "items": {"type": "object"}}
    if kind == "application/json":
        return {}
    return {"type": "string"} if kind.startswith("text/") else {"type": "string", "format": "binary"}


def _body(operation: Operation, kind: str) -> dict[str, Any]:
    if not operation.body:
        return _schema(kind)
    properties = {name: {"description": WORDS[name]} for name in operation.body}
    return {
        "type": "object",
        "properties": properties,
        "required": list(operation.needed),
        "additionalProperties": False,
    }


def _refusal(code: int) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(code).phrase}
    if code >= 400:
        described["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    return described


def page_of(listed: Iterable[Operation], prefix: str) -> str:
    """The page for people."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>echonode API</title><style>{STYLE}</style><h1>echonode {escape(__version__)}</h1>",
        f"<p>{escape(ABOUT)}</p><p>For programs: <a href='/api/openapi.json'>openapi.json</a></p>",
    ]
    for group, members in groupby(listed, key=lambda operation: operation.group):
        parts.append(f"<h2>{escape(group)}</h2>")
        parts += [_shown(operation, prefix) for operation in members]
    return "".join(parts) + "</html>"


def _shown(operation: Operation, prefix: str) -> str:
    rights = _rights(operation, prefix)
    more = {
        "gives": ", ".join(operation.gives),
        "takes": ", ".join(operation.takes),
        "query": ", ".join(operation.words),
        "body": ", ".join(operation.body),
        "right": " or ".join(rights),
    }
    lines = "; ".join(f"{name}: {text}" for name, text in more.items() if text)
    return (
        f"<div class=op><code><span class=method>{escape(operation.method)}</span>{escape(operation.path)}</code>"
        f"<div class=says>{escape(operation.says)}</div><div class=more>{escape(lines)}</div></div>"
    )
