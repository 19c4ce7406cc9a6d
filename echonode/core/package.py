"""A verified model package as a value: what a runner is given. Its files are checked by the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """Name, version and folder of a model, its manifest's tables as plain values, and one digest over all of it.

    `digest` is SHA-256 in hex over the manifest's meaning and the weights' digests: it names the model in derived
    UIDs and in provenance. `weights` maps a file's stem (flow, interpolation) to its path.
    """

    name: str
    version: str
    task: str
    title: str
    folder: Path
    digest: str
    architecture: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    input: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Path] = field(default_factory=dict)
    weights_sha256: Mapping[str, str] = field(default_factory=dict)
    preparation: str = "clinical"
    trained_on: str = "not stated"
    intended_use: str = "research use only, not for diagnosis"
    simulated: bool = False
    """Trained on simulated data alone: for a patient it runs only if node.toml says so."""
    metrics: tuple[Mapping[str, Any], ...] = ()
    """What was measured of it: name, value, low, high, unit, n, on, locked. No part of the digest."""
