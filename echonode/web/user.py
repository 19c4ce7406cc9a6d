"""HTTP as a user: towards another echonode's admin API, and towards any DICOMweb server.

Redirects are not followed and a token is sent to the one address that it was given for: nobody can have it forwarded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from echonode.core.errors import BadInput, DeliveryFailed, EchonodeError, IllegalTransition, NotAuthorised, NotFound
from echonode.core.text import one_line

LARGEST_ANSWER = 256 << 20
LONGEST_REASON = 400
_ERRORS: Mapping[int, type[EchonodeError]] = {
    400: BadInput,
    401: NotAuthorised,
    403: NotAuthorised,
    404: NotFound,
    409: IllegalTransition,
}
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server said to one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Caller:
    """One server. `authorization` is the whole header value, or empty.

    Raises:
        BadInput: the address is no http or https URL.
    """

    def __init__(self, url: str, *, authorization: str = "", timeout_seconds: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise BadInput(f"{one_line(url)!r} is no address like http://127.0.0.1:8080")
        self.url = url.rstrip("/")
        self._headers = {"Authorization": authorization} if authorization else {}
        self._pool = urllib3.PoolManager(
            maxsize=4,
            retries=False,
            timeout=urllib3.Timeout(connect=min(10.0, timeout_seconds), read=timeout_seconds),
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to one request; `body` is sent piece by piece.

        Raises:
            DeliveryFailed: the server cannot be reached, or broke off.
        """
        try:
            response = self._pool.request(
                method,
                self.url + path,
                body=body,
                headers={**self._headers, **(headers or {})},
                redirect=False,
                preload_content=False,
            )
            try:
                content = response.read(LARGEST_ANSWER, decode_content=True)
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise DeliveryFailed(f"{self.url}: {_plain(error)}") from error
        return Answer(status=response.status, headers=response.headers, body=content)

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._pool.clear()


