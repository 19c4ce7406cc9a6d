"""What people decide about model packages: let them look, let them run, take that back, take them out.

A line is what a route calls a model. Every order is checked against the files and against the table of states, and is
written with who gave it and why; what runs changes in that same moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from echonode.archive.archive import Archive
from echonode.archive.models import ModelRow, Standing
from echonode.core.errors import BadInput, EchonodeError, IllegalTransition, NotFound
from echonode.core.model_states import TRANSITIONS, ModelEvent, ModelState
from echonode.core.package import Package
from echonode.core.routes import RoutesFile
from echonode.registry.catalogue import Catalogue
from echonode.registry.installing import put_aside

Row = dict[str, Any]
SHIPPED = "active (shipped)"
"""How a package stands that nobody has said a word about."""
UNREGISTERED = "not registered"
GONE = "its folder is gone"
_UNSEEN = frozenset({ModelState.REMOVED})


class ModelLife:
    """The packages of a node and their life; `own` is the folder of those that it may remove.

    Raises:
        NotFound: there is no such package.
        PackageInvalid: a file of it is wrong.
        IllegalTransition: it is not in a state for that, or is not the package that was registered.
        BadInput: nobody is named, no reason is given, or the line is for another task.
    """

    def __init__(self, archive: Archive, catalogue: Catalogue, routes: RoutesFile, *, own: Path) -> None:
        self._archive, self._catalogue, self._routes, self._own = archive, catalogue, routes, own.resolve()

    def register(self, package: Package, *, checks: Mapping[str, Any], shipped: bool, by: str, why: str) -> Row:
        """Keep that the package passed its contract tests. One that a route names already goes on running."""
        named = any(package.name in route.models for route in self._routes.route)
        row = self._archive.models.register(
            package, by=by, why=why, checks=checks, shipped=shipped, adopt=shipped and named
        )
        return self._told(row)

    def promote(self, name: str, *, active: bool, line: str, by: str, why: str) -> Row:
        """The package looks at, or runs, `line`; where none is given the one that `line_of` finds."""
        package = self._catalogue.get(name)
        line = line or line_of(package, self._routes, self._archive.models.standing())
        self._require_task(package, line)
        if not active:
            return self._told(self._archive.models.promote_shadow(package, line=line, by=by, why=why))
        base = self._base(line)
        return self._told(self._archive.models.promote_active(package, line=line, base=base, by=by, why=why))

    def rollback(self, line: str, *, by: str, why: str) -> Row:
        """What was active in `line` before its last change is active again."""
        package = self._catalogue.get(self._archive.models.before(line))
        return self._told(self._archive.models.rollback(package, line=line, by=by, why=why))

    def retire(self, name: str, *, by: str, why: str) -> Row:
        """The package runs and looks no more."""
        return self._told(self._archive.models.retire(self._whatever(name), by=by, why=why))

    def remove(self, name: str, *, by: str, why: str) -> Row:
        """The package's folder goes, its history stays. What is active or a shadow stays, and so does every folder
        outside models.imported: packages that came with echonode, or that other nodes look at too.
        """
        package = self._whatever(name)
        removable = (self._archive.models.standing().state(name), ModelEvent.REMOVE) in TRANSITIONS
        if removable and not package.folder.resolve().is_relative_to(self._own):
            raise IllegalTransition(
                f"model {name} does not lie in models.imported: its folder is not this node's to remove"
            )
        with put_aside(package.folder):
            row = self._archive.models.remove(package, by=by, why=why)
        return self._told(row)

    def rows(self) -> list[Row]:
        """Every package, also those whose folder is gone: state, line, since when, and whether its files are sound."""
        standing, there = self._archive.models.standing(), self._catalogue.names()
        gone = [name for name, row in standing.newest.items() if name not in there and row.state not in _UNSEEN]
        return [self._row(name, standing, there=name in there) for name in sorted({*there, *gone})]

    def row(self, name: str) -> Row:
        """How one package stands, and everything that happened to it."""
        standing = self._archive.models.standing()
        events = self._archive.models.events(model=name)
        if not events and name not in self._catalogue.names():
            self._catalogue.manifest(name)  # says what there is
        checks = next((dict(each.checks) for each in reversed(events) if each.checks), {})
        return {**self._stands(name, standing), "checks": checks, "history": [event_row(each) for each in events]}

    def _row(self, name: str, standing: Standing, *, there: bool) -> Row:
        row: Row = {"name": name, "version": "", "task": "", "title": "", "trained_on": "", "digest": ""}
        row |= self._stands(name, standing)
        if not there:
            known = standing.newest[name]
            return row | {"version": known.version, "digest": known.digest, "files": GONE}
        try:
            package = self._catalogue.get(name)
        except EchonodeError as error:
            return row | {"files": f"not usable: {error}"}
        fields = ("version", "task", "title", "trained_on", "digest")
        changed = standing.digest(name) not in ("", package.digest)
        files = "changed since it was registered" if changed else "sound"
        return row | {field: getattr(package, field) for field in fields} | {"files": files}

    def _stands(self, name: str, standing: Standing) -> Row:
        known = standing.newest.get(name)
        if known is not None:
            return {"state": str(known.state), "line": known.line, "since": known.at, "by": known.by, "why": known.why}
        shipped = standing.active(name) == name
        return {"state": SHIPPED if shipped else UNREGISTERED, "line": name, "since": None, "by": "", "why": ""}

    def _told(self, row: ModelRow) -> Row:
        """The event, and which routes it is about."""
        routes = [route.name for route in self._routes.route if route.enabled and row.line in route.models]
        return event_row(row) | {"routes": routes}

    def _base(self, line: str) -> Package | None:
        """The package of the line's own name as it lies there; a broken one steps down too."""
        if line not in self._catalogue.names():
            return None
        return self._whatever(line)

    def _require_task(self, package: Package, line: str) -> None:
        """A line does one task: that of the routes that name it, or of the package that it begins with."""
        tasks = {route.task for route in self._routes.route if line in route.models}
        if not tasks and line in self._catalogue.names():
            tasks = {self._catalogue.manifest(line).task}
        if tasks - {package.task}:
            raise BadInput(f"line {line} is for {sorted(tasks)[0]}; {package.name} is for {package.task}")
        if not tasks and line != package.name:
            raise NotFound(f"there is no line {line!r}: no route names it, and no model has that name")

    def _whatever(self, name: str) -> Package:
        """The package by that name, as it was registered where its files are not what they were."""
        known = self._archive.models.standing().newest.get(name)
        try:
            return self._catalogue.get(name)
        except EchonodeError:
            if known is None:
                raise
        folder = self._catalogue.folder(name) if name in self._catalogue.names() else self._own / name
        return Package(name=name, version=known.version, task="", title=name, folder=folder, digest=known.digest)


def line_of(package: Package, routes: RoutesFile, standing: Standing) -> str:
    """The line that a package belongs to: the one that it was put into; else that of the routes of its task, if these
    name one alone; else its own."""
    known = standing.newest.get(package.name)
    if known is not None and known.line != package.name:
        return known.line
    lines = {route.model for route in routes.route if route.task == package.task}
    return lines.pop() if len(lines) == 1 else package.name


def event_row(row: ModelRow) -> Row:
    """An event as plain values; `at` in seconds since the epoch."""
    return {
        "at": row.at,
        "event": str(row.event),
        "model": row.model,
        "version": row.version,
        "digest": row.digest,
        "line": row.line,
        "state": str(row.state),
        "displaced": row.displaced,
        "by": row.by,
        "why": row.why,
        "checks": dict(row.checks),
    }
