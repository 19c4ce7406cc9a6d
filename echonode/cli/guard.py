"""One rule for every `echonode run`: a model that learned from simulated data alone is kept from patients, and marked.

It runs on files whose header says that they are simulated, and on anything else only where node.toml or the command line
says so.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from echonode.cli.screen import complain
from echonode.core.errors import BadInput

if TYPE_CHECKING:
    from echonode.core.package import Package
    from echonode.core.results import Ineligible
    from echonode.core.settings import NodeSettings

NOTE = "from a model trained on simulated data alone"
OPTION = "--simulated-on-patients"
_PARAMETER = "simulated_on_patients"
_Asked = Annotated[
    bool, typer.Option(OPTION, help="Run models that were trained on simulated data alone on real files too.")
]
_ASKED: ContextVar[bool] = ContextVar("simulated_on_patients", default=False)
_SAID: ContextVar[set[str] | None] = ContextVar("said_of_simulated_files", default=None)


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` with the option --simulated-on-patients, which holds while it runs."""

    @functools.wraps(command)
    def run(*arguments: Any, **named: Any) -> Any:
        token, said = _ASKED.set(bool(named.pop(_PARAMETER, False))), _SAID.set(set())
        try:
            return command(*arguments, **named)
        finally:
            _ASKED.reset(token)
            _SAID.reset(said)

    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    own = inspect.Parameter(_PARAMETER, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Asked)
    known = [each.replace(annotation=hints.get(each.name, each.annotation)) for each in signature.parameters.values()]
    del run.__wrapped__  # else the signature of the inner one is asked for
    run.__signature__ = signature.replace(parameters=[*known, own])  # type: ignore[attr-defined]
    run.__annotations__ = {**hints, _PARAMETER: _Asked}
    return run


def asked_for_patients() -> bool:
    """Whether the command that runs now was given --simulated-on-patients."""
    return _ASKED.get()


def refusal_for(packages: Sequence[Package], settings: NodeSettings, source: Path) -> Ineligible | None:
    """Why a model must not look at this file, in one line that says what is missing and how to get it; None if it may.

    That it may because the file itself is simulated is said on standard error, once for each model of a command.

    Raises:
        UnreadableObject: a DICOM file whose header cannot be read.
    """
    from echonode.core.results import Ineligible

    simulated = [package for package in packages if package.simulated]
    if not simulated or settings.models.simulated_on_patients or _ASKED.get():
        return None
    package = simulated[0]
    if is_marked_simulated(source):
        said = _SAID.get()
        if said is None or package.name not in said:
            complain(
                f"{source}: is marked as simulated, so {package.name} runs on it and on others like it: trained on "
                "simulated data alone"
            )
        if said is not None:
            said.add(package.name)
        return None
    return Ineligible(
        reason=f"no {package.task} model that was trained on patients was named: {package.name} learned from simulated "
        f"data alone; import one ({_import(package.task)}) and name it with --model, or see what this one says with "
        f"{OPTION}",
        code="simulated",
    )


def is_marked_simulated(source: Path) -> bool:
    """Whether the file is a DICOM object whose header says that it shows no patient."""
    from echonode.cli.called import is_dicom

    if not source.is_file() or not is_dicom(source):
        return False
    import pydicom

    from echonode.dicom.simulated import is_simulated

    try:
        return is_simulated(pydicom.dcmread(source, stop_before_pixels=True))
    except (OSError, EOFError, ValueError, AttributeError, KeyError, RecursionError) as error:
        raise BadInput(f"{source}: cannot be read as DICOM: {error}") from error


def mark_of(packages: Sequence[Package]) -> str:
    """What stands beside each value that these models gave; empty where nothing needs to."""
    return NOTE if any(package.simulated for package in packages) else ""


def marked(packages: Sequence[Package], value: Mapping[str, Any]) -> dict[str, Any]:
    """One value as JSON, with the mark where it needs one."""
    mark = mark_of(packages)
    return {**value, "mark": mark} if mark else dict(value)


def _import(task: str) -> str:
    """The command that imports a model of that task."""
    from echonode.core.task import installed_tasks

    spec = installed_tasks().get(task)
    kinds = list(spec.importers) if spec is not None else []
    return f"echonode models import {kinds[0] if kinds else 'KIND'} FILE --name NAME"
