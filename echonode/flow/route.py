"""Which objects go to which models: the rules of routes.toml over the facts of one instance, and the reasons.

Planning is a pure function of facts and rules, so `echonode routes explain` and the ingest door cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from echonode.core.facts import Facts
from echonode.core.identity import digest_of
from echonode.core.routes import Route, RoutesFile
from echonode.core.settings import NodeSettings
from echonode.core.view_codes import UNKNOWN_VIEW, is_one_of
from echonode.core.work import WorkKind, WorkRequest

SELF_CHECK_PRIORITY = -1000
"""Below every priority that a route can have: patients come first."""
SHADOW_PRIORITY = -50
"""A run that only looks comes after the one that it looks at."""
SHADOW_QUEUE = "shadow:"
"""Begins the queue of runs that only look; no model's name has a colon."""
NO_STAGE = "none"
"""What routes.toml calls an object without a stage."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionExplanation:
    """One condition: its name in routes.toml, what it asks for, what the object has, and whether it holds."""

    name: str
    expected: str
    actual: str
    holds: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteExplanation:
    """One route tried on one object; `reason` is one line for people, `conditions` the line for each condition.

    `after` names the task whose label map the route waits for: it is not planned when the object arrives.
    """

    route: str
    task: str
    model: str
    matches: bool
    reason: str
    conditions: tuple[ConditionExplanation, ...]
    after: str = ""


@dataclass(frozen=True, slots=True)
class _Observed:
    """What the object has, in words, and whether that is what the condition asks for."""

    holds: bool
    actual: str


def plan(
    facts: Facts,
    routes: RoutesFile,
    settings: NodeSettings,
    *,
    correlation_id: str = "",
    held: str | None = None,
    installed: Collection[str] | None = None,
    shadows: Mapping[str, str] | None = None,
) -> list[WorkRequest]:
    """One RUN request for every route that matches, in the order of routes.toml; nothing for our own objects.

    Routes with `after` are not among them: they start from what another run gives.

    The unique key names route, instance, model and parameters, so planning the same object again plans nothing new;
    a run with other parameters is another run. A later version of a model is asked for on purpose: see flow/request.
    With `installed`, the lines that there are, a run waits for the first of a route's models among them. `shadows` maps
    a line to the package that looks beside its active one: a second request for it follows.
    """
    wanted = [
        run_request(route, facts, settings, correlation_id=correlation_id, held=held, installed=installed)
        for route, explanation in zip(routes.route, explain(facts, routes), strict=True)
        if explanation.matches and not route.after
    ]
    return with_shadows(wanted, shadows or {})


def with_shadows(requests: Iterable[WorkRequest], shadows: Mapping[str, str]) -> list[WorkRequest]:
    """The requests, each followed by that of the package that looks beside it, where its line has one.

    What a shadow says is kept apart and delivered nowhere. This node's own simulated studies are not looked at.
    """
    found: list[WorkRequest] = []
    for request in requests:
        found.append(request)
        line = str(request.payload["model"])
        if line in shadows and not request.payload.get("self_check"):
            found.append(_beside(request, line=line, shadow=shadows[line]))
    return found


def shadow_queue(model: str) -> str:
    """The queue of runs of that package that only look: the worker takes them when nobody waits for anything."""
    return f"{SHADOW_QUEUE}{model}"


def _beside(request: WorkRequest, *, line: str, shadow: str) -> WorkRequest:
    kept = {name: value for name, value in request.payload.items() if name not in ("fallback", "model")}
    return replace(
        request,
        queue=shadow_queue(shadow),
        unique_key=f"shadow|{shadow}|{request.unique_key}",
        priority=request.priority + SHADOW_PRIORITY,
        payload=kept | {"model": shadow, "line": line, "deliver_to": [], "shadow": True},
    )


def run_request(
    route: Route,
    facts: Facts,
    settings: NodeSettings,
    *,
    correlation_id: str = "",
    held: str | None = None,
    again: str = "",
    installed: Collection[str] | None = None,
) -> WorkRequest:
    """The RUN request of `route` for the object of `facts`; `again` makes it another item than the planned one."""
    there = [model for model in route.models if installed is None or model in installed]
    key = ["run", route.name, facts.sop_instance_uid, route.model, digest_of(route.parameters)[:16]]
    return WorkRequest(
        kind=WorkKind.RUN,
        queue=there[0] if there else route.model,
        unique_key="|".join([*key, again] if again else key),
        study_uid=facts.study_uid,
        series_uid=facts.series_uid,
        sop_instance_uid=facts.sop_instance_uid,
        route=route.name,
        payload={
            "task": route.task,
            "model": route.model,
            **({"fallback": list(route.fallback)} if route.fallback else {}),
            "parameters": dict(route.parameters),
            # what this node simulated to check itself goes nowhere, whatever a route says
            "deliver_to": [] if facts.self_check else list(route.deliver_to),
            **({"self_check": True} if facts.self_check else {}),
        },
        correlation_id=correlation_id,
        priority=SELF_CHECK_PRIORITY if facts.self_check else route.priority,
        max_attempts=settings.work.run_attempts,
        held=held,
    )


def explain(facts: Facts, routes: RoutesFile) -> list[RouteExplanation]:
    """Every route of the file, matched or not, with every condition that it names; in the file's order."""
    return [_explain_route(facts, route) for route in routes.route]


