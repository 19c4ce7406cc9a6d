"""Loops at the size that training takes, made once and kept: simulated hearts recorded, files decoded and cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip
from echonode.core.identity import digest_of
from echonode.core.results import Ineligible
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.dicom.video import read_video
from echonode.phantom.acquire import Acquisition
from echonode.phantom.cohort import Cohort, LoopPlan
from echonode.phantom.tissue import Label
from echonode.tasks.cmr.hearts import Mixture, examined, narrowing
from echonode.tasks.cmr.prepare import Convention, published
from echonode.tasks.common.instants import frames_by_time, loop_ms
from echonode.tasks.common.kept_files import Arrays, kept_files
from echonode.tasks.common.sector import Scene
from echonode.tasks.common.sector_pictures import pixel_aspect, scene_of, sector_pictures, squared

VIDEOS: Final = (".avi", ".mp4")
TISSUES: Final = (Label.LV, Label.MYOCARDIUM)
"""Whose place a simulated heart tells, in this order."""
TISSUE_SHRINK: Final = 3
FILE_PERIOD_MS: Final = 40.0
LONGEST: Final = 100
FORMAT: Final = 1
_LIMITS: Final = LimitsSection()


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How loops are kept: by time, or as the authors cut them (`published`: one clip of every second frame).

    `scale` is the share of the simulated scanner's raster that is recorded. `frames` and `period_ms` are how a
    simulated heart is recorded for training; 0 frames is as its plan says, as a scanner sends it. `clip_frames` is how
    many frames a published clip has.
    """

    view: str = "A4C"
    mixture: Mixture = Mixture.MIXED
    side: int = 144
    frames: int = 14
    period_ms: float = 90.0
    scale: float = 0.4
    published: bool = False
    clip_frames: int = 16

    @property
    def told(self) -> Mapping[str, object]:
        """What decides how a kept loop looks."""
        return {name: value for name, value in asdict(self).items() if self.published or name != "clip_frames"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where one loop comes from: a study of a simulated cohort, or a file with its digest."""

    phantom: tuple[str, int] | None = None
    file: Path | None = None
    sha256: str = ""

    def place(self, folder: Path, form: Form) -> Path:
        """The file in a cache that holds this loop in that form."""
        study = None
        if self.phantom is not None:  # study n is the same in a cohort of any size
            cohort = Cohort.parse(self.phantom[0])
            study = [cohort.seed, cohort.preset, self.phantom[1]]
        known = {"format": FORMAT, "form": form.told, "phantom": study, "sha256": self.sha256}
        return folder / f"{digest_of(known)[:40]}.npz"


def kept(
    origins: Sequence[Origin], form: Form, *, folder: Path, workers: int = 1,
    told: Callable[[int, int], None] | None = None,
) -> list[Path | str]:  # fmt: skip
    """The file of each loop in the cache `folder`, or the reason why there is none; what is missing is made first.

    A file holds `pictures` uint8 (T, side, side), or (T, side, side, 3) when published, at `times_ms` (T,); and of a
    simulated heart `tissue` uint8 (T, 2, side / 3, side / 3), the share of cavity and muscle, 255 for all, `scores` and
    `narrowing` (7,) of the segments seen, and `ef` in percent.

    Raises:
        BadInput: the folder cannot be written.
    """
    places = [origin.place(folder, form) for origin in origins]
    return kept_files(partial(_made, form=form), origins, places, folder=folder, workers=workers, told=told)


def planned(phantom: tuple[str, int], form: Form) -> LoopPlan | None:
    """The first grey loop of the view in a simulated study, of the heart that is examined; None without one."""
    text, number = phantom
    study = Cohort.parse(text)[number]
    plan = next((plan for plan in study.loops if plan.view == form.view and not plan.colour), None)
    return None if plan is None else replace(plan, patient=examined(plan.patient, form.mixture))


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
    plan = planned(phantom, form)
    if plan is None:
        return f"{phantom[0]}: records no grey loop of {form.view}"
    machine = plan.machine
    if form.published:
        loop = plan.acquire(frames=max(plan.frames, 2 * form.clip_frames), labels=False)
        cut = _published(_clip(loop), form)
        return cut if isinstance(cut, str) else {**cut, **_known(loop, plan)}
    rows, columns = round(machine.rows * form.scale), round(machine.columns * form.scale)
    if form.frames:
        # Frames further apart than the scanner's remember less of each other.
        memory = machine.persistence ** (form.period_ms / plan.frame_time_ms) if machine.persistence > 0 else 0.0
        plan = replace(plan, machine=replace(machine, persistence=min(memory, machine.persistence)))
        loop = plan.acquire(frames=form.frames, frame_time_ms=form.period_ms, rows=rows, columns=columns)
    else:
        loop = plan.acquire(rows=rows, columns=columns, labels=False)
    clip = _clip(loop)
    scene = scene_of(clip, colour=False)
    if isinstance(scene, Ineligible):
        return f"{phantom[0]}, study {phantom[1]}: {scene.reason}"
    made: dict[str, NDArray[np.generic]] = {
        "pictures": sector_pictures(clip, scene, range(len(loop.frames)), side=form.side),
        "times_ms": np.asarray(loop.times_ms, np.float64),
        **_known(loop, plan),
    }
    if loop.labels is not None:
        made["tissue"] = _tissue(loop.labels, clip, scene, side=form.side // TISSUE_SHRINK)
    return made


def _clip(loop: Acquisition) -> Clip:
    return Clip(frames=loop.frames, times_ms=loop.times_ms, regions=loop.regions)


def _known(loop: Acquisition, plan: LoopPlan) -> dict[str, NDArray[np.generic]]:
    """The truth of a simulated loop: of the segments that its view shows, and the ejection fraction."""
    seen = loop.truth.segments
    every = narrowing(plan.patient)
    return {
        "scores": np.array([segment.score for segment in seen], np.uint8),
        "narrowing": np.array([every[segment.number - 1] for segment in seen], np.float32),
        "ef": np.array(plan.patient.ef_percent, np.float64),
    }


def _tissue(labels: NDArray[np.uint8], clip: Clip, scene: Scene, *, side: int) -> NDArray[np.uint8]:
    """How much of each pixel of the small pictures is cavity and muscle, cut as the pictures are."""
    rows, columns = scene.box(margin=0)
    aspect = pixel_aspect(clip.regions, shape=scene.sector.shape)
    cut = labels[:, rows, columns]
    planes = [np.where(cut == tissue, 255, 0).astype(np.uint8) for tissue in TISSUES]
    return np.stack(
        [np.stack([squared(np.ascontiguousarray(plane[n]), side=side, aspect=aspect) for plane in planes])
         for n in range(len(cut))]
    )  # fmt: skip


def _recorded(file: Path | None, form: Form) -> Arrays | str:
    if file is None:
        return "neither a simulated study nor a file"
    clip = read_loop(file)
    if len(clip.frames) < 2:
        return f"{file.name}: is a still image"
    if form.published:
        return _published(clip, form)
    scene = scene_of(clip, colour=False)
    if isinstance(scene, Ineligible):
        return f"{file.name}: {scene.reason}"
    count = min(LONGEST, max(2, int(loop_ms(clip.times_ms) / FILE_PERIOD_MS)))
    shown = frames_by_time(clip.times_ms, start_ms=0.0, period_ms=FILE_PERIOD_MS, count=count)
    return {
        "pictures": sector_pictures(clip, scene, shown, side=form.side),
        "times_ms": FILE_PERIOD_MS * np.arange(count),
    }


def _published(clip: Clip, form: Form) -> dict[str, NDArray[np.generic]] | str:
    prepared = published(clip, Convention(frames=form.clip_frames, side=form.side))
    if isinstance(prepared, Ineligible):
        return prepared.reason
    return {"pictures": prepared.clips[0], "times_ms": clip.times_ms[prepared.shown[0]]}
