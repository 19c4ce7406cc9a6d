"""Which of a route's models runs: the first line whose active package is installed, sound and takes the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from echonode.core.errors import EchonodeError, RunFailed
from echonode.core.facts import Facts
from echonode.core.package import Package
from echonode.core.results import Ineligible
from echonode.core.settings import NodeSettings
from echonode.flow.contract import refusal_of
from echonode.registry.manifest import InputContract


class Packages(Protocol):
    """Knows what a name in routes.toml means now: flow/lines.py, or a catalogue where nobody has decided anything."""

    def get(self, line: str, /) -> Package:
        """The verified package.

        Raises:
            EchonodeError: there is none that may be used, and why.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The model that runs; `instead_of` the line that the route names first, `because` of what; both empty for that one."""

    package: Package
    instead_of: str = ""
    because: str = ""


def choose(
    models: Sequence[str], *, task: str, facts: Facts, catalogue: Packages, settings: NodeSettings
) -> Choice | Ineligible:
    """The first of `models`, best first, that takes the object; the refusal of the first installed one if none does.

    Headers alone decide: what only the pixels tell is judged by the model that was chosen.

    Raises:
        EchonodeError: none of them can be used; why the first one cannot.
    """
    errors: list[EchonodeError] = []
    refusals: list[Ineligible] = []
    because = ""
    for name in models:
        try:
            package = catalogue.get(name)
            if package.task != task:
                raise RunFailed(f"model {package.name!r} is for {package.task}, not for {task}", transient=False)
            refusal = refusal_of(InputContract.model_validate(package.input), facts) or _simulated(
                package, facts, settings
            )
        except EchonodeError as error:
            errors.append(error)
            because = because or str(error)
            continue
        if refusal is None:
            return Choice(package=package, instead_of=models[0] if because else "", because=because)
        refusals.append(refusal)
        because = because or refusal.reason
    if refusals:
        return refusals[0]
    raise errors[0]


def _simulated(package: Package, facts: Facts, settings: NodeSettings) -> Ineligible | None:
    """A patient is no simulation: such a model runs only where the site says so, or on what says that it is simulated."""
    if not package.simulated or settings.models.simulated_on_patients or facts.self_check or facts.simulated:
        return None
    return Ineligible(
        reason=f"model {package.name} was trained on simulated data alone; it runs on patients only with "
        "models.simulated_on_patients = true in node.toml, or import a model that was trained on patients",
        code="simulated",
    )
