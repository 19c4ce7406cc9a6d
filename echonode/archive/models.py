"""The life of model packages: who registered, promoted, rolled back, retired and removed which, when and why.

Rows are only ever added, each in one transaction with its row of the audit trail. The newest row of a package is its
state; nothing but a person's order makes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, func, insert, select, text
from sqlalchemy.engine import Connection

from echonode.archive.audit import Audit
from echonode.archive.database import Database
from echonode.archive.schema import MODEL_EVENT
from echonode.core.errors import BadInput, IllegalTransition
from echonode.core.model_states import ModelEvent, ModelState, after
from echonode.core.package import Package
from echonode.core.ports import Clock

AUDITED: Mapping[ModelEvent, str] = {
    ModelEvent.REGISTER: "model registered",
    ModelEvent.ADOPT: "model registered",
    ModelEvent.SHADOW: "model made a shadow",
    ModelEvent.ACTIVATE: "model made active",
    ModelEvent.ROLLBACK: "model rolled back",
    ModelEvent.RETIRE: "model retired",
    ModelEvent.REMOVE: "model removed",
}
"""What the audit trail calls each order; a displacement is told with the order that caused it."""
_M = MODEL_EVENT.c
_COLUMNS: tuple[Any, ...] = (
    _M.line, _M.model, _M.version, _M.digest, _M.event, _M.state, _M.displaced, _M.by, _M.why, _M.checks, _M.at,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRow:
    """One event; `state` is the package's after it, `displaced` the package that was active in the line before."""

    line: str
    model: str
    version: str
    digest: str
    event: ModelEvent
    state: ModelState
    displaced: str
    by: str
    why: str
    checks: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How every package stands now: the newest row of each, by its name."""

    newest: Mapping[str, ModelRow] = field(default_factory=dict)

    def state(self, model: str) -> ModelState:
        """The state of a package that lies in a models folder; SHIPPED while nobody has said a word about it."""
        return self.newest[model].state if model in self.newest else ModelState.SHIPPED

    def digest(self, model: str) -> str:
        """The digest that was registered; empty while nobody has said a word about it."""
        return self.newest[model].digest if model in self.newest else ""

    def active(self, line: str) -> str | None:
        """The package that runs where routes name `line`; None where none may. A line begins with the package of its
        name."""
        found = self._in(line, ModelState.ACTIVE)
        return found if found or line in self.newest else line

    def shadow(self, line: str) -> str | None:
        """The package that looks beside the active one of `line`."""
        return self._in(line, ModelState.SHADOW)

    def shadows(self) -> dict[str, str]:
        """Line -> its shadow, where there is one."""
        return {row.line: row.model for row in self.newest.values() if row.state is ModelState.SHADOW}

    def lines(self) -> dict[str, str]:
        """Line -> its active package, of the lines that somebody has decided about."""
        return {row.line: row.model for row in self.newest.values() if row.state is ModelState.ACTIVE}

    def _in(self, line: str, state: ModelState) -> str | None:
        return next((row.model for row in self.newest.values() if (row.line, row.state) == (line, state)), None)


class Models:
    """The events of an archive. Orders check the table of states in the transaction that writes them.

    Raises:
        IllegalTransition: the package is not in a state for that.
        BadInput: nobody is named, or no reason is given.
        StorageUnavailable: the database did not take it.
    """

    def __init__(self, database: Database, audit: Audit, *, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def standing(self) -> Standing:
        """How every package stands now."""
        with self._database.reading() as connection:
            return _standing(connection)

    def active(self, line: str) -> str | None:
        """The package that runs where routes name `line`; None where none may."""
        return self.standing().active(line)

    def shadow(self, line: str) -> str | None:
        """The package that looks beside the active one of `line`."""
        return self.standing().shadow(line)

    def state(self, model: str) -> ModelState:
        """As Standing.state."""
        return self.standing().state(model)

    def lines(self) -> dict[str, str]:
        """Line -> its active package, of the lines that somebody has decided about."""
        return self.standing().lines()

    def events(self, *, model: str | None = None, line: str | None = None) -> list[ModelRow]:
        """What happened to a package, in a line, or to all; oldest first."""
        with self._database.reading() as connection:
            return _events(connection, model=model, line=line)

    def register(
        self, package: Package, *, by: str, why: str, checks: Mapping[str, Any], shipped: bool, adopt: bool = False
    ) -> ModelRow:
        """The package passed its contract tests. `shipped`: it lies in a models folder already; `adopt`: and runs."""
        with self._database.transaction() as connection:
            standing = _locked(connection)
            known = standing.newest.get(package.name)
            unheard = ModelState.SHIPPED if shipped else ModelState.UNKNOWN
            state = known.state if known is not None else unheard
            event = ModelEvent.ADOPT if adopt and state is ModelState.SHIPPED else ModelEvent.REGISTER
            kept = known is not None and known.state in (ModelState.ACTIVE, ModelState.SHADOW)
            line = known.line if known is not None and kept else package.name
            return self._write(connection, package, line, event, state, by=by, why=why, checks=checks)

    def promote_shadow(self, package: Package, *, line: str, by: str, why: str) -> ModelRow:
        """The package looks beside the active one of `line` from now on, in the place of the shadow before it."""
        with self._database.transaction() as connection:
            standing = _locked(connection)
            state = _stated(standing, package)
            _after(package.name, state, ModelEvent.SHADOW)
            before = standing.shadow(line)
            if before is not None:
                self._displace(connection, standing.newest[before], by=by, why=f"{package.name} looks instead: {why}")
            return self._write(connection, package, line, ModelEvent.SHADOW, state, by=by, why=why)

    def promote_active(self, package: Package, *, line: str, base: Package | None, by: str, why: str) -> ModelRow:
        """The package runs where routes name `line` from now on. `base` is the package of the line's own name, where
        there is one."""
        with self._database.transaction() as connection:
            standing = _locked(connection)
            state = _stated(standing, package)
            _after(package.name, state, ModelEvent.ACTIVATE)
            displaced = self._step_down(connection, standing, line, base, by=by, why=why, instead=package.name)
            return self._write(
                connection, package, line, ModelEvent.ACTIVATE, state, by=by, why=why, displaced=displaced
            )

    def before(self, line: str) -> str:
        """The package that `rollback` would make active again.

        Raises:
            IllegalTransition: nothing was active there before.
        """
        with self._database.reading() as connection:
            return _before(connection, line)

    def rollback(self, package: Package, *, line: str, by: str, why: str) -> ModelRow:
        """The package that was active before the last change of `line`, `package`, is active again."""
        with self._database.transaction() as connection:
            standing = _locked(connection)
            wanted = _before(connection, line)
            if wanted != package.name:
                raise IllegalTransition(f"before the last change of line {line} the active model was {wanted}")
            state = _stated(standing, package)
            _after(package.name, state, ModelEvent.ROLLBACK)
            displaced = self._step_down(connection, standing, line, None, by=by, why=why, instead=package.name)
            return self._write(
                connection, package, line, ModelEvent.ROLLBACK, state, by=by, why=why, displaced=displaced
            )

    def retire(self, package: Package, *, by: str, why: str) -> ModelRow:
        """The package runs and looks no more; a line that it was active in has none until another is promoted."""
        return self._simple(package, ModelEvent.RETIRE, by=by, why=why)

    def remove(self, package: Package, *, by: str, why: str) -> ModelRow:
        """The package's folder goes; its events stay. The caller takes the folder away when this has returned."""
        return self._simple(package, ModelEvent.REMOVE, by=by, why=why)

    def _simple(self, package: Package, event: ModelEvent, *, by: str, why: str) -> ModelRow:
        with self._database.transaction() as connection:
            standing = _locked(connection)
            known = standing.newest.get(package.name)
            line = known.line if known is not None else package.name
            return self._write(connection, package, line, event, standing.state(package.name), by=by, why=why)

    def _step_down(
        self,
        connection: Connection,
        standing: Standing,
        line: str,
        base: Package | None,
        *,
        by: str,
        why: str,
        instead: str,
    ) -> str:
        """The name of the package that was active in `line`, which is retired; empty where there was none."""
        active = standing.active(line)
        known = standing.newest.get(active) if active is not None else None
        why = f"{instead} runs instead: {why}"
        if known is not None:
            self._displace(connection, known, by=by, why=why)
            return known.model
        if active is None or base is None or base.name != active:
            return ""
        self._write(connection, base, line, ModelEvent.DISPLACE, ModelState.SHIPPED, by=by, why=why, audited=False)
        return base.name

    def _displace(self, connection: Connection, known: ModelRow, *, by: str, why: str) -> None:
        row = {
            "line": known.line,
            "model": known.model,
            "version": known.version,
            "digest": known.digest,
            "event": ModelEvent.DISPLACE,
            "state": after(known.state, ModelEvent.DISPLACE),
            "displaced": "",
            "by": by,
            "why": why,
            "checks": {},
            "at": self._clock(),
        }
        connection.execute(insert(MODEL_EVENT).values(row))

    def _write(
        self,
        connection: Connection,
        package: Package,
        line: str,
        event: ModelEvent,
        state: ModelState,
        *,
        by: str,
        why: str,
        checks: Mapping[str, Any] | None = None,
        displaced: str = "",
        audited: bool = True,
    ) -> ModelRow:
        if not by.strip() or not why.strip():
            raise BadInput("an order about a model needs who gives it (--by) and why (--why)")
        row = ModelRow(
            line=line,
            model=package.name,
            version=package.version,
            digest=package.digest,
            event=event,
            state=_after(package.name, state, event),
            displaced=displaced,
            by=by,
            why=why,
            checks=dict(checks or {}),
            at=self._clock(),
        )
        values = {name: getattr(row, name) for name in ModelRow.__dataclass_fields__}
        connection.execute(insert(MODEL_EVENT).values(values))
        if audited:
            details = {
                "model": row.model,
                "line": row.line,
                "version": row.version,
                "digest": row.digest,
                "before": str(state),
                "state": str(row.state),
                "displaced": row.displaced,
                "why": why,
            }
            self._audit.write(connection, event=AUDITED[event], who=by, details=details)
        return row


