"""/api/v1: what an operator asks and orders, as JSON; `echonode --node URL` and pages use it.

With tokens every request here needs the right `admin`; see web/tokens.py. Handlers run in threads: they may look
through many rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from echonode import __version__
from echonode.core.errors import BadInput, TooLarge, UnsupportedMedia
from echonode.core.identity import is_uid
from echonode.flow.console import MOST_ROWS, LocalConsole
from echonode.web.services import Services
from echonode.web.tokens import HOLDER

ROOT = "/api/v1"
LARGEST_BODY = 65536
Asked = Mapping[str, Any]
Job = Callable[[LocalConsole, Asked], Any]


def routes(services: Services) -> list[BaseRoute]:
    """Every path of the admin API."""
    console = LocalConsole(services.configuration, services.archive, services.catalogue, ingest=lambda: services.ingest)
    return [
        Route(f"{ROOT}{path}", _Handler(console, job, words), methods=[method])
        for method, path, job, words in _table(services)
    ]


class _Handler:
    """One path: checks what may be asked, runs the job in a thread, answers JSON."""

    def __init__(self, console: LocalConsole, job: Job, words: frozenset[str]) -> None:
        self._console, self._job, self._words = console, job, words

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        asked = await self._asked(request)
        content = await run_in_threadpool(self._job, self._console, asked)
        text = orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS)
        response = Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})
        await response(scope, receive, send)

    async def _asked(self, request: Request) -> dict[str, Any]:
        """Query parameters or body, checked against the words of the path; then the path's own."""
        given: dict[str, Any] = dict(request.query_params)
        if request.method in ("POST", "PUT"):
            if given:
                raise BadInput("an order takes its words from a JSON body, not from the query")
            given = await _body(request)
        unknown = sorted(set(given) - self._words)
        if unknown:
            there = ", ".join(sorted(self._words)) or "none"
            raise BadInput(f"unknown word {unknown[0][:40]!r}; there are: {there}")
        return given | request.path_params | {"by": _caller(request)}


async def _body(request: Request) -> dict[str, Any]:
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST_BODY:
            raise TooLarge(f"the body is larger than {LARGEST_BODY} bytes")
    if not content:
        return {}
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise UnsupportedMedia("the body must be application/json")
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadInput("the body must be a JSON object")
    return found


def _caller(request: Request) -> str:
    """Who gave the order, for the audit trail: the token's name, or the address."""
    holder = getattr(request.state, HOLDER, None)
    return f"web:{holder or (request.client.host if request.client else 'unknown')}"


def _table(services: Services) -> list[tuple[str, str, Job, frozenset[str]]]:
    """Method, path, job, and the words that its query or body may have."""

    def row(method: str, path: str, job: Job, *words: str) -> tuple[str, str, Job, frozenset[str]]:
        return method, path, job, frozenset(words)

    return [
        row("GET", "/node", lambda _console, _asked: _node(services)),
        row("GET", "/work", _work, "kind", "state", "study", "queue", "limit"),
        row("GET", "/work/{id}", lambda console, asked: console.work_item(asked["id"])),
        row("POST", "/work/{id}/retry", lambda console, asked: console.retry(asked["id"], by=asked["by"])),
        row(
            "POST",
            "/work/{id}/cancel",
            lambda console, asked: console.cancel(
                asked["id"], by=asked["by"], reason=_text(asked, "reason", "canceled over HTTP")
            ),
            "reason",
        ),
        row(
            "GET",
            "/deliveries",
            lambda console, asked: _work(console, {**asked, "kind": "deliver"}),
            "state",
            "study",
            "queue",
            "limit",
        ),
        row("GET", "/studies", lambda console, asked: console.studies(limit=_limit(asked)), "limit"),
        row("GET", "/studies/{study}", lambda console, asked: console.study(asked["study"])),
        row("POST", "/requests", _request, "task", "target", "model", "parameters", "deliver_to"),
        row("GET", "/routes", lambda console, _asked: console.routes()),
        row("GET", "/routes/explain/{instance}", lambda console, asked: console.explain(_uid(asked["instance"]))),
        row("GET", "/models", lambda console, _asked: console.models()),
        row("GET", "/models/{name}", lambda console, asked: console.model(asked["name"])),
        row("POST", "/models/{model}/promote", _promote, "active", "line", "name", "why"),
        row("POST", "/models/{model}/retire", _model_order(LocalConsole.retire_model), "name", "why"),
        row("POST", "/models/{model}/remove", _model_order(LocalConsole.remove_model), "name", "why"),
        row("POST", "/lines/{line}/rollback", _model_order(LocalConsole.rollback_model, of="line"), "name", "why"),
        row("GET", "/peers", lambda console, _asked: console.peers()),
        row("GET", "/pauses", lambda console, _asked: console.pauses()),
        row("PUT", "/pauses/{kind}/{name}", _pause, "reason"),
        row("DELETE", "/pauses/{kind}/{name}", _resume),
        row("GET", "/conflicts", lambda console, _asked: console.conflicts()),
        row(
            "POST",
            "/conflicts/{study}/resolve",
            lambda console, asked: console.resolve(asked["study"], keep=_needed(asked, "keep"), by=asked["by"]),
            "keep",
        ),
        row("GET", "/quarantine", lambda console, asked: console.quarantine(limit=_limit(asked, 100)), "limit"),
        row(
            "POST",
            "/quarantine/{number:int}/resubmit",
            lambda console, asked: console.resubmit(asked["number"], by=asked["by"]),
        ),
        row("GET", "/refusals", lambda console, _asked: console.refusals()),
        row("GET", "/objects", _objects, "study", "view", "mode", "confidence_min", "quality_min", "limit"),
        row("PUT", "/objects/{instance}/view", _set_view, "view", "name", "reason"),
        row("GET", "/studies/{study}/report", lambda console, asked: console.report(asked["study"])),
        row(
            "POST",
            "/studies/{study}/process-now",
            lambda console, asked: console.process_now(asked["study"], by=asked["by"]),
        ),
        row("POST", "/studies/{study}/review", _review, "name", "rejected", "values", "comment"),
        row("POST", "/studies/{study}/correct", _correct, "changes", "name", "reason"),
        row("GET", "/studies/{study}/results", lambda console, asked: console.results(asked["study"])),
        row(
            "POST",
            "/results/{target}/withdraw",
            lambda console, asked: console.withdraw(
                asked["target"], reason=_needed(asked, "reason"), name=_needed(asked, "name"), by=asked["by"]
            ),
            "reason",
            "name",
        ),
    ]


