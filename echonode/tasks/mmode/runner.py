"""M-mode clips to measurements of the left ventricle, beat by beat, or the reason why there are none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import cv2

from echonode.core.clip import Clip
from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.core.results import Ineligible, Result
from echonode.core.task import Progress
from echonode.tasks.common.checkpoint import load_weights, shapes_of
from echonode.tasks.common.devices import open_device
from echonode.tasks.mmode import clinical, published
from echonode.tasks.mmode.examination import Examination
from echonode.tasks.mmode.net import CardioNet, QuickNat, build
from echonode.tasks.mmode.networks import MODES, PRECISIONS, NetworkMode, Networks, Sampling
from echonode.tasks.mmode.outcome import results_of
from echonode.tasks.mmode.prepare import PREPARATIONS, Preparation, strip_of
from echonode.tasks.mmode.species import SPECIES, Species, species_of

SAMPLES_MOST: Final = 64
HEAVIEST: Final = 1_000_000.0  # g


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a run asks for, with the package's values where it does not say."""

    preparation: Preparation
    mode: NetworkMode
    species: str | None
    body_mass: float | None


def open_runner(package: Package, device: str, threads: int) -> MModeRunner:
    """The runner of a verified package; weights are loaded here, once.

    Raises:
        PackageInvalid: its architecture, mode or preparation is none of this task's.
        CheckpointRefused: its weights do not fit the architecture.
    """
    cv2.setNumThreads(max(1, threads))
    segmenter: QuickNat | None = None
    judges: list[CardioNet] = []
    place = open_device(device, threads=threads)
    for role, architecture in sorted(package.architecture.items()):
        network = _loaded(package, role, architecture)
        if isinstance(network, CardioNet):
            judges.append(network)
        elif segmenter is None:
            segmenter = network
        else:
            raise PackageInvalid(f"{package.name}: a second segmentation network; one strip has one outline")
    if segmenter is None and not judges:
        raise PackageInvalid(f"{package.name}: mmode needs a network of architecture quicknat or cardionet")
    usual = Settings(
        preparation=cast(Preparation, _one_of(package, "preparation", package.preparation, PREPARATIONS)),
        mode=cast(NetworkMode, _one_of(package, "mode", package.config.get("mode", "reference"), MODES)),
        species=None,
        body_mass=None,
    )
    precision = PRECISIONS[_one_of(package, "precision", package.config.get("precision", "float32"), tuple(PRECISIONS))]
    networks = Networks(
        segmenter=segmenter, judges=judges, device=place, sampling=_sampling(package), precision=precision
    )
    return MModeRunner(networks, usual=usual, species=tuple(str(name) for name in package.input.get("species") or ()))


