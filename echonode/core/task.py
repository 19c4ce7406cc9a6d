"""How a task is known without importing it: strings that are resolved where they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from echonode.core.clip import Clip
from echonode.core.errors import NotFound
from echonode.core.results import Result

ENTRY_POINT_GROUP = "echonode.tasks"


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSpec:
    """A task: `name` as in routes.toml; `runner`, `importers`, `recipes` and `evaluations` are "module:attribute",
    loaded late.

    `runner` names a callable `(package: Package, device: str, threads: int) -> Runner`. `importers` maps a checkpoint
    kind (superslomo) to a callable `(source: Path, folder: Path, options: Mapping[str, str]) -> Mapping[str, Any]`
    that writes safetensors files into `folder` and returns the manifest's `architecture`, `config`, `input`, `output`
    and `trained_on`, and `metrics` where the file's errors are published; the registry writes manifest and card. `recipes`
    maps what `echonode train` calls a recipe (slow-motion) to a callable `(arguments: TrainingArguments) -> TrainingResult`, and `evaluations`, with the same
    keys, to a callable `(arguments: EvaluationArguments) -> Evaluation`. `parity` names a callable
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


def installed_tasks() -> dict[str, TaskSpec]:
    """Every task that an installed package announces under `echonode.tasks`, by name; imports no torch."""
    found: dict[str, TaskSpec] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        spec = point.load()
        found[spec.name] = spec
    return dict(sorted(found.items()))
