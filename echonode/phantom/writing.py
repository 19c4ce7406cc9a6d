"""A simulated study on disk: its objects as a scanner would send them, its label maps, and what is true of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from echonode.phantom.acquire import Acquisition
from echonode.phantom.cohort import LoopPlan, Study, SweepPlan
from echonode.phantom.frames import Syntax
from echonode.phantom.heart import Heart
from echonode.phantom.marker import sign
from echonode.phantom.objects import PhantomObject, build_object
from echonode.phantom.order import order_of
from echonode.phantom.sweep import Sweep
from echonode.phantom.truth import Unmeasurable, disks_ml
from echonode.phantom.truth_file import BiplaneTruth, ObjectTruth, StudyTruth, plain
from echonode.phantom.views import View

LABELS_FOLDER = "labels"
_SEARCH_S = 10.0
Told = Callable[[int, int], None]


def write_study(
    study: Study,
    folder: Path,
    *,
    syntax: Syntax = Syntax.JPEG,
    labels: bool = True,
    scale: float = 1.0,
    started: datetime | None = None,
    occasion: str = "",
    key: bytes | None = None,
    told: Told | None = None,
) -> StudyTruth:
    """Record every object of `study` into `folder`, which is made: IM_0001.dcm and on, and `labels/`.

    The same arguments give the same bytes. `scale` is the part
    of the scanner's raster that pictures get, `started` the date of the study; `occasion` makes new objects of the same
    patient. `key` signs each object (`marker.sign`). `told` hears how many objects are
    there, of how many.

    Raises:
        BadInput: the syntax does not hold these pictures, or the key is too short.
        OSError: the folder cannot be written.
    """
    order = order_of(study, syntax=syntax, scale=scale, started=started, occasion=occasion)
    folder.mkdir(parents=True, exist_ok=True)
    if labels:
        (folder / LABELS_FOLDER).mkdir(exist_ok=True)
    objects: list[ObjectTruth] = []
    planes: dict[tuple[str | None, View], tuple[LoopPlan, Acquisition]] = {}
    for number, plan in enumerate(study.plans, start=1):
        made = _recorded(plan, scale=scale, labels=labels)
        written = build_object(made, plan, order=order, number=number, syntax=syntax)
        name = f"IM_{number:04d}"
        written.write(folder / f"{name}.dcm", marker=sign(written.sop_instance_uid, key) if key is not None else None)
        arrays = _arrays(made) if labels else {}
        if arrays:
            np.savez_compressed(folder / LABELS_FOLDER / f"{name}.npz", **arrays)
        objects.append(_truth(made, plan, written, name=name, labels=bool(arrays)))
        if isinstance(made, Acquisition) and isinstance(plan, LoopPlan) and not made.colour:
            planes[made.stage, made.view] = plan, made
        if told is not None:
            told(number, len(study.plans))
    return StudyTruth(
        study=study,
        study_uid=order.study_uid,
        patient_id=order.patient_id,
        biplane=tuple(_biplane(planes)),
        objects=tuple(objects),
    )


def _recorded(plan: LoopPlan | SweepPlan, *, scale: float, labels: bool) -> Acquisition | Sweep:
    rows, columns = (2 * max(round(side * scale / 2), 32) for side in (plan.machine.rows, plan.machine.columns))
    if isinstance(plan, LoopPlan):
        return plan.acquire(rows=rows, columns=columns, labels=labels)
    return plan.sweep(rows=rows, columns=columns)


def _arrays(made: Acquisition | Sweep) -> dict[str, Any]:
    if isinstance(made, Sweep):
        return {"boundaries": made.truth.boundaries}
    return {} if made.labels is None else {"labels": made.labels, "times_ms": made.times_ms}


def _truth(
    made: Acquisition | Sweep, plan: LoopPlan | SweepPlan, written: PhantomObject, *, name: str, labels: bool
) -> ObjectTruth:
    rows, columns = made.frame.shape[:2] if isinstance(made, Sweep) else made.frames.shape[1:3]
    loop = made if isinstance(made, Acquisition) else None
    sweep = made if isinstance(made, Sweep) else None
    found = {
        field.name: plain(getattr(made.truth, field.name))
        for field in fields(made.truth)
        if field.name not in ("boundaries", "r_waves_s")
    }
    if loop is not None:
        found["disks_ef_percent"] = plain(loop.truth.disks_ef_percent)
    if sweep is not None:
        found["strip"] = plain(sweep.strip)
        found["r_wave_columns"] = plain(sweep.r_wave_columns)
    waves = loop.r_waves_ms if loop is not None else tuple(1000 * wave for wave in sweep.r_waves_s) if sweep else ()
    return ObjectTruth(
        file=f"{name}.dcm",
        kind="loop" if loop is not None else "sweep",
        sop_instance_uid=written.sop_instance_uid,
        sop_class_uid=written.sop_class_uid,
        transfer_syntax_uid=written.transfer_syntax_uid,
        machine=made.machine.name,
        quality=plan.quality,
        rows=int(rows),
        columns=int(columns),
        times_ms=tuple(float(time) for time in loop.times_ms) if loop is not None else (),
        heart_rate_bpm=made.heart_rate_bpm,
        r_waves_ms=tuple(float(wave) for wave in waves),
        view=loop.view.value if loop is not None else None,
        level=sweep.level.value if sweep is not None else None,
        stage=loop.stage if loop is not None else None,
        colour=loop is not None and loop.colour,
        labels=f"{LABELS_FOLDER}/{name}.npz" if labels else None,
        patient=plan.patient,
        truth=found,
    )


def _biplane(planes: dict[tuple[str | None, View], tuple[LoopPlan, Acquisition]]) -> list[BiplaneTruth]:
    found = []
    for (stage, view), (plan, four) in planes.items():
        if view is not View.A4C or (stage, View.A2C) not in planes:
            continue
        heart = Heart(plan.patient)
        both = (four.plane, planes[stage, View.A2C][1].plane)
        end_diastole = heart.beats(_SEARCH_S)[0]
        try:
            edv = disks_ml(heart, both, end_diastole)
            esv = disks_ml(heart, both, heart.end_systole_s(end_diastole))
        except Unmeasurable:
            continue  # a perfect observer has no biplane volume either
        found.append(BiplaneTruth(stage=stage, edv_ml=edv, esv_ml=esv, ef_percent=100 * (1 - esv / edv)))
    return found