def failure_in_words(failed: ConditionExplanation) -> str:
    """Why a condition does not hold, as a person would say it: "frames is 1, below 8"."""
    name, actual, expected = failed.name, failed.actual, failed.expected
    bounded, _, side = name.rpartition("_")
    if side in ("min", "max") and bounded:
        what = bounded.replace("_", " ")
        if not actual[:1].isdigit():
            return f"{what} is {actual}; {'at least' if side == 'min' else 'at most'} {expected} is asked for"
        return f"{what} is {actual}, {'below' if side == 'min' else 'above'} {expected}"
    if name == "stage" and actual == NO_STAGE:
        return f"it has no stage; asked for is {'one' if expected == 'any' else expected}"
    if name == "stage" and expected == NO_STAGE:
        return f"it has a stage: {actual}"
    if name == "calibrated":
        return "it has no calibration" if actual == "no" else "it is calibrated"
    if name == "route":
        return "the route is disabled"
    if name == "pixels":
        return "it has no pixels"
    return f"{name.replace('_', ' ')} is {actual}, not {expected}"


def _explain_route(facts: Facts, route: Route) -> RouteExplanation:
    given = route.when.model_dump(exclude_none=True)
    conditions = (*_always(facts, route), *(_explain_condition(facts, name, given[name]) for name in given))
    failed = [condition for condition in conditions if not condition.holds]
    if failed:
        reason = "; ".join(failure_in_words(condition) for condition in failed)
    elif given:
        reason = "every condition holds"
    else:
        reason = "the route has no conditions"
    if route.after and not failed:
        reason += f"; it runs when the {route.after} of the object is done"
    return RouteExplanation(
        route=route.name,
        task=route.task,
        model=route.model,
        matches=not failed,
        reason=reason,
        conditions=conditions,
        after=route.after,
    )


def _always(facts: Facts, route: Route) -> tuple[ConditionExplanation, ...]:
    """What holds for every route: it is switched on, the object has pixels, and it is not one of our own results."""
    made_by = "made by echonode" if facts.derived else "from elsewhere"
    pixels = "present" if facts.has_pixels else "absent"
    return (
        ConditionExplanation(
            name="route", expected="enabled", actual="enabled" if route.enabled else "disabled", holds=route.enabled
        ),
        ConditionExplanation(name="origin", expected="from elsewhere", actual=made_by, holds=not facts.derived),
        ConditionExplanation(name="pixels", expected="present", actual=pixels, holds=facts.has_pixels),
    )