class MModeRunner:
    """A Runner. Parameters: `species` (mouse, human), `body_mass_g`, `preparation`, `mode`; all may be left out."""

    def __init__(self, networks: Networks, *, usual: Settings, species: Sequence[str]) -> None:
        self._networks, self._usual, self._species = networks, usual, tuple(species)

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        """Measurements and a label map, or one Ineligible, for each clip in order."""
        found: list[tuple[Result, ...]] = []
        for index, (clip, asked) in enumerate(zip(clips, parameters, strict=True)):
            told = _Told(progress, clip=index, clips=len(clips))
            examination = self.examine(clip, asked, told)
            if isinstance(examination, Ineligible):
                found.append((examination,))
            else:
                count, rows, columns = clip.frames.shape[:3]
                found.append(results_of(examination, frames=count, rows=rows, columns=columns))
            told.done()
        return found

    def joined(self, further: MModeRunner) -> MModeRunner:
        """A runner with the networks of both and the settings of this one.

        Raises:
            PackageInvalid: both have a segmenter.
        """
        return MModeRunner(self._networks.joined(further._networks), usual=self._usual, species=self._species)

    def examine(self, clip: Clip, parameters: Mapping[str, Any], progress: Progress) -> Examination | Ineligible:
        """Everything that was read from one clip, or why nothing was."""
        settings = _settings(parameters, self._usual)
        if isinstance(settings, Ineligible):
            return settings
        species = self._species_of(settings)
        if isinstance(species, Ineligible):
            return species
        strip = strip_of(clip, preparation=settings.preparation)
        if isinstance(strip, Ineligible):
            return strip
        examine = published.examine if settings.preparation == "published" else clinical.examine
        done = 0
        passes = self._networks.sampling.samples if settings.mode == "mc" else 1
        height, length = strip.grey.shape
        expected = passes * max(1, 1 + -(-length // max(1, int(height * (1 - clinical.OVERLAP)))))

        def told() -> None:
            nonlocal done
            done += 1
            progress(min(done, expected), expected)

        return examine(
            strip, self._networks, mode=settings.mode, species=species, body_mass=settings.body_mass, told=told
        )

    def _species_of(self, settings: Settings) -> Species | Ineligible:
        """The recording's species, when it is one that the model was made for."""
        made_for = " or ".join(self._species) or "any species"
        species = species_of(stated=settings.species, body_mass=settings.body_mass)
        if species is None:
            return Ineligible(
                reason=f"the model was made for {made_for}, and nothing tells the species of this recording: state it, "
                "or the body mass",
                code="species",
            )
        if settings.body_mass is not None and settings.body_mass > species.heaviest:
            return Ineligible(reason=f"a body mass of {settings.body_mass:g} g is no {species.name}'s", code="species")
        if self._species and species.name not in self._species:
            return Ineligible(
                reason=f"the model was made for {made_for}; this is a recording of a {species.name}", code="species"
            )
        return species


class _Told:
    """Progress of one clip among several, in thousandths."""

    def __init__(self, progress: Progress, *, clip: int, clips: int) -> None:
        self._progress, self._clip, self._clips = progress, clip, clips

    def __call__(self, done: int, total: int) -> None:
        self._progress(1000 * self._clip + min(999, 1000 * done // max(1, total)), 1000 * self._clips)

    def done(self) -> None:
        self._progress(1000 * (self._clip + 1), 1000 * self._clips)


def _loaded(package: Package, role: str, architecture: str) -> CardioNet | QuickNat:
    try:
        network = build(architecture)
    except ValueError as error:
        raise PackageInvalid(f"{package.name}: {error}") from error
    path = package.weights.get(role)
    if path is None:
        raise PackageInvalid(f"{package.name}: no weights file for its network {role}")
    network.load_state_dict(load_weights(path, shapes_of(network)))
    return network


def _sampling(package: Package) -> Sampling:
    usual = Sampling()
    samples, seed = package.config.get("samples", usual.samples), package.config.get("seed", usual.seed)
    if type(samples) is not int or type(seed) is not int or not 2 <= samples <= SAMPLES_MOST or not 0 <= seed < 2**63:
        raise PackageInvalid(
            f"{package.name}: config.samples is a whole number from 2 to {SAMPLES_MOST}, config.seed one from 0"
        )
    return Sampling(samples=samples, seed=seed)


def _one_of(package: Package, name: str, found: object, offered: Sequence[str]) -> str:
    if found not in offered:
        raise PackageInvalid(f"{package.name}: {name}: {', '.join(offered)} can be had, not {str(found)[:40]!r}")
    return str(found)


def _settings(parameters: Mapping[str, Any], usual: Settings) -> Settings | Ineligible:
    preparation, mode = parameters.get("preparation", usual.preparation), parameters.get("mode", usual.mode)
    species, mass = parameters.get("species"), parameters.get("body_mass_g")
    for name, found, offered in (
        ("preparation", preparation, PREPARATIONS), ("mode", mode, MODES), ("species", species, (None, *SPECIES)),
    ):  # fmt: skip
        if found not in offered:
            words = ", ".join(str(one) for one in offered if one is not None)
            return Ineligible(reason=f"{name}: {words} can be had, not {str(found)[:40]!r}", code="parameters")
    if mass is not None:
        number = float(mass) if isinstance(mass, int | float) and not isinstance(mass, bool) else math.nan
        if not 0 < number <= HEAVIEST:
            return Ineligible(reason=f"body_mass_g: grams are expected, not {str(mass)[:40]!r}", code="parameters")
        mass = number
    return Settings(preparation=preparation, mode=mode, species=species, body_mass=mass)
