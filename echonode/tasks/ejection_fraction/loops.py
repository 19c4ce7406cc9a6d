"""Loops at the size that training takes, made once and kept: simulated hearts recorded, files decoded and cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip
from echonode.core.identity import digest_of
from echonode.core.results import Ineligible
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.dicom.video import read_video
from echonode.phantom.cohort import Cohort, LoopPlan
from echonode.phantom.patient import patient as drawn_patient
from echonode.phantom.tissue import Label
from echonode.tasks.common.instants import frames_by_time, loop_ms
from echonode.tasks.common.kept_files import Arrays, kept_files
from echonode.tasks.common.sector import Scene
from echonode.tasks.common.sector_pictures import pixel_aspect, scene_of, sector_pictures, squared
from echonode.tasks.ejection_fraction.prepare import echonet_pictures

VIEW: Final = "A4C"
VIDEOS: Final = (".avi", ".mp4")
LEAST_EF, MOST_EF = 15.0, 75.0
LONGEST: Final = 128
FORMAT: Final = 1
_SPREAD_STREAM: Final = 611
_LIMITS: Final = LimitsSection()


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How loops are kept: `frames` of `side` x `side` every `period_ms` (by time), or whole videos as the authors cut them.

    `scale`: the share of the simulated scanner's raster that is recorded. `spread`: simulated patients get an ejection
    fraction drawn evenly from 15 to 75 %, in the place of their cohort's.
    """

    by_time: bool = True
    side: int = 96
    frames: int = 30
    period_ms: float = 50.0
    scale: float = 0.4
    spread: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where one loop comes from: a study of a simulated cohort, or a file with its digest."""

    phantom: tuple[str, int] | None = None
    file: Path | None = None
    sha256: str = ""

    @property
    def name(self) -> dict[str, Any]:
        """What names the loop: study n is the same in a cohort of any size, a file is its digest."""
        study = None
        if self.phantom is not None:
            cohort = Cohort.parse(self.phantom[0])
            study = [cohort.seed, cohort.preset, self.phantom[1]]
        return {"phantom": study, "sha256": self.sha256}

    def place(self, folder: Path, form: Form) -> Path:
        """The file in a cache that holds this loop in that form."""
        known = {"format": FORMAT, "form": asdict(form), **self.name}
        return folder / f"{digest_of(known)[:40]}.npz"


def kept(
    origins: Sequence[Origin], form: Form, *, folder: Path, workers: int = 1,
    told: Callable[[int, int], None] | None = None,
) -> list[Path | str]:  # fmt: skip
    """The file of each loop in the cache `folder`, or the reason why there is none; what is missing is made first.

    A file holds `pictures` uint8 (T, side, side), `ef` in percent, NaN where the list has it, and of a simulated heart
    `cavity` uint8 (T, side / 2, side / 2), the share of LV cavity, 255 for all, and `volume_ml` (T,).

    Raises:
        BadInput: the folder cannot be written.
    """
    places = [origin.place(folder, form) for origin in origins]
    return kept_files(partial(_made, form=form), origins, places, folder=folder, workers=workers, told=told)


def four_chamber(phantom: tuple[str, int], *, spread: bool) -> LoopPlan | None:
    """The plan of the first grey apical four-chamber loop of a simulated study; None where it records none."""
    text, number = phantom
    study = Cohort.parse(text)[number]
    plan = next((plan for plan in study.loops if plan.view == VIEW and not plan.colour), None)
    if plan is None or not spread:
        return plan
    share = np.random.Generator(np.random.PCG64(np.random.SeedSequence([plan.patient.seed, _SPREAD_STREAM]))).random()
    other = drawn_patient(seed=plan.patient.seed, ef_percent=round(float(LEAST_EF + (MOST_EF - LEAST_EF) * share), 1))
    return replace(plan, patient=other)


def read_loop(file: Path) -> Clip:
    """The frames of a DICOM file or a video.

    Raises:
        EchonodeError: it cannot be decoded.
    """
    if file.suffix.lower() in VIDEOS:
        return read_video(file, limits=_LIMITS)
    return read_clip(file, limits=_LIMITS)


def _made(origin: Origin, *, form: Form) -> Arrays | str:
    """The arrays of one loop, or the reason why there are none."""
    return _simulated(origin.phantom, form) if origin.phantom is not None else _recorded(origin.file, form)


def _simulated(phantom: tuple[str, int], form: Form) -> Arrays | str:
    plan = four_chamber(phantom, spread=form.spread)
    if plan is None:
        return f"{phantom[0]}: records no grey apical four-chamber loop"
    machine = plan.machine
    if not form.by_time:
        loop = plan.acquire(labels=False)
        return {
            "pictures": echonet_pictures(loop.frames, range(len(loop.frames)), side=form.side),
            "ef": np.array(plan.patient.ef_percent, np.float64),
        }
    # Frames further apart than the scanner's remember less of each other.
    memory = machine.persistence ** (form.period_ms / plan.frame_time_ms) if machine.persistence > 0 else 0.0
    loop = replace(plan, machine=replace(machine, persistence=min(memory, machine.persistence))).acquire(
        frames=form.frames, frame_time_ms=form.period_ms,
        rows=round(machine.rows * form.scale), columns=round(machine.columns * form.scale),
    )  # fmt: skip
    clip = Clip(frames=loop.frames, times_ms=loop.times_ms, regions=loop.regions)
    scene = scene_of(clip, colour=False)
    if isinstance(scene, Ineligible) or loop.labels is None:
        return f"{phantom[0]}, study {phantom[1]}: {scene.reason if isinstance(scene, Ineligible) else 'no labels'}"
    return {
        "pictures": sector_pictures(clip, scene, range(form.frames), side=form.side),
        "cavity": _cavity(loop.labels, clip, scene, side=form.side // 2),
        "volume_ml": np.asarray(loop.truth.volumes_ml, np.float32),
        "ef": np.array(plan.patient.ef_percent, np.float64),
    }


def _cavity(labels: NDArray[np.uint8], clip: Clip, scene: Scene, *, side: int) -> NDArray[np.uint8]:
    """How much of each pixel of the small pictures is LV cavity, cut as the pictures are."""
    rows, columns = scene.box(margin=0)
    aspect = pixel_aspect(clip.regions, shape=scene.sector.shape)
    inside = np.where(labels[:, rows, columns] == Label.LV, 255, 0).astype(np.uint8)
    return np.stack([squared(np.ascontiguousarray(each), side=side, aspect=aspect) for each in inside])


def _recorded(file: Path | None, form: Form) -> Arrays | str:
    if file is None:
        return "neither a simulated study nor a file"
    clip = read_loop(file)
    if len(clip.frames) < 2:
        return f"{file.name}: is a still image"
    if not form.by_time:
        pictures = (
            clip.frames[..., 0] if clip.frames.shape[1:3] == (form.side, form.side)
            else echonet_pictures(clip.frames, range(len(clip.frames)), side=form.side)
        )  # fmt: skip
        return {"pictures": pictures, "ef": np.array(np.nan, np.float64)}
    scene = scene_of(clip, colour=False)
    if isinstance(scene, Ineligible):
        return f"{file.name}: {scene.reason}"
    count = min(LONGEST, max(form.frames, int(loop_ms(clip.times_ms) / form.period_ms)))
    shown = frames_by_time(clip.times_ms, start_ms=0.0, period_ms=form.period_ms, count=count)
    return {"pictures": sector_pictures(clip, scene, shown, side=form.side), "ef": np.array(np.nan, np.float64)}
