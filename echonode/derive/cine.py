"""A slow-motion loop as an Ultrasound Multi-frame Image (PS3.3 A.7) in the study of its source."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from echonode.core.codes import SYNTHESIZING_EQUIPMENT
from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.core.results import Loop
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.banner import place_banner
from echonode.derive.common import (
    RESEARCH_USE_ONLY,
    DerivedObject,
    contribute,
    lossy_bookkeeping,
    parameters_text,
    reference_source,
    set_character_set,
    study_time,
    with_identity,
)
from echonode.derive.copying import copy_elements
from echonode.derive.encapsulated import FrameSpool
from echonode.derive.frames import Encoding, choose_encoding, encoded_frames
from echonode.derive.heading import (
    decimal_string,
    describe_pixels,
    describe_playback,
    model_words,
    sentences,
    slow_motion_heading,
)
from echonode.derive.names import Names, names_in_study_of
from echonode.dicom import elements
from echonode.dicom.facts import PRIVATE_CREATOR
from echonode.dicom.pixels import PixelSource, open_pixels
from echonode.dicom.storage import ULTRASOUND_MULTIFRAME
from echonode.dicom.timing import frame_times_ms

KIND = "slow-motion"
SERIES_NUMBER = 9001
PRIVATE_GROUP = 0x0099
FLAG_INTERPOLATED, FLAG_ACQUIRED, FLAG_REPEATED = 0, 1, 2
_DEFAULTS: Mapping[str, Any] = {"factor": 4, "mark": "all", "timing": "slow", "lossless": False}
_CHOICES = {"mark": ("all", "interpolated"), "timing": ("slow", "true_time"), "lossless": (False, True, "explicit")}
_LONGEST_SHORT_ELEMENT = 65534
_COPIED = (
    "FrameOfReferenceUID", "PositionReferenceIndicator", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime",
    "AcquisitionNumber", "ProtocolName", "SequenceOfUltrasoundRegions", "ViewCodeSequence", "ViewName", "ViewNumber",
    "StageName", "StageNumber", "StageCodeSequence", "NumberOfStages", "NumberOfViewsInStage", "TransducerData",
    "TransducerType", "UltrasoundColorDataPresent", "MechanicalIndex", "BoneThermalIndex", "CranialThermalIndex",
    "SoftTissueThermalIndex", "SoftTissueFocusThermalIndex", "SoftTissueSurfaceThermalIndex", "DepthOfScanField",
    "AnatomicRegionSequence", "PixelAspectRatio", "BurnedInAnnotation",
)  # fmt: skip
# Beside one of these the numbers of stages and views are required, if need be empty (PS3.3 C.8.5.6, type 2C).
_OF_A_PROTOCOL = ("StageName", "StageNumber", "ViewName", "ViewNumber")


def cine_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a slow-motion object with their defaults: factor, mark, timing, lossless, and the model's own.

    Raises:
        BadInput: a value that is not one of the choices.
    """
    complete = dict(_DEFAULTS) | dict(parameters)
    for name, choices in _CHOICES.items():
        if complete[name] not in choices:
            raise BadInput(f"parameter {name}: one of {', '.join(map(repr, choices))}, not {complete[name]!r}")
    return complete


def cine_uid(
    source: Path,
    *,
    package: Package,
    parameters: Mapping[str, Any],
    revision: int = 0,
    limits: LimitsSection | None = None,
) -> str:
    """The SOP Instance UID that `build_cine` gives, found without running the model.

    Raises:
        BadInput: as `open_pixels` and `cine_parameters`.
    """
    with open_pixels(source, limits=limits or LimitsSection()) as pixels:
        complete = cine_parameters(parameters)
        return names_in_study_of(pixels, KIND, package=package, parameters=complete, revision=revision).sop_instance_uid