def _locked(connection: Connection) -> Standing:
    """How everything stands, with nobody else's order in between: SQLite writes one at a time by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE model_event IN SHARE ROW EXCLUSIVE MODE"))
    return _standing(connection)


def _standing(connection: Connection) -> Standing:
    newest = select(func.max(_M.id)).group_by(_M.model)
    rows = connection.execute(select(*_COLUMNS).where(_M.id.in_(newest)).order_by(_M.id))
    return Standing(newest={row.model: _row(row) for row in rows})


def _events(connection: Connection, *, model: str | None = None, line: str | None = None) -> list[ModelRow]:
    query = select(*_COLUMNS).order_by(_M.id)
    if model is not None:
        query = query.where(_M.model == model)
    if line is not None:
        query = query.where(_M.line == line)
    return [_row(row) for row in connection.execute(query)]


def _before(connection: Connection, line: str) -> str:
    """Changes and what took them back are paired like brackets: what is left open last is what a rollback undoes."""
    standing: list[ModelRow] = []
    for row in _events(connection, line=line):
        if row.event is ModelEvent.ACTIVATE:
            standing.append(row)
        elif row.event is ModelEvent.ROLLBACK and standing:
            standing.pop()
    if not standing or not standing[-1].displaced:
        raise IllegalTransition(f"line {line}: no model was active there before; there is nothing to go back to")
    return standing[-1].displaced


def _stated(standing: Standing, package: Package) -> ModelState:
    """The state of a package that is about to be let at patients' objects.

    Raises:
        IllegalTransition: it is another one than was registered.
    """
    registered = standing.digest(package.name)
    if registered and registered != package.digest:
        raise IllegalTransition(
            f"{package.name}: its digest is {package.digest[:16]}, but {registered[:16]} was registered; register it again"
        )
    return standing.state(package.name)


def _after(model: str, state: ModelState, event: ModelEvent) -> ModelState:
    try:
        return after(state, event)
    except IllegalTransition:
        advice = _ADVICE.get((state, event), "")
        raise IllegalTransition(f"model {model} is {state}: it cannot be {_DONE[event]}{advice}") from None


_ADVICE: Mapping[tuple[ModelState, ModelEvent], str] = {
    **{
        (state, event): "; register it first"
        for state in (ModelState.SHIPPED, ModelState.REMOVED)
        for event in (ModelEvent.SHADOW, ModelEvent.ACTIVATE)
    },
    **{
        (state, ModelEvent.REMOVE): "; retire it first"
        for state in (ModelState.SHIPPED, ModelState.SHADOW, ModelState.ACTIVE)
    },
}
_DONE: Mapping[ModelEvent, str] = {
    ModelEvent.REGISTER: "registered",
    ModelEvent.ADOPT: "registered",
    ModelEvent.SHADOW: "made a shadow",
    ModelEvent.ACTIVATE: "made active",
    ModelEvent.DISPLACE: "displaced",
    ModelEvent.ROLLBACK: "made active again",
    ModelEvent.RETIRE: "retired",
    ModelEvent.REMOVE: "removed",
}


def _row(row: Row[Any]) -> ModelRow:
    return ModelRow(**row._asdict() | {"event": ModelEvent(row.event), "state": ModelState(row.state)})
