"""A run's weights as a model package: safetensors, manifest and card, the same bytes each time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from echonode import __version__
from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.registry.card import manifest_toml, model_card
from echonode.registry.manifest import Manifest, Metric, Trained
from echonode.registry.verify import CARD_FILE, MANIFEST_FILE, sha256_of, verify
from echonode.training.arguments import TrainingArguments
from echonode.training.atomic import sync
from echonode.training.run import Run
from echonode.training.statistics import Interval
from echonode.training.table import Table

Tensors = Mapping[str, torch.Tensor]


def publish(
    run: Run,
    arguments: TrainingArguments,
    *,
    recipe: str,
    manifest: Mapping[str, Any],
    weights: Mapping[str, Tensors],
    steps: int,
    metrics: Sequence[Metric] = (),
    tables: Mapping[str, Table] | None = None,
    words: Mapping[str, Sequence[str]] | None = None,
    half: Collection[str] = (),
    seeds: Sequence[int] = (),
) -> Path | None:
    """The folder of the package `arguments.models / arguments.name`; None without a name and in all but the first process.

    `manifest` holds the fields of registry.manifest.Manifest that the recipe knows (task, title, architecture, config,
    input, output, trained_on, version); name, weights, simulated, trained and metrics are filled in. `weights` maps a
    file's stem to tensors; those of the stems in `half` are kept as float16. `tables` and `words` (lines of Markdown)
    become sections of the card, by title. A package of that name with the same manifest is left as it is.

    Raises:
        BadInput: another package of that name is there, or the manifest is not sound; nothing is left behind.
    """
    if arguments.name is None or not run.first:
        return None
    into, name = arguments.models, arguments.name
    into.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".publish-", dir=into))
    try:
        part = scratch / name
        part.mkdir()
        listed = []
        for stem in sorted(weights):
            file = part / f"{stem}.safetensors"
            save_file(_kept(weights[stem], half=stem in half), file)
            listed.append({"file": file.name, "sha256": sha256_of(file)})
        content = {
            "version": "1", **manifest, "name": name, "weights": listed, "metrics": [each.model_dump() for each in metrics],
            "simulated": run.dataset is not None and run.dataset.simulated,
            "trained": _trained(run, recipe=recipe, steps=steps, seeds=seeds or (run.seed,)),
        }  # fmt: skip
        checked = _checked(content)
        (part / MANIFEST_FILE).write_text(manifest_toml(checked), encoding="utf-8")
        sections = {title: table.markdown() for title, table in (tables or {}).items()}
        told = {**_began(arguments), **{title: list(lines) for title, lines in (words or {}).items()}}
        card = model_card(checked, further={**sections, **told})
        (part / CARD_FILE).write_text(card, encoding="utf-8")
        for path in (*part.iterdir(), part):
            sync(path)
        package = verify(part)
        return _placed(package, into / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def as_half(state: Tensors) -> dict[str, torch.Tensor]:
    """The numbers that a package of float16 gives back, on the CPU: what is tested is what is shipped."""
    return {
        name: value.detach().cpu().half().float() if value.is_floating_point() else value.detach().cpu()
        for name, value in state.items()
    }


def metric(
    name: str,
    interval: Interval,
    *,
    on: str,
    unit: str = "",
    locked: bool = False,
) -> Metric:
    """A manifest's metric of a value with its interval; an interval that is not finite is left out."""
    low, high = (
        None if value != value or abs(value) == float("inf") else value for value in (interval.low, interval.high)
    )
    return Metric(name=name, value=interval.value, low=low, high=high, unit=unit, n=interval.n, on=on, locked=locked)


def _kept(tensors: Tensors, *, half: bool) -> dict[str, torch.Tensor]:
    """On the CPU, contiguous, each with memory of its own; floats as float32, or float16."""
    kept = {}
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        if tensor.is_floating_point():
            tensor = tensor.to(torch.float16 if half else torch.float32)
            if not bool(torch.isfinite(tensor).all()):
                raise BadInput(f"weights {name}: hold values that are no finite number{' as float16' if half else ''}")
        kept[name] = tensor.clone(memory_format=torch.contiguous_format)
    return kept


def _began(arguments: TrainingArguments) -> dict[str, list[str]]:
    """A section on the weights that training began from, where those were no chance."""
    begun = arguments.identity()["init"]
    return {} if begun is None else {"What it began from": [f"Weights of a file (`--init`) of SHA-256 `{begun}`."]}


def _trained(run: Run, *, recipe: str, steps: int, seeds: Sequence[int]) -> dict[str, Any]:
    if run.dataset is None:
        raise BadInput("a run without a data set manifest cannot be published: nobody could say what it learned from")
    return Trained(
        recipe=recipe, dataset=run.dataset.name, dataset_sha256=run.dataset.digest, run_sha256=run.digest,
        seeds=tuple(seeds), steps=steps, echonode=__version__, torch=torch.__version__.partition("+")[0],
    ).model_dump()  # fmt: skip


def _checked(content: Mapping[str, Any]) -> Manifest:
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        complaint = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in complaint["loc"])
        raise BadInput(f"package {content['name']}: {key}: {complaint['msg']}") from error


def _placed(package: Package, target: Path) -> Path:
    if os.path.lexists(target):
        same = (target / MANIFEST_FILE).is_file() and (target / MANIFEST_FILE).read_bytes() == (
            package.folder / MANIFEST_FILE
        ).read_bytes()
        if same:
            return target
        raise BadInput(f"{target}: there is already another model of that name; choose another or remove it first")
    package.folder.rename(target)
    sync(target.parent)
    verify(target)
    return target