def _node(services: Services) -> dict[str, Any]:
    node, web = services.configuration.node.node, services.web
    return {"ae_title": node.ae_title, "port": node.port, "version": __version__, "dicomweb": web.prefix}


def _work(console: LocalConsole, asked: Asked) -> Any:
    words = {name: _text(asked, name, "") for name in ("kind", "state", "study", "queue")}
    return console.work(**words, limit=_limit(asked))


def _request(console: LocalConsole, asked: Asked) -> Any:
    parameters, deliver_to = asked.get("parameters") or {}, asked.get("deliver_to")
    if not isinstance(parameters, dict):
        raise BadInput("parameters must be a JSON object")
    if deliver_to is not None and not (
        isinstance(deliver_to, list) and all(isinstance(name, str) for name in deliver_to)
    ):
        raise BadInput("deliver_to must be a list of names")
    return console.request(
        task=_needed(asked, "task"),
        target=_needed(asked, "target"),
        model=_text(asked, "model", "") or None,
        parameters=parameters,
        deliver_to=deliver_to,
        by=asked["by"],
    )


def _pause(console: LocalConsole, asked: Asked) -> Any:
    reason = _text(asked, "reason", "paused over HTTP")
    console.pause(asked["kind"], asked["name"], by=asked["by"], reason=reason)
    return {"kind": asked["kind"], "name": asked["name"], "paused": True}


def _resume(console: LocalConsole, asked: Asked) -> Any:
    console.resume(asked["kind"], asked["name"], by=asked["by"])
    return {"kind": asked["kind"], "name": asked["name"], "paused": False}


def _objects(console: LocalConsole, asked: Asked) -> Any:
    return console.objects(
        study=_text(asked, "study", ""),
        view=_text(asked, "view", ""),
        mode=_text(asked, "mode", ""),
        confidence_min=_share(asked, "confidence_min"),
        quality_min=_share(asked, "quality_min"),
        limit=_limit(asked, 1000),
    )


def _set_view(console: LocalConsole, asked: Asked) -> Any:
    return console.set_view(
        _uid(asked["instance"]),
        _needed(asked, "view"),
        by=asked["by"],
        name=_text(asked, "name", ""),
        reason=_text(asked, "reason", ""),
    )


def _review(console: LocalConsole, asked: Asked) -> Any:
    values = asked.get("values") or {}
    numbers = isinstance(values, dict) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values.values()
    )
    if not numbers:
        raise BadInput("values must be a JSON object of numbers: EF: 45")
    return console.review(
        asked["study"],
        name=_needed(asked, "name"),
        by=asked["by"],
        rejected=_text(asked, "rejected", "") if "rejected" in asked else None,
        values={word: float(value) for word, value in values.items()},
        comment=_text(asked, "comment", ""),
    )


def _correct(console: LocalConsole, asked: Asked) -> Any:
    changes = asked.get("changes")
    if not isinstance(changes, dict) or not changes or not all(isinstance(text, str) for text in changes.values()):
        raise BadInput("changes must be a JSON object of texts: patient_id, issuer, name, birth_date, sex")
    return console.correct(
        asked["study"],
        changes=changes,
        name=_needed(asked, "name"),
        reason=_needed(asked, "reason"),
        by=asked["by"],
    )


def _promote(console: LocalConsole, asked: Asked) -> Any:
    if not isinstance(asked.get("active"), bool):
        raise BadInput("active is needed: true lets the model run, false lets it look")
    return console.promote_model(
        asked["model"],
        active=asked["active"],
        line=_text(asked, "line", ""),
        name=_needed(asked, "name"),
        why=_needed(asked, "why"),
        by=asked["by"],
    )


def _model_order(order: Callable[..., Any], *, of: str = "model") -> Job:
    """The job of an order about one model or line."""

    def job(console: LocalConsole, asked: Asked) -> Any:
        return order(console, asked[of], name=_needed(asked, "name"), why=_needed(asked, "why"), by=asked["by"])

    return job


def _share(asked: Asked, name: str) -> float | None:
    text = asked.get(name)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise BadInput(f"{name} must be a number from 0 to 1") from error


def _text(asked: Asked, name: str, default: str) -> str:
    value = asked.get(name, default)
    if not isinstance(value, str):
        raise BadInput(f"{name} must be text")
    return value


def _needed(asked: Asked, name: str) -> str:
    value = _text(asked, name, "")
    if not value:
        raise BadInput(f"{name} is needed")
    return value


def _limit(asked: Asked, default: int = 50) -> int:
    text = str(asked.get("limit", default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_ROWS):
        raise BadInput(f"limit must be a whole number from 1 to {MOST_ROWS}")
    return int(text)


def _uid(text: str) -> str:
    if not is_uid(text):
        raise BadInput("a UID has digits and dots, at most 64")
    return text
