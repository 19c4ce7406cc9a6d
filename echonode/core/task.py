"""How a task is known without importing it: strings that are resolved where they run."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Protocol, runtime_checkable

from echonode.core.clip import Clip
from echonode.core.errors import NotFound
from echonode.core.results import Result

ENTRY_POINT_GROUP = "echonode.tasks"
OURS: Final = "echonode"
"""The distribution whose tasks are the built-in ones."""
HEAVY: Final = frozenset({"torch"})
"""What looking at a TaskSpec must not load."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSpec:
    """A task: `name` as in routes.toml and of its entry point; `runner`, `importers`, `recipes` and `evaluations` are "module:attribute",
    loaded late.

    `runner` names a callable `(package: Package, device: str, threads: int) -> Runner`. `importers` maps a checkpoint
    kind (superslomo) to a callable `(source: Path, folder: Path, options: Mapping[str, str]) -> Mapping[str, Any]`
    that writes safetensors files into `folder` and returns the manifest's `architecture`, `config`, `input`, `output`
    and `trained_on`, and `metrics` where the file's errors are published; the registry writes manifest and card.
    `recipes` maps what `echonode train` calls a recipe (slow-motion) to a callable
    `(arguments: TrainingArguments) -> TrainingResult`, and `evaluations`, with the same keys, to a callable
    `(arguments: EvaluationArguments) -> Evaluation`. `parity` names a callable
    `(folder: Path, whole: bool) -> Iterable[ParityRow]` that holds the task's networks against the vectors in `folder`;
    it gives nothing when the folder has none for it, and leaves the heavy ones out unless `whole`. `tools` names what
    else the task offers to commands, each by a word ("table") that those commands know. `combine` names a callable
    `(readings: Sequence[KeptReading]) -> Sequence[StudyValue | Ineligible]` (core/readings.py) that makes study values of
    what was read from several loops of one study and one stage; it runs in the worker, so its module imports no torch.
    """

    name: str
    title: str
    runner: str
    importers: Mapping[str, str] = field(default_factory=dict)
    recipes: Mapping[str, str] = field(default_factory=dict)
    evaluations: Mapping[str, str] = field(default_factory=dict)
    parity: str | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    combine: str | None = None
    level: str = "instance"


@runtime_checkable
class Runner(Protocol):
    """Loads once, runs many times, inside a runner process."""

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        """Results for each clip, in order; a refusal is an Ineligible, never an exception."""
        ...


class Progress(Protocol):
    """Told how far a run is."""

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` steps are finished."""
        ...


def resolve(reference: str) -> Any:
    """The object that "module:attribute" names; importing it may load torch.

    Raises:
        NotFound: there is no such module or attribute.
    """
    module, _, attribute = reference.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise NotFound(f"{reference}: {error}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedTask:
    """A task that an installed package announces and that cannot be used: why, in one line. `package` has its version."""

    name: str
    package: str
    reason: str

    def __str__(self) -> str:
        return f"task {self.name!r} of package {self.package}: {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Announced:
    """What the installed packages announce: `tasks` by name, and those that were refused."""

    tasks: Mapping[str, TaskSpec]
    refused: tuple[RefusedTask, ...] = ()

    def why_not(self, name: str) -> str:
        """Why there is no task of that name, or that none was installed."""
        said = [str(each) for each in self.refused if each.name == name]
        if said:
            return "; ".join(said)
        return f"no installed task is called {name!r}; there are: {', '.join(self.tasks) or 'none'}"


def installed_tasks() -> dict[str, TaskSpec]:
    """Every task that an installed package announces under `echonode.tasks` and that can be used, by name; imports no
    torch."""
    return dict(announced_tasks().tasks)


def announced_tasks(points: Iterable[EntryPoint] | None = None) -> Announced:
    """Every task of the installed packages, or of `points`; one that cannot be used harms no other.

    Refused is what raises when its TaskSpec is imported or loads torch then, what is no TaskSpec, an entry point whose
    name is not the task's, and a name (of a task, recipe, evaluation or importer) that another task has. The built-in
    ones always stay; of two others of one name neither is used.
    """
    found = entry_points(group=ENTRY_POINT_GROUP) if points is None else points
    ordered = sorted(found, key=lambda point: (not _is_ours(point), point.name, _package(point), point.value))
    tasks: dict[str, TaskSpec] = {}
    ours: set[str] = set()
    refused: list[RefusedTask] = []
    counts = Counter(point.name for point in ordered if not _is_ours(point))
    for point in ordered:
        spec = _spec(point)
        if isinstance(spec, TaskSpec) and not _is_ours(point):
            spec = _clash(spec, tasks, ours, twice=counts[spec.name] > 1) or spec
        if isinstance(spec, TaskSpec):
            tasks[spec.name] = spec
            ours |= {spec.name} if _is_ours(point) else set()
        else:
            refused.append(RefusedTask(name=point.name, package=_package(point), reason=spec))
    return Announced(tasks=dict(sorted(tasks.items())), refused=tuple(refused))


def _spec(point: EntryPoint) -> TaskSpec | str:
    """What an entry point names, or why it cannot be used."""
    without = HEAVY - sys.modules.keys()
    try:
        spec = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001  the edge to other people's code: told, never raised
        return f"cannot be loaded: {type(error).__name__}: {_line(error)}"
    if not isinstance(spec, TaskSpec):
        return f"{point.value} is no TaskSpec"
    if spec.name != point.name:
        return f"its TaskSpec has the name {spec.name!r}; the entry point must have the same"
    loaded = sorted(without & sys.modules.keys())
    return f"importing its TaskSpec loads {', '.join(loaded)}, which no process of the node may" if loaded else spec


def _clash(spec: TaskSpec, tasks: Mapping[str, TaskSpec], ours: Collection[str], *, twice: bool) -> str:
    """Why the names of a task are not free; empty where they are."""
    if spec.name in ours:
        return "echonode has a task of that name"
    if twice:
        return "more than one installed package has a task of that name; none of them is used"
    for what in ("recipes", "evaluations", "importers"):
        for other in tasks.values():
            shared = sorted(getattr(other, what).keys() & getattr(spec, what).keys())
            if shared:
                return f"its {what} have the name {shared[0]!r}, which task {other.name!r} has"
    return ""


def _is_ours(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name.casefold() == OURS


def _package(point: EntryPoint) -> str:
    return "unknown" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or "no further word"
