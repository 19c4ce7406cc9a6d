"""The manifest of a model package: `models/<name>/manifest.toml`. Data, never code."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from echonode.core.clip import Mode
from echonode.core.settings import Section

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


class Weights(Section):
    """[[weights]]: one safetensors file of the package."""

    file: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.safetensors$", description="file name inside the package's folder"
    )
    sha256: Sha256 = Field(description="digest of that file")


class Source(Section):
    """[source]: where imported weights come from."""

    kind: str = Field(description="checkpoint layout: superslomo, coreecho")
    file: str = Field(description="name of the file that was imported")
    sha256: Sha256 = Field(description="digest of that file")
    licence: str = Field("not stated", description="licence of the weights as the user states it")
    further: tuple[str, ...] = Field((), description="further files of the same import, each with its digest")


class InputContract(Section):
    """[input]: what the model takes; everything else is refused with a reason."""

    modes: tuple[Mode, ...] = Field((), description="modes it takes; any when empty")
    views: tuple[str, ...] = Field((), description="views it takes; any when empty")
    frames_min: int = Field(1, ge=1, description="frames, at least")
    frame_gap_ms_max: float | None = Field(None, gt=0, description="longest time between two frames")
    calibrated: bool = Field(False, description="whether a calibrated region is needed")
    colour: bool = Field(True, description="whether colour Doppler is allowed")
    species: tuple[str, ...] = Field(("human",), description="species it was made for")
    age_years_min: float | None = Field(None, ge=0, description="patient's age, at least")
    age_years_max: float | None = Field(None, ge=0, description="patient's age, at most")
    tte_only: bool = Field(False, description="whether it was made for transthoracic echo alone")
    frames_per_beat_min: int | None = Field(None, ge=1, description="frames a heart beat, at least")


class Output(Section):
    """[[output]]: one thing that the model gives."""

    name: str = Field(description="what comes out: loop, ejection_fraction")
    unit: str = Field("", description="UCUM unit; empty for pictures")


class Trained(Section):
    """[trained]: the run of `echonode train` that made the weights, so that it can be made again."""

    recipe: str = Field(description="name of the recipe: slow-motion")
    dataset: str = Field(description="name of the data set")
    dataset_sha256: Sha256 = Field(description="digest of the frozen data set manifest: files, labels and split")
    run_sha256: Sha256 = Field(description="digest of the run's identity: recipe, arguments that matter, data set")
    seeds: tuple[int, ...] = Field((), description="seed of each run whose weights are in the package")
    steps: int = Field(ge=0, description="optimiser steps until these weights")
    echonode: str = Field("", description="version of echonode that trained it")
    torch: str = Field("", description="version of torch that trained it")


class Metric(Section):
    """[[metrics]]: one number with its interval, and what it was measured on."""

    name: str = Field(min_length=1, description="what was measured: EF MAE")
    value: float = Field(description="the number")
    low: float | None = Field(None, description="lower end of its 95 % interval")
    high: float | None = Field(None, description="upper end of its 95 % interval")
    unit: str = Field("", description="UCUM unit; empty for a number without one")
    n: int = Field(ge=1, description="how many (studies, loops, patients) it was measured on")
    on: str = Field(min_length=1, description="what it was measured on, in words")
    locked: bool = Field(False, description="whether nothing of it was seen in training or selection")


class Manifest(Section):
    """A model package's manifest.toml."""

    schema_version: Literal[1] = Field(1, description="version of this schema")
    name: Name = Field(description="the package's name; its folder has the same")
    version: str = Field(min_length=1, max_length=32, description="version of the model")
    task: str = Field(description="task that runs it: slow_motion")
    title: str = Field(min_length=1, max_length=64, description="for people")
    architecture: dict[str, str] = Field(
        default_factory=dict, description="role -> architecture name; empty when the model has no network"
    )
    config: dict[str, Any] = Field(
        default_factory=dict, description="constructor arguments and constants: means, warp convention"
    )
    preparation: str = Field(
        "clinical", description="how frames become tensors: published, as the authors did it; clinical, by time"
    )
    evaluated: tuple[str, ...] = Field((), description="preparation modes that it was evaluated in")
    weights: tuple[Weights, ...] = Field((), description="weights files; none for a classical method")
    input: InputContract = Field(default_factory=InputContract, description="what it takes")
    output: tuple[Output, ...] = Field((), description="what it gives")
    source: Source | None = Field(None, description="where imported weights come from")
    trained_on: str = Field(
        min_length=1, description="what it was trained on, in words; `nothing` for a classical method"
    )
    simulated: bool = Field(
        False, description="trained on simulated data alone; runs on patients only if node.toml says so"
    )
    trained: Trained | None = Field(None, description="the training run that made it; none for an import")
    metrics: tuple[Metric, ...] = Field((), description="what was measured, each with its interval")
    intended_use: str = Field("research use only, not for diagnosis", min_length=1, description="what it is for")
    licence: str = Field("not stated", description="licence of the package")

    @property
    def evaluation(self) -> str:
        """Whether it was evaluated in the preparation mode that it runs in, in words."""
        if self.preparation in self.evaluated:
            return f"evaluated in mode {self.preparation}"
        others = f"; evaluated in mode {', '.join(self.evaluated)} alone" if self.evaluated else ""
        return f"never evaluated in mode {self.preparation}, in which it runs{others}"
