"""Packages that recipes made earlier, for a recipe that builds on one or publishes its networks beside its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.registry.manifest import Trained
from echonode.registry.verify import read_manifest, verify


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedPackage:
    """A verified package and the run that made it."""

    package: Package
    trained: Trained
    trained_on: str


def trained_package(folder: Path, *, task: str) -> TrainedPackage:
    """The verified package in `folder`.

    Raises:
        BadInput: it is of another task, or no recipe made it.
        PackageInvalid: its manifest or a digest is wrong.
    """
    package, manifest = verify(folder), read_manifest(folder)
    if package.task != task:
        raise BadInput(f"{folder}: is a package for {package.task}, not for {task}")
    if manifest.trained is None:
        raise BadInput(f"{folder}: was not made by a recipe, so nobody could say what its networks learned from")
    return TrainedPackage(package=package, trained=manifest.trained, trained_on=manifest.trained_on)