def _explain_condition(facts: Facts, name: str, expected: Any) -> ConditionExplanation:
    observed = CONDITIONS[name](facts, expected)
    return ConditionExplanation(name=name, expected=_words(expected), actual=observed.actual, holds=observed.holds)


def _words(expected: Any) -> str:
    if isinstance(expected, tuple):
        return " or ".join(str(value) for value in expected) or "nothing (an empty list)"
    if isinstance(expected, bool):
        return "yes" if expected else "no"
    return f"{expected:g}" if isinstance(expected, float) else str(expected)


def _one_of(actual: str, expected: tuple[str, ...], *, shown: str = "") -> _Observed:
    wanted = {str(value).strip().casefold() for value in expected}
    return _Observed(actual.strip().casefold() in wanted, shown or actual or "empty")


def _with_reason(value: str, reason: str) -> str:
    return f"{value} ({reason})" if reason else value


def _mode(facts: Facts, expected: tuple[str, ...]) -> _Observed:
    return _one_of(str(facts.mode), expected, shown=_with_reason(str(facts.mode), facts.mode_reason))


def _view(facts: Facts, expected: tuple[str, ...]) -> _Observed:
    """The view or its family: PSAX-MV is PSAX too; "any" is every view that is known."""
    known = facts.view is not None and any(value.strip().casefold() == "any" for value in expected)
    shown = _with_reason(facts.view or UNKNOWN_VIEW, facts.view_reason)
    return _Observed(known or is_one_of(facts.view, expected), shown)


def _stage(facts: Facts, expected: tuple[str, ...]) -> _Observed:
    """Scanners name stages as they like: "any" is whatever a scanner calls one, "none" is no stage."""
    if facts.stage and any(value.strip().casefold() == "any" for value in expected):
        return _Observed(True, facts.stage)
    return _one_of(facts.stage or NO_STAGE, expected)


def _vendor(facts: Facts, expected: tuple[str, ...]) -> _Observed:
    name = facts.manufacturer.casefold()
    return _Observed(any(text.strip().casefold() in name for text in expected), facts.manufacturer or "empty")


def _bound(
    value: float | None,
    *,
    least: float | None = None,
    most: float | None = None,
    absent: str = "not told by the header",
) -> _Observed:
    if value is None:
        return _Observed(False, absent)
    holds = (least is None or value >= least) and (most is None or value <= most)
    return _Observed(holds, f"{value:g}")


CONDITIONS: Mapping[str, Callable[[Facts, Any], _Observed]] = {
    "sop_class": lambda facts, expected: _one_of(facts.sop_class_uid, expected),
    "modality": lambda facts, expected: _one_of(facts.modality, expected),
    "mode": _mode,
    "view": _view,
    "stage": _stage,
    "vendor": _vendor,
    "calling_ae": lambda facts, expected: _one_of(facts.calling_ae, expected),
    "frames_min": lambda facts, expected: _bound(facts.frames, least=expected),
    "frames_max": lambda facts, expected: _bound(facts.frames, most=expected),
    "frame_rate_min": lambda facts, expected: _bound(facts.frame_rate, least=expected),
    "frame_rate_max": lambda facts, expected: _bound(facts.frame_rate, most=expected),
    "heart_rate_min": lambda facts, expected: _bound(facts.heart_rate, least=expected),
    "heart_rate_max": lambda facts, expected: _bound(facts.heart_rate, most=expected),
    "view_confidence_min": lambda facts, expected: _bound(
        facts.view_confidence, least=expected, absent="not judged by a classifier"
    ),
    "quality_min": lambda facts, expected: _bound(facts.quality, least=expected, absent="not judged"),
    "age_min": lambda facts, expected: _bound(facts.age_years, least=expected),
    "age_max": lambda facts, expected: _bound(facts.age_years, most=expected),
    "calibrated": lambda facts, expected: _Observed(facts.calibrated is expected, "yes" if facts.calibrated else "no"),
}