def build_cine(
    source: Path,
    loop: Loop,
    *,
    package: Package,
    parameters: Mapping[str, Any],
    node: NodeSection,
    now: datetime,
    revision: int = 0,
    patient: Mapping[str, Any] | None = None,
    limits: LimitsSection | None = None,
) -> DerivedObject:
    """`loop`, computed from the DICOM file `source`, as an object that writes itself.

    `parameters`: mark ("all" or "interpolated": which frames carry the marking), timing ("slow": the source's frame
    time, so that it plays factor times slower, or "true_time"), lossless (False, True for JPEG-LS, "explicit").
    `patient` is the study's patient as DICOM JSON where it is no longer the source's (`with_identity`).
    Frames are encoded one at a time when it is written; `source` and `loop.frames` must still be there then.

    Raises:
        BadInput: parameters, or a loop of another size than its source.
    """
    parameters = cine_parameters(parameters)
    limits = limits or LimitsSection()
    with open_pixels(source, limits=limits) as pixels:
        layout = pixels.layout
        if loop.frames.shape[1:3] != (layout.rows, layout.columns):
            raise BadInput(
                f"a loop of {loop.frames.shape[1:3]} was not made from {layout.rows} x {layout.columns} pixels"
            )
        if len(loop.frames) < 2 or round(float(loop.positions.max())) >= layout.frames:
            raise BadInput("a loop needs two frames, at positions inside its source")
        encoding = choose_encoding(pixels, parameters["lossless"])
        names = names_in_study_of(pixels, KIND, package=package, parameters=parameters, revision=revision)
    writer = _CineWriter(
        source=source,
        loop=loop,
        package=package,
        parameters=parameters,
        node=node,
        now=now,
        patient=patient,
        limits=limits,
        names=names,
    )
    return names.derived_object(
        KIND, sop_class_uid=ULTRASOUND_MULTIFRAME, transfer_syntax_uid=encoding.transfer_syntax_uid, write=writer.write
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _CineWriter:
    source: Path
    loop: Loop
    package: Package
    parameters: Mapping[str, Any]
    node: NodeSection
    now: datetime
    patient: Mapping[str, Any] | None
    limits: LimitsSection
    names: Names

    def write(self, path: Path) -> None:
        """Encode every frame to a spool beside `path`, then write header and pixels to `path`."""
        loop = self.loop
        with open_pixels(self.source, limits=self.limits) as pixels:
            encoding = choose_encoding(pixels, self.parameters["lossless"])
            samples = [np.asarray(loop.frames[i]) for i in np.linspace(0, len(loop.frames) - 1, 8).astype(int)]
            banner = place_banner(
                sector=loop.sector, samples=samples, factor=loop.factor, longest_ms=float(loop.times_ms.max())
            )
            frames = encoded_frames(pixels, loop, encoding, banner, mark=self.parameters["mark"])
            with FrameSpool(path, frames) as spool:
                raw = len(spool.lengths) * pixels.layout.rows * pixels.layout.columns * encoding.samples
                ratio = round(raw / max(spool.total, 1), 3)
                dataset = self._dataset(pixels, encoding, ratio)
                spool.write(dataset, transfer_syntax_uid=encoding.transfer_syntax_uid)

    def _dataset(self, pixels: PixelSource, encoding: Encoding, ratio: float) -> Dataset:
        header, loop, package = with_identity(pixels.header, self.patient), self.loop, self.package
        now = study_time(header, self.now)
        dataset = slow_motion_heading(
            header,
            package=package,
            node=self.node,
            now=now,
            series_number=SERIES_NUMBER,
            series=f"Slow motion {package.name} {package.version}",
        )
        self.names.put_on(dataset, sop_class_uid=ULTRASOUND_MULTIFRAME)
        copy_elements(header, dataset, _COPIED)
        if any(name in dataset for name in _OF_A_PROTOCOL):
            copy_elements(header, dataset, ("NumberOfStages", "NumberOfViewsInStage"), empty=True)
        dataset.ImageType = _image_type(header)
        dataset.ImageComments = f"AI SLOW MOTION x{loop.factor} - {RESEARCH_USE_ONLY}"
        describe_pixels(
            dataset, rows=pixels.layout.rows, columns=pixels.layout.columns, photometric=encoding.photometric
        )
        dataset.NumberOfFrames = len(loop.frames)
        timing = _set_timing(dataset, header, loop, true_time=self.parameters["timing"] == "true_time")
        reference_source(header, dataset, locations_preserved=True)
        contribute(header, dataset, role=SYNTHESIZING_EQUIPMENT, package=package, node=self.node, now=now)
        remark = lossy_bookkeeping(
            header,
            dataset,
            source_syntax=pixels.transfer_syntax_uid,
            method=encoding.method,
            ratio=ratio if encoding.method else None,
        )
        dataset.DerivationDescription = sentences(
            f"{RESEARCH_USE_ONLY}.",
            f"Slow motion x{loop.factor} by temporal interpolation with {model_words(package)}.",
            f"{int(loop.acquired.sum())} of {len(loop.frames)} frames are acquired, {int(loop.repeated.sum())} "
            "repeated, the others interpolated; frames that are marked INTERPOLATED were never seen by the probe.",
            timing,
            "Interpolation inside the 2D sector alone; elsewhere the nearest acquired frame.",
            *loop.notes,
            remark,
        )
        self._private_block(dataset)
        set_character_set(header, dataset)
        return dataset

    def _private_block(self, dataset: Dataset) -> None:
        """Where each frame lies and what it is: Ultrasound Multi-frame has no functional groups to say it in."""
        loop = self.loop
        flags = np.where(loop.acquired, FLAG_ACQUIRED, np.where(loop.repeated, FLAG_REPEATED, FLAG_INTERPOLATED))
        block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
        block.add_new(0x01, "DS", str(loop.factor))
        block.add_new(0x02, "DS", decimal_string(_true_interval_ms(loop)))
        for element, values in ((0x03, loop.positions), (0x05, loop.times_ms)):
            if 8 * len(values) <= _LONGEST_SHORT_ELEMENT:
                block.add_new(element, "FD", [float(value) for value in values])
            else:
                block.add_new(element, "OD", np.asarray(values, "<f8").tobytes())
        if 2 * len(flags) <= _LONGEST_SHORT_ELEMENT:
            block.add_new(0x04, "US", [int(flag) for flag in flags])
        else:
            block.add_new(0x04, "OW", struct.pack(f"<{len(flags)}H", *(int(flag) for flag in flags)))
        block.add_new(0x06, "LO", self.package.digest)
        block.add_new(0x07, "LT", parameters_text(self.parameters))


def _image_type(header: Dataset) -> list[str]:
    """DERIVED, SECONDARY, then values 3 and 4 of the source (PS3.3 C.8.5.6.1.1)."""
    kept = Dataset()
    copy_elements(header, kept, ("ImageType",))
    values = [str(value) for value in kept.get("ImageType") or []] if "ImageType" in kept else []
    tail = values[2:4]
    while tail and not tail[-1]:
        tail.pop()
    return ["DERIVED", "SECONDARY", *tail]


def _true_interval_ms(loop: Loop) -> float:
    return float(loop.times_ms[-1] - loop.times_ms[0]) / (len(loop.times_ms) - 1)


def _set_timing(dataset: Dataset, header: Dataset, loop: Loop, *, true_time: bool) -> str:
    """Cine and Multi-frame modules (PS3.3 C.7.6.5, C.7.6.6); gives the sentence that says how time runs.

    Frame Time, Cine Rate and Recommended Display Frame Rate agree, so that every viewer plays at the same speed.
    """
    interval = _true_interval_ms(loop)
    slow = interval * loop.factor
    describe_playback(dataset, interval_ms=slow, frame_time_ms=interval if true_time else None)
    first, last = elements.integer(header, "StartTrim"), elements.integer(header, "StopTrim")
    inside = np.ones(len(loop.positions), bool)
    if first is not None and last is not None and 1 <= first < last:
        trimmed = (loop.positions >= first - 1 - 1e-6) & (loop.positions <= last - 1 + 1e-6)
        inside = trimmed if trimmed.any() else inside
    dataset.StartTrim = int(np.flatnonzero(inside)[0]) + 1
    dataset.StopTrim = int(np.flatnonzero(inside)[-1]) + 1
    frames = elements.integer(header, "NumberOfFrames") or 1
    whole = loop.positions[0] < 0.5 and loop.positions[-1] > frames - 1.5
    duration = elements.decimal(header, "EffectiveDuration") if whole else None
    true_seconds = float(loop.times_ms[-1] - loop.times_ms[0] + slow) / 1000.0
    dataset.EffectiveDuration = decimal_string(duration if duration is not None and duration > 0 else true_seconds)
    heart_rate = elements.integer(header, "HeartRate")
    if heart_rate is not None and heart_rate > 0:
        dataset.HeartRate = heart_rate
    times = frame_times_ms(header)
    guess = "" if times.timed else f" The source tells no frame time: {slow:.3f} ms is assumed."
    speed = (
        "Frame Time is the true interval."
        if true_time
        else f"It plays {loop.factor} times slower than real time: time, velocity and rate calipers on it are wrong."
    )
    return f"True interval between frames {interval:.3f} ms. {speed}{guess}"
