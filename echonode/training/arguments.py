"""What a recipe and an evaluation are given, and what they give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.registry.manifest import Metric as Metric
from echonode.training.table import Table, tables_as_json

Precision = Literal["fp32", "bf16", "fp16"]
Edition = Literal["sound", "published"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
Metrics = tuple[Metric, ...]
EDITIONS: tuple[Edition, ...] = ("sound", "published")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingArguments:
    """What `echonode train` gives every recipe; None is the recipe's own choice.

    `data` and `test_data` are texts: "phantom:N@SEED[/preset]", a folder, a FileList.csv, a manifest CSV, or
    "archive:QUERY"; `test_data` is held out as a whole. `out` is the run's folder, `minutes` the wall clock after which
    training ends early and is still published, `options` the recipe's own, validated by `training.options`. The
    package goes into `models / name`; without a name none is written.

    Raises:
        BadInput: a number below its least, an unknown precision or edition, no data.
    """

    task: str
    data: tuple[str, ...]
    out: Path
    test_data: tuple[str, ...] = ()
    recipe: Edition = "sound"
    init: Path | None = None
    seed: int = 0
    device: str = "auto"
    precision: Precision = "fp32"
    threads: int = 0
    epochs: int | None = None
    steps: int | None = None
    minutes: float | None = None
    batch: int | None = None
    workers: int = 0
    resume: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    models: Path = Path("models")

    def __post_init__(self) -> None:
        if not self.data:
            raise BadInput("--data is missing: phantom:N@SEED, a folder, a list, or archive:QUERY")
        if self.precision not in PRECISIONS:
            raise BadInput(f"--precision {self.precision!r}: {', '.join(PRECISIONS)} are expected")
        if self.recipe not in EDITIONS:
            raise BadInput(f"--recipe {self.recipe!r}: {' or '.join(EDITIONS)} is expected")
        if self.epochs is not None and self.steps is not None:
            raise BadInput("--epochs and --steps are two ways to say one thing: give one")
        for name, value, least in (
            ("seed", self.seed, 0), ("threads", self.threads, 0), ("workers", self.workers, 0),
            ("epochs", self.epochs, 1), ("steps", self.steps, 1), ("batch", self.batch, 1),
        ):  # fmt: skip
            if value is not None and value < least:
                raise BadInput(f"--{name} {value}: at least {least} is expected")
        if self.minutes is not None and not self.minutes > 0:
            raise BadInput(f"--minutes {self.minutes:g}: more than 0 is expected")

    def identity(self, **further: Any) -> dict[str, Any]:
        """The arguments that decide what comes out, for `Run`: a run may only be resumed with the same ones.

        `further` are the recipe's own (its resolved options, the size of the network). Where the data lie, the device,
        threads, workers and minutes are left out; seed, steps and the data set's digest are added by `Run`.
        """
        return {
            "task": self.task,
            "recipe": self.recipe,
            "precision": self.precision,
            "init": None if self.init is None else _digest(self.init),
            **further,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingResult:
    """What a recipe gives back: the run's folder, the package's if one was published, the metrics.

    `stopped_at` is the step at which a signal stopped it; None when it came to its end.
    """

    folder: Path
    package: Path | None = None
    metrics: tuple[Metric, ...] = ()
    stopped_at: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationArguments:
    """What `echonode evaluate` gives: verified packages, data texts as in training, and a folder for figures or None.

    `scratch` is a folder for copies of the archive's objects, removed at the end; without one the archive is not read.
    """

    task: str
    packages: tuple[Package, ...]
    data: tuple[str, ...]
    figures: Path | None = None
    scratch: Path | None = None
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    batch: int | None = None
    workers: int = 0
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Tables by title, figures that were written, the metrics of each package by its name, and further plain values."""

    tables: Mapping[str, Table]
    metrics: Mapping[str, tuple[Metric, ...]] = field(default_factory=dict)
    figures: tuple[Path, ...] = ()
    further: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Everything as values that JSON knows."""
        return {
            "tables": tables_as_json(self.tables),
            "metrics": {name: [metric.model_dump(mode="json") for metric in metrics]
                        for name, metrics in self.metrics.items()},
            "figures": [str(path) for path in self.figures],
            **self.further,
        }  # fmt: skip


def _digest(file: Path) -> str:
    from echonode.registry.verify import sha256_of

    if not file.is_file():
        raise BadInput(f"{file}: no such file; --init takes a checkpoint or a safetensors file")
    return sha256_of(file)
