"""What the three recipes of M-mode share: first weights, networks published together, the locked test, the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file

from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.tasks.common.checkpoint import checked_state, load_published, load_weights, shapes_of
from echonode.tasks.mmode.dataset import Cache
from echonode.tasks.mmode.evaluation import Tested, held_out
from echonode.tasks.mmode.runner import open_networks
from echonode.training.arguments import TrainingArguments, TrainingResult
from echonode.training.dataset import DatasetManifest, Split
from echonode.training.packages import trained_package
from echonode.training.publish import as_half, publish
from echonode.training.run import Run
from echonode.training.sources import described

INPUT: Final[Mapping[str, Any]] = {
    "modes": ["m-mode"], "frames_min": 1, "colour": False, "calibrated": True, "species": ["human"], "tte_only": True,
}  # fmt: skip
TASK: Final = "mmode"
LICENCE: Final = "that of echonode"


@dataclass(frozen=True, kw_only=True, slots=True)
class Others:
    """Networks of other packages that are published with a run's own: roles, widths, weights, and words on where from."""

    architecture: Mapping[str, str] = field(default_factory=dict)
    widths: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, torch.Tensor]] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    words: tuple[str, ...] = ()


def beside(folders: tuple[str, ...]) -> Others:
    """The networks of verified packages of this task.

    Raises:
        BadInput: a package of another task, a role twice, or one that was not trained here.
    """
    architecture: dict[str, str] = {}
    widths: dict[str, Any] = {}
    weights: dict[str, Mapping[str, torch.Tensor]] = {}
    seeds: list[int] = []
    words: list[str] = []
    for folder in folders:
        found = trained_package(Path(folder), task=TASK)
        package, trained = found.package, found.trained
        for role, name in package.architecture.items():
            if role in architecture:
                raise BadInput(f"--set beside: two packages have a network {role}")
            architecture[role], weights[role] = name, load_file(package.weights[role])
        widths |= dict(package.config.get("widths") or {})
        seeds += trained.seeds
        words.append(
            f"* {', '.join(sorted(package.architecture))}: recipe {trained.recipe}, {trained.steps} steps, seeds "
            f"{', '.join(str(seed) for seed in trained.seeds)}, run {trained.run_sha256[:16]}, on {found.trained_on}"
        )
    return Others(architecture=architecture, widths=widths, weights=weights, seeds=tuple(seeds), words=tuple(words))


def initial(network: torch.nn.Module, file: Path | None, *, key: str | None = None) -> None:
    """Put the weights of --init into a network: a safetensors file, or a checkpoint with the state dict under `key`.

    Raises:
        CheckpointRefused: they do not fit.
    """
    if file is None:
        return
    shapes = shapes_of(network)
    if file.suffix == ".safetensors":
        network.load_state_dict(load_weights(file, shapes))
        return
    content = load_published(file)
    state = content.get(key, content) if key is not None else content
    network.load_state_dict(checked_state(state, shapes, where=file.name))


def tested_and_published(
    run: Run,
    arguments: TrainingArguments,
    *,
    recipe: str,
    steps: int,
    manifest: Mapping[str, Any],
    weights: Mapping[str, Mapping[str, torch.Tensor]],
    others: Others,
    data: DatasetManifest,
    cache: Cache,
    whole: bool | None,
) -> TrainingResult:
    """Test the networks as they will be published, rounded to float16, on what is held out; then write the package.

    `whole`: sweeps as large as a scanner sends them, or half as large; None tests nothing. Only the first process tests and
    writes.
    """
    if not run.first:
        return TrainingResult(folder=run.folder)
    kept = {role: as_half(state) for role, state in {**weights, **others.weights}.items()}
    config = dict(manifest.get("config") or {})
    widths = {**others.widths, **(config.get("widths") or {})}
    content = {
        **manifest,
        "architecture": {**others.architecture, **manifest["architecture"]},
        "config": {**config, **({"widths": widths} if widths else {})},
        "preparation": "clinical",
        "evaluated": ["clinical"],
        "licence": LICENCE if data.simulated else "not stated",
        "trained_on": in_words(data),
    }
    found = Tested()
    if whole is not None and data.by_split()[Split.TEST]:
        networks = open_networks(_package(content), kept, device=str(run.device), threads=arguments.threads)
        found = held_out(networks, data, cache, whole=whole, seed=arguments.seed, on=_held_out_words(arguments, data))
    package = publish(
        run, arguments, recipe=recipe, weights=kept, half=tuple(kept), steps=steps, manifest=content,
        metrics=found.metrics, tables=found.tables, seeds=(run.seed, *others.seeds),
        words={"Networks of other runs in this package": list(others.words)} if others.words else {},
    )  # fmt: skip
    return TrainingResult(folder=run.folder, package=package, metrics=found.metrics)


def in_words(data: DatasetManifest) -> str:
    """What a model learned from, for its card."""
    source = data.learned_from
    return f"simulated hearts of echonode's phantom ({source}), no patient" if data.simulated else source


def _held_out_words(arguments: TrainingArguments, data: DatasetManifest) -> str:
    if arguments.test_data:
        return "; ".join(described(text) for text in arguments.test_data)
    return f"the test patients of {data.source}"


def _package(content: Mapping[str, Any]) -> Package:
    return Package(
        name="under test", version="0", task=TASK, title="under test", folder=Path(), digest="",
        architecture=content["architecture"], config=content["config"], input=content["input"],
    )  # fmt: skip
