"""Which package a line means now: the model packages that lie there, and what people have decided about them.

A route names a line; whoever begins a run asks here what that is at this moment, so that a promotion needs no restart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from echonode.archive.archive import Archive
from echonode.archive.models import Standing
from echonode.core.errors import NotFound, PackageInvalid, StorageUnavailable
from echonode.core.model_states import RUNS, ModelState
from echonode.core.package import Package
from echonode.registry.catalogue import Catalogue

LOG = logging.getLogger(__name__)
PLANNING_SECONDS = 2.0
"""How old what a planner knows may be: it is asked for every object that arrives."""


class Lines:
    """The lines of a node. With `seconds` what people decided is read again only when it is that old."""

    def __init__(
        self,
        archive: Archive,
        catalogue: Catalogue,
        *,
        seconds: float = 0.0,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive, self._catalogue = archive, catalogue
        self._seconds, self._ticks = seconds, ticks
        self._known: tuple[float, Standing] | None = None

    def standing(self) -> Standing:
        """How every package stands.

        Raises:
            StorageUnavailable: the database cannot be read, and nothing is known from before.
        """
        now, known = self._ticks(), self._known
        if known is not None and now - known[0] < self._seconds:
            return known[1]
        try:
            found = self._archive.models.standing()
        except StorageUnavailable:
            if known is None or not self._seconds:
                raise
            return known[1]
        self._known = (now, found)
        return found

    def names(self) -> list[str]:
        """Every line that can run, and every package that lies there; sorted."""
        there = set(self._catalogue.names())
        return sorted(there | {line for line, model in self.standing().lines().items() if model in there})

    def runs(self, line: str) -> bool:
        """Whether a package that lies there is active in `line`; its files are not looked at."""
        return self.standing().active(line) in self._catalogue.names()

    def get(self, line: str) -> Package:
        """The verified package that runs where routes name `line`; the name of an active package means that one.

        Raises:
            NotFound: there is none, or none is active.
            PackageInvalid: a file of it is wrong, or it is not the package that was registered.
        """
        standing = self.standing()
        name = standing.active(line)
        if name is None and standing.state(line) in RUNS:
            name = line
        if name is None:
            state = standing.state(line)
            raise NotFound(f"no model is active in line {line!r}: {line} is {state}; see echonode models promote")
        return self._as_registered(name, standing)

    def exactly(self, name: str) -> Package:
        """The verified package of that name, whatever it may do.

        Raises:
            NotFound, PackageInvalid: as `get`.
        """
        return self._as_registered(name, self.standing())

    def shadows(self) -> dict[str, str]:
        """Line -> the package that looks beside its active one, where that package lies in a models folder."""
        there = self._catalogue.names()
        return {line: model for line, model in self.standing().shadows().items() if model in there}

    def looks(self, name: str, *, line: str) -> bool:
        """Whether that package is the shadow of `line`."""
        return self.standing().shadow(line) == name

    def _as_registered(self, name: str, standing: Standing) -> Package:
        package = self._catalogue.get(name)
        registered = standing.digest(name)
        if registered and standing.state(name) is not ModelState.REMOVED and registered != package.digest:
            raise PackageInvalid(
                f"model {name!r} is not the one that was registered: its digest is {package.digest[:16]}, and "
                f"{registered[:16]} was registered; register it again"
            )
        return package


class Exactly:
    """As Lines.exactly, for whoever chooses among packages."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def get(self, line: str) -> Package:
        """As Lines.exactly."""
        return self._lines.exactly(line)
