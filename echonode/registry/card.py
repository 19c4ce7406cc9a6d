"""What a package says of itself to people: MODEL_CARD.md, and the manifest as TOML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from echonode.registry.manifest import InputContract, Manifest, Metric

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def manifest_toml(manifest: Manifest) -> str:
    """The manifest as TOML that reads back to the same manifest; keys at their default are left out."""
    content = manifest.model_dump(mode="json", exclude_defaults=True)
    lines = [f"{key} = {_value(value)}" for key, value in content.items() if not _is_table(value)]
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{key}]", *_pairs(value)]
        elif _is_table(value):
            for item in value:
                lines += ["", f"[[{key}]]", *_pairs(item)]
    return "schema_version = 1\n" + "\n".join(lines) + "\n"


def model_card(manifest: Manifest, *, further: Mapping[str, Sequence[str]] | None = None) -> str:
    """The card: purpose, limits, training, measured errors, origin, licence, in Markdown.

    `further` are sections by title, lines of Markdown; they come after the measured errors.
    """
    contract = manifest.input
    limits = [
        f"- modes: {', '.join(str(mode) for mode in contract.modes) or 'any'}",
        f"- views: {', '.join(contract.views) or 'any'}",
        f"- frames: at least {contract.frames_min}",
        f"- longest time between two frames: {_or(contract.frame_gap_ms_max, 'no limit', ' ms')}",
        f"- colour Doppler: {'allowed' if contract.colour else 'refused'}",
        f"- species: {', '.join(contract.species) or 'any'}",
        *_further_limits(contract),
    ]
    settings = [f"- {key}: {value}" for key, value in manifest.config.items()]
    origin = ["The package has no weights."] if not manifest.weights else []
    if manifest.source is not None:
        origin = [
            f"Imported from `{manifest.source.file}` (layout `{manifest.source.kind}`, SHA-256 "
            f"`{manifest.source.sha256}`). Licence of the weights as stated by who imported them: "
            f"{manifest.source.licence}.",
            *(f"- further file: `{each}`" for each in manifest.source.further),
        ]
    sections = {
        "Intended use": [manifest.intended_use + "."],
        "What it takes": limits,
        "What it gives": [f"- {output.name} {output.unit}".rstrip() for output in manifest.output] or ["- nothing"],
        "How it was trained": _training(manifest),
        **({"Measured errors": _measured(manifest.metrics)} if manifest.metrics else {}),
        **(further or {}),
        "How frames are prepared": [f"Mode {manifest.preparation}. The model was {manifest.evaluation}."],
        "Settings": settings or ["None."],
        "Origin and licence": [*origin, f"Licence of the package: {manifest.licence}."],
    }
    body = "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items())
    return f"# {manifest.title}\n\n`{manifest.name}` version {manifest.version}, task `{manifest.task}`.\n\n{body}\n"


def _training(manifest: Manifest) -> list[str]:
    """What it learned from, and by which run."""
    lines = [f"Trained on: {manifest.trained_on}."]
    if manifest.simulated:
        lines += [
            "",
            "**Trained on simulated data alone.** Its errors on patients are not known. For a patient it runs only if "
            "`models.simulated_on_patients` of node.toml is true.",
        ]
    if (trained := manifest.trained) is not None:
        seeds = ", ".join(map(str, trained.seeds)) or "not stated"
        lines += [
            "",
            f"- recipe: {trained.recipe}, {trained.steps} steps, seed {seeds}",
            f"- data set: {trained.dataset}, digest `{trained.dataset_sha256}`",
            f"- run: digest `{trained.run_sha256}`",
            f"- made with echonode {trained.echonode or 'not stated'}, torch {trained.torch or 'not stated'}",
        ]
    return lines


def _measured(metrics: Sequence[Metric]) -> list[str]:
    """A table of what was measured."""
    lines = ["| measured | value | 95 % interval | n | on |", "| :-- | --: | :-- | --: | :-- |"]
    for metric in metrics:
        known = metric.low is not None and metric.high is not None
        span = f"{metric.low:.4g} to {metric.high:.4g}" if known else ""
        on = metric.on.replace("|", "\\|") + (" (locked)" if metric.locked else "")
        value = f"{metric.value:.4g} {metric.unit}".rstrip()
        lines.append(f"| {metric.name} | {value} | {span} | {metric.n} | {on} |")
    return lines


def _further_limits(contract: InputContract) -> list[str]:
    """The limits that few packages set."""
    youngest, oldest, beat = contract.age_years_min, contract.age_years_max, contract.frames_per_beat_min
    lines = []
    if youngest is not None or oldest is not None:
        lines.append(f"- age: {_or(youngest, 'any', '')} to {_or(oldest, 'any', '')} years")
    if contract.tte_only:
        lines.append("- transthoracic echo alone")
    if beat is not None:
        lines.append(f"- frames a beat: at least {beat}")
    return lines


def _or(value: object, nothing: str, unit: str) -> str:
    return nothing if value is None else f"{value}{unit}"


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))


def _pairs(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None]


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else _string(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _string(value)
        case Mapping():
            return "{ " + ", ".join(_pairs(value)) + " }"
        case Sequence():
            return "[" + ", ".join(_value(item) for item in value) + "]"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _string(text: str) -> str:
    shown = "".join(
        _ESCAPES.get(char) or (f"\\u{ord(char):04x}" if ord(char) < 32 or ord(char) == 127 else char) for char in text
    )
    return f'"{shown}"'