class RemoteConsole:
    """A flow.console.Console on another machine's admin API. `by` counts for nothing: the node writes who called."""

    def __init__(self, url: str, *, token: str = "") -> None:
        self._caller = Caller(url, authorization=f"Bearer {token}" if token else "")

    def work(self, *, kind: str = "", state: str = "", study: str = "", queue: str = "", limit: int = 50) -> list[Row]:
        """As Console.work."""
        words = {"kind": kind, "state": state, "study": study, "queue": queue, "limit": limit}
        return self._rows("GET", f"work?{urlencode({name: word for name, word in words.items() if word})}")

    def work_item(self, text: str) -> Row:
        """As Console.work_item."""
        return self._row("GET", f"work/{_segment(text)}")

    def retry(self, text: str, *, by: str) -> Row:
        """As Console.retry."""
        return self._row("POST", f"work/{_segment(text)}/retry")

    def cancel(self, text: str, *, by: str, reason: str) -> Row:
        """As Console.cancel."""
        return self._row("POST", f"work/{_segment(text)}/cancel", {"reason": reason})

    def studies(self, *, limit: int = 50) -> list[Row]:
        """As Console.studies."""
        return self._rows("GET", f"studies?limit={limit}")

    def study(self, text: str) -> Row:
        """As Console.study."""
        return self._row("GET", f"studies/{_segment(text)}")

    def request(
        self,
        *,
        task: str,
        target: str,
        by: str,
        model: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        deliver_to: Sequence[str] | None = None,
    ) -> list[Row]:
        """As Console.request."""
        words: Row = {"task": task, "target": target, "parameters": dict(parameters or {})}
        if model is not None:
            words["model"] = model
        if deliver_to is not None:
            words["deliver_to"] = list(deliver_to)
        return self._rows("POST", "requests", words)

    def routes(self) -> list[Row]:
        """As Console.routes."""
        return self._rows("GET", "routes")

    def explain(self, sop_instance_uid: str) -> Row:
        """As Console.explain."""
        return self._row("GET", f"routes/explain/{_segment(sop_instance_uid)}")

    def models(self) -> list[Row]:
        """As Console.models."""
        return self._rows("GET", "models")

    def model(self, name: str) -> Row:
        """As Console.model."""
        return self._row("GET", f"models/{_segment(name)}")

    def promote_model(self, model: str, *, active: bool, line: str = "", name: str, why: str, by: str) -> Row:
        """As Console.promote_model."""
        asked = {"active": active, "line": line, "name": name, "why": why}
        return self._row("POST", f"models/{_segment(model)}/promote", asked)

    def rollback_model(self, line: str, *, name: str, why: str, by: str) -> Row:
        """As Console.rollback_model."""
        return self._row("POST", f"lines/{_segment(line)}/rollback", {"name": name, "why": why})

    def retire_model(self, model: str, *, name: str, why: str, by: str) -> Row:
        """As Console.retire_model."""
        return self._row("POST", f"models/{_segment(model)}/retire", {"name": name, "why": why})

    def remove_model(self, model: str, *, name: str, why: str, by: str) -> Row:
        """As Console.remove_model."""
        return self._row("POST", f"models/{_segment(model)}/remove", {"name": name, "why": why})

    def peers(self) -> Row:
        """As Console.peers."""
        return self._row("GET", "peers")

    def pauses(self) -> list[Row]:
        """As Console.pauses."""
        return self._rows("GET", "pauses")

    def pause(self, kind: str, name: str, *, by: str, reason: str) -> None:
        """As Console.pause."""
        self._row("PUT", f"pauses/{_segment(kind)}/{_segment(name)}", {"reason": reason})

    def resume(self, kind: str, name: str, *, by: str) -> None:
        """As Console.resume."""
        self._row("DELETE", f"pauses/{_segment(kind)}/{_segment(name)}")

    def conflicts(self) -> list[Row]:
        """As Console.conflicts."""
        return self._rows("GET", "conflicts")

    def resolve(self, study: str, *, keep: str, by: str) -> Row:
        """As Console.resolve."""
        return self._row("POST", f"conflicts/{_segment(study)}/resolve", {"keep": keep})

    def quarantine(self, *, limit: int = 100) -> list[Row]:
        """As Console.quarantine."""
        return self._rows("GET", f"quarantine?limit={limit}")

    def resubmit(self, number: int, *, by: str) -> Row:
        """As Console.resubmit."""
        return self._row("POST", f"quarantine/{number}/resubmit")

    def refusals(self) -> list[Row]:
        """As Console.refusals."""
        return self._rows("GET", "refusals")

    def objects(
        self,
        *,
        study: str = "",
        view: str = "",
        mode: str = "",
        confidence_min: float | None = None,
        quality_min: float | None = None,
        limit: int = 1000,
    ) -> list[Row]:
        """As Console.objects."""
        words = {
            "study": study, "view": view, "mode": mode, "confidence_min": confidence_min, "quality_min": quality_min,
            "limit": limit,
        }  # fmt: skip
        asked = {name: word for name, word in words.items() if word is not None and word != ""}
        return self._rows("GET", f"objects?{urlencode(asked)}")

    def set_view(self, instance: str, view: str, *, by: str, name: str = "", reason: str = "") -> Row:
        """As Console.set_view."""
        return self._row("PUT", f"objects/{_segment(instance)}/view", {"view": view, "name": name, "reason": reason})

    def report(self, study: str) -> Row:
        """As Console.report."""
        return self._row("GET", f"studies/{_segment(study)}/report")

    def process_now(self, study: str, *, by: str) -> Row:
        """As Console.process_now."""
        return self._row("POST", f"studies/{_segment(study)}/process-now")

    def review(
        self,
        study: str,
        *,
        name: str,
        by: str,
        rejected: str | None = None,
        values: Mapping[str, float] | None = None,
        comment: str = "",
    ) -> Row:
        """As Console.review."""
        words: Row = {"name": name, "values": dict(values or {}), "comment": comment}
        if rejected is not None:
            words["rejected"] = rejected
        return self._row("POST", f"studies/{_segment(study)}/review", words)

    def correct(self, study: str, *, changes: Mapping[str, str], name: str, reason: str, by: str) -> Row:
        """As Console.correct."""
        words = {"changes": dict(changes), "name": name, "reason": reason}
        return self._row("POST", f"studies/{_segment(study)}/correct", words)

    def results(self, study: str) -> list[Row]:
        """As Console.results."""
        return self._rows("GET", f"studies/{_segment(study)}/results")

    def withdraw(self, target: str, *, reason: str, name: str, by: str) -> Row:
        """As Console.withdraw."""
        return self._row("POST", f"results/{_segment(target)}/withdraw", {"reason": reason, "name": name})

    def close(self) -> None:
        """Close every connection."""
        self._caller.close()

    def _rows(self, method: str, path: str, words: Row | None = None) -> list[Row]:
        rows: list[Row] = _shaped(self._asked(method, path, words), list)
        return rows

    def _row(self, method: str, path: str, words: Row | None = None) -> Row:
        row: Row = _shaped(self._asked(method, path, words), dict)
        return row

    def _asked(self, method: str, path: str, words: Row | None) -> Any:
        headers = {"Accept": "application/json"}
        body = None
        if words is not None:
            body, headers["Content-Type"] = json.dumps(words).encode(), "application/json"
        answer = self._caller.call(method, f"/api/v1/{path}", body=body, headers=headers)
        try:
            content = json.loads(answer.body)
        except ValueError:
            content = None
        if answer.status >= 300 or content is None:
            said = content.get("error") if isinstance(content, dict) else None
            reason = f": {one_line(str(said))[:LONGEST_REASON]}" if said else ""
            error = _ERRORS.get(answer.status, EchonodeError)
            if error in (NotFound, BadInput, IllegalTransition) and said:
                raise error(one_line(str(said))[:LONGEST_REASON])
            raise error(f"{self._caller.url} answered {answer.status}{reason}")
        return content


def _shaped(content: Any, kind: type) -> Any:
    if not isinstance(content, kind):
        raise EchonodeError("the node answered something else than its API says")
    return content


def _segment(text: str) -> str:
    """Text as one segment of a path; an empty one would name another path."""
    if not text or text in (".", ".."):
        raise BadInput(f"{text!r} names nothing")
    return quote(text, safe="")


def _plain(error: Exception) -> str:
    """What went wrong, without the address of an object in memory."""
    if isinstance(error, urllib3.exceptions.NewConnectionError):  # a kind of time-out to urllib3: asked first
        return f"cannot be reached: {one_line(str(error)).rpartition(': ')[2]}"
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return "no connection in time"
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {one_line(str(error))[:LONGEST_REASON]}"
