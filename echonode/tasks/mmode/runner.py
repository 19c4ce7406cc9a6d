"""M-mode clips to measurements of the left ventricle, beat by beat, or the reason why there are none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.clip import Clip
from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.core.results import Details, Ineligible, Picture, Result
from echonode.core.task import Progress
from echonode.tasks.common.checkpoint import load_weights, shapes_of
from echonode.tasks.common.devices import open_device
from echonode.tasks.common.uncertainty import Limits, limits_of
from echonode.tasks.mmode import clinical, published, tracing
from echonode.tasks.mmode.compact import COMPACT, JUDGED, Judge, LevelNet, Tracer, build_compact
from echonode.tasks.mmode.compact_networks import CompactNetworks
from echonode.tasks.mmode.ecg import Ecg, ecg_of
from echonode.tasks.mmode.examination import Examination
from echonode.tasks.mmode.grid import Gridded
from echonode.tasks.mmode.net import CardioNet, QuickNat, build
from echonode.tasks.mmode.networks import MODES, PRECISIONS, NetworkMode, Networks, Sampling
from echonode.tasks.mmode.outcome import LIMITED, results_of
from echonode.tasks.mmode.picture import picture_of
from echonode.tasks.mmode.prepare import PREPARATIONS, Preparation, strip_of
from echonode.tasks.mmode.quality import GOOD
from echonode.tasks.mmode.species import SPECIES, Species, species_of
from echonode.tasks.mmode.windows import resized

SAMPLES_MOST: Final = 64
Network = TypeVar("Network")
COLUMNS_KEPT: Final = 4096
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
    weights: dict[str, Mapping[str, torch.Tensor]] = {}
    for role, architecture in package.architecture.items():
        path = package.weights.get(role)
        if path is None:
            raise PackageInvalid(f"{package.name}: no weights file for its network {role}")
        weights[role] = load_weights(path, shapes_of(_built(package, architecture)))
    return open_networks(package, weights, device=device, threads=threads)


def open_networks(
    package: Package, weights: Mapping[str, Mapping[str, torch.Tensor]], *, device: str, threads: int
) -> MModeRunner:
    """The runner of a package whose weights are at hand: checked tensors for each role.

    Raises:
        PackageInvalid: its architecture, mode or preparation is none of this task's.
    """
    cv2.setNumThreads(max(1, threads))
    place = open_device(device, threads=threads)
    found = []
    for role, architecture in sorted(package.architecture.items()):
        network = _built(package, architecture)
        network.load_state_dict(dict(weights[role]))
        found.append(network)
    if not found:
        raise PackageInvalid(
            f"{package.name}: mmode needs a network of architecture quicknat, cardionet or {', '.join(COMPACT)}"
        )
    segmenter = _only(package, [one for one in found if isinstance(one, QuickNat)], "segmentation network")
    tracer = _only(package, [one for one in found if isinstance(one, Tracer)], "network of boundaries")
    if segmenter is not None and tracer is not None:
        raise PackageInvalid(f"{package.name}: a second segmentation network; one strip has one outline")
    compact = CompactNetworks(
        tracer=tracer,
        level=_only(package, [one for one in found if isinstance(one, LevelNet)], "network for the level"),
        judges=[one for one in found if isinstance(one, Judge)],
        device=place,
    )
    usual = Settings(
        preparation=cast(Preparation, _one_of(package, "preparation", package.preparation, PREPARATIONS)),
        mode=cast(NetworkMode, _one_of(package, "mode", package.config.get("mode", "reference"), MODES)),
        species=None,
        body_mass=None,
    )
    precision = PRECISIONS[_one_of(package, "precision", package.config.get("precision", "float32"), tuple(PRECISIONS))]
    networks = Networks(
        segmenter=segmenter,
        judges=[one for one in found if isinstance(one, CardioNet)],
        device=place,
        sampling=_sampling(package),
        precision=precision,
    )
    species = tuple(str(name) for name in package.input.get("species") or ())
    known = {name: limits_of(package, called) for name, called in LIMITED.items()}
    limits = {name: found for name, found in known.items() if found is not None}
    return MModeRunner(networks, usual=usual, species=species, compact=compact, limits=limits)


class MModeRunner:
    """A Runner. Parameters: `species` (mouse, human), `body_mass_g`, `preparation`, `mode`, `ecg` (False: R waves
    from the motion alone); all may be left out. `limits`: 95 % limits by the names of `LIMITED`."""

    def __init__(
        self, networks: Networks, *, usual: Settings, species: Sequence[str], compact: CompactNetworks | None = None,
        limits: Mapping[str, Limits] | None = None,
    ) -> None:  # fmt: skip
        self._networks, self._usual, self._species = networks, usual, tuple(species)
        self._limits = dict(limits or {})
        self._compact = compact or CompactNetworks(tracer=None, level=None, judges=(), device=networks.device)

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        """For each clip in order: measurements, a label map, a picture and details, with an Ineligible for what there is
        not; or one Ineligible alone, where nothing was read."""
        found: list[tuple[Result, ...]] = []
        for index, (clip, asked) in enumerate(zip(clips, parameters, strict=True)):
            told = _Told(progress, clip=index, clips=len(clips))
            examination = self.examine(clip, asked, told)
            if isinstance(examination, Ineligible):
                found.append((examination,))
            else:
                found.append((*self.results(clip, examination), Details(values=kept_details(examination))))
            told.done()
        return found

    def results(self, clip: Clip, examination: Examination) -> tuple[Result, ...]:
        """What was read from a clip as values that can become DICOM objects, the annotated strip among them."""
        count, rows, columns = clip.frames.shape[:3]
        results = results_of(examination, frames=count, rows=rows, columns=columns, limits=self._limits)
        drawn: tuple[Picture, ...] = (picture_of(clip, examination, results),)
        return (*results, *drawn)

    def joined(self, further: MModeRunner) -> MModeRunner:
        """A runner with the networks of both and the settings of this one.

        Raises:
            PackageInvalid: both have a segmenter.
        """
        if (self._compact.tracer is not None and further._networks.segments) or (
            further._compact.tracer is not None and self._networks.segments
        ):
            raise PackageInvalid("a second segmentation network; one strip has one outline")
        return MModeRunner(
            self._networks.joined(further._networks), usual=self._usual, species=self._species,
            compact=self._compact.joined(further._compact), limits=self._limits,
        )  # fmt: skip

    def examine(self, clip: Clip, parameters: Mapping[str, Any], progress: Progress) -> Examination | Ineligible:
        """Everything that was read from one clip, or why nothing was."""
        settings = _settings(parameters, self._usual)
        if isinstance(settings, Ineligible):
            return settings
        species = self._species_of(settings)
        if isinstance(species, Ineligible):
            return species
        small = not self._networks.segments and not self._compact.empty
        if small and (settings.preparation, settings.mode) != ("clinical", "reference"):
            return Ineligible(
                reason="these networks run in the clinical preparation and in mode reference alone", code="parameters"
            )
        strip = strip_of(clip, preparation=settings.preparation)
        if isinstance(strip, Ineligible):
            return strip
        ecg = Ecg()
        if parameters.get("ecg", True) is not False and settings.preparation == "clinical":
            ecg = ecg_of(clip.frames, strip.calibration, places=strip.places, regions=clip.regions, species=species)
        if small:
            return tracing.examine(
                strip, self._compact, self._networks, species=species, body_mass=settings.body_mass,
                told=lambda: progress(1, 2), ecg=ecg,
            )  # fmt: skip
        done = 0
        passes = self._networks.sampling.samples if settings.mode == "mc" else 1
        height, length = strip.grey.shape
        expected = passes * max(1, 1 + -(-length // max(1, int(height * (1 - clinical.OVERLAP)))))

        def told() -> None:
            nonlocal done
            done += 1
            progress(min(done, expected), expected)

        if settings.preparation == "published":
            return published.examine(
                strip, self._networks, mode=settings.mode, species=species, body_mass=settings.body_mass, told=told
            )
        return clinical.examine(
            strip, self._networks, mode=settings.mode, species=species, body_mass=settings.body_mass, told=told, ecg=ecg
        )

    @property
    def judges(self) -> bool:
        """Whether it has small networks that judge stretches of a strip on the grid."""
        return bool(self._compact.judges)

    @property
    def traces_windows(self) -> bool:
        """Whether it outlines the cavity in a window without a scale."""
        return self._networks.segments or self._compact.tracer is not None

    def judged(self, grid: Gridded) -> list[tuple[int, float]]:
        """First column and probability of each stretch of a strip on the grid."""
        return [(number * JUDGED, float(value)) for number, value in enumerate(self._compact.good(grid))]

    def window_mask(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """The cavity in a window (H, W) that has no scale."""
        if self._compact.tracer is not None:
            walls = self._compact.trace(Gridded(picture=picture, millimetres=1.0, seconds=0.01, stretch=1.0)).walls
            rows = np.arange(picture.shape[0])[:, None]
            return np.asarray((rows >= walls[1]) & (rows <= walls[2]), np.bool_)
        seen = resized(picture.astype(np.float64))
        (answers,) = self._networks.cavity([seen], mode="reference", preparation="clinical", told=lambda: None)
        size = (picture.shape[1], picture.shape[0])
        return np.asarray(cv2.resize(answers[0], size, interpolation=cv2.INTER_LINEAR) > GOOD, np.bool_)

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


def kept_details(examination: Examination) -> dict[str, Any]:
    """What is kept with the results: everything as JSON values, but no diameter for each of very many columns."""
    details = examination.as_dict()
    if details["lvid_mm"] is not None and len(details["lvid_mm"]) > COLUMNS_KEPT:
        details["lvid_mm"] = None
    return details


def _built(package: Package, architecture: str) -> CardioNet | QuickNat | Tracer | LevelNet | Judge:
    try:
        if architecture in COMPACT:
            widths = (package.config.get("widths") or {}).get(architecture)
            return build_compact(architecture, **({} if widths is None else {"widths": widths}))
        return build(architecture)
    except ValueError as error:
        raise PackageInvalid(f"{package.name}: {error}") from error


def _only(package: Package, found: Sequence[Network], what: str) -> Network | None:
    if len(found) > 1:
        raise PackageInvalid(f"{package.name}: a second {what}; one strip has one outline")
    return found[0] if found else None


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
