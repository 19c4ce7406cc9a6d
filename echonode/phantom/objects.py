"""Simulated recordings as DICOM objects: Ultrasound Multi-frame Image and Ultrasound Image storage (PS3.3 A.6, A.7)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

from echonode.core.identity import derived_uid
from echonode.dicom.storage import ULTRASOUND_MULTIFRAME
from echonode.phantom.acquire import Acquisition
from echonode.phantom.cohort import LoopPlan, SweepPlan
from echonode.phantom.dialect import ViewTold, dialect_of
from echonode.phantom.frames import Syntax, encode_frames
from echonode.phantom.headers import (
    US_IMAGE,
    modes_of,
    put_heart_rate,
    put_image,
    put_loop,
    put_patient_and_study,
    put_pixels,
    put_regions,
    put_series_and_equipment,
    put_stage,
    put_transducer,
    put_view,
)
from echonode.phantom.marker import write_block
from echonode.phantom.order import Order
from echonode.phantom.sweep import Sweep

IMPLEMENTATION_CLASS_UID = derived_uid("phantom implementation class")
IMPLEMENTATION_VERSION_NAME = "PHANTOM_1"


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomObject:
    """A simulated object, named and not yet written; `dataset` carries its file meta."""

    dataset: Dataset
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    origin: str

    def write(self, path: Path, *, marker: bytes | None = None) -> None:
        """Write the Part 10 file, `marker` in its private block; a file of that name is there whole or not at all."""
        write_block(self.dataset, origin=self.origin, marker=marker)
        part = path.with_name(f".{path.name}.part")
        dcmwrite(part, self.dataset, enforce_file_format=True)
        part.replace(path)


def build_object(
    made: Acquisition | Sweep, plan: LoopPlan | SweepPlan, *, order: Order, number: int, syntax: Syntax
) -> PhantomObject:
    """The object of one recording; `number` is its Instance Number, counted from 1.

    Raises:
        BadInput: the transfer syntax does not hold these pictures.
    """
    frames = made.frame[None] if isinstance(made, Sweep) else made.frames
    frame_time = None if isinstance(made, Sweep) else _interval_ms(made.times_ms)
    pixels = encode_frames(frames, syntax, frame_time_ms=frame_time)
    dialect = dialect_of(made.machine)
    uid = order.object_uid(number=number, digest=hashlib.sha256(pixels.value).hexdigest())
    loop = isinstance(made, Acquisition) and len(frames) > 1
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = ULTRASOUND_MULTIFRAME if loop else US_IMAGE, uid
    put_patient_and_study(dataset, order)
    put_series_and_equipment(dataset, order, made.machine)
    put_image(dataset, order=order, number=number, kind=dialect.kind, modes=modes_of(made))
    put_transducer(dataset, made)
    put_regions(dataset, made.regions)
    if isinstance(made, Sweep):
        # R waves of a still would have no first frame to count from.
        put_heart_rate(dataset, made.heart_rate_bpm, ())
    else:
        if loop:
            put_loop(dataset, made, dialect)
        else:
            put_heart_rate(dataset, made.heart_rate_bpm, ())
        staged = isinstance(plan, LoopPlan) and plan.stage is not None
        put_view(dataset, made.view, ViewTold.NAME if staged and dialect.view is ViewTold.NONE else dialect.view)
    if isinstance(plan, LoopPlan) and plan.stage is not None and plan.stage_number is not None:
        put_stage(
            dataset,
            stage=plan.stage.name,
            stage_number=plan.stage_number,
            stages=len(order.study.preset.stages),
            view_number=plan.view_number,
            views=len(order.study.preset.loops),
        )
    put_pixels(dataset, pixels, rows=frames.shape[1], columns=frames.shape[2])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, UID(uid)
    meta.TransferSyntaxUID = UID(pixels.transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.file_meta = meta
    return PhantomObject(
        dataset=dataset,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=uid,
        transfer_syntax_uid=pixels.transfer_syntax_uid,
        origin=f"{order.study.name}#{number}",
    )


def _interval_ms(times_ms: np.ndarray) -> float | None:
    return float(times_ms[-1] - times_ms[0]) / (len(times_ms) - 1) if len(times_ms) > 1 else None
