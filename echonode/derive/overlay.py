"""A loop with the outlines of its segments, as a movie that every viewer plays (PS3.3 A.8.5, C.8.6.3).

Few viewers show a segmentation of ultrasound. It carries no calibration: nobody measures on painted pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from echonode.core.codes import PROCESSING_EQUIPMENT, SEGMENTATION
from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.core.results import LabelMap
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.common import (
    RESEARCH_USE_ONLY,
    DerivedObject,
    code_item,
    contribute,
    lossy_bookkeeping,
    reference_source,
    set_character_set,
    study_time,
    with_identity,
)
from echonode.derive.contours import Contours
from echonode.derive.encapsulated import FrameSpool
from echonode.derive.heading import (
    CAPTURE,
    COLOUR_CAPTURE,
    burned_in,
    colour_of,
    describe_capture,
    describe_pixels,
    describe_playback,
    model_words,
    picture_heading,
    sentences,
)
from echonode.derive.jpeg import JpegStyle, encode
from echonode.derive.names import Names, names_in_study_of
from echonode.derive.palette import colours_of
from echonode.derive.segmentation import check_labels
from echonode.derive.sheet import Sheet, enlarged
from echonode.dicom.decode import JPEG_BASELINE
from echonode.dicom.lossy import METHOD_OF_SYNTAX
from echonode.dicom.pixels import PixelSource, open_pixels

KIND = "overlay"
SERIES_NUMBER = 9003
_STYLE = JpegStyle(sampling="4:2:2", quality=92)
_THINNEST, _ROWS_A_PIXEL = 1.8, 320.0


def build_overlay(
    source: Path,
    labels: LabelMap,
    *,
    package: Package,
    parameters: Mapping[str, Any],
    node: NodeSection,
    now: datetime,
    revision: int = 0,
    patient: Mapping[str, Any] | None = None,
    limits: LimitsSection | None = None,
    marks: Mapping[int, str] | None = None,
) -> DerivedObject:
    """Every frame of the DICOM file `source` with the outlines of `labels`, as an object that writes itself.

    A loop becomes a Multi-frame True Color Secondary Capture in JPEG baseline that plays as fast as its source; a still
    becomes an uncompressed Secondary Capture. `marks` names frames, counted from 0: "ED", "ES". `source` and
    `labels.labels` must still be there when it is written.

    Raises:
        BadInput: labels of another size or of frames that the source has not, or marks of frames that it has not.
    """
    limits = limits or LimitsSection()
    marks = dict(marks or {})
    with open_pixels(source, limits=limits) as pixels:
        check_labels(labels, pixels)
        if any(not 0 <= frame < pixels.layout.frames for frame in marks):
            raise BadInput(f"marks of frames that a source of {pixels.layout.frames} frames has not")
        drawn = {str(frame): marks[frame] for frame in sorted(marks)}
        named_by = dict(parameters) | ({"marks": drawn} if drawn else {})
        names = names_in_study_of(pixels, KIND, package=package, parameters=named_by, revision=revision)
        moving = pixels.layout.frames > 1
    writer = _OverlayWriter(
        source=source,
        labels=labels,
        marks=marks,
        package=package,
        node=node,
        now=now,
        patient=patient,
        limits=limits,
        moving=moving,
        names=names,
    )
    return names.derived_object(
        KIND,
        sop_class_uid=writer.sop_class_uid,
        transfer_syntax_uid=writer.transfer_syntax_uid,
        write=writer.write,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _OverlayWriter:
    source: Path
    labels: LabelMap
    marks: Mapping[int, str]
    package: Package
    node: NodeSection
    now: datetime
    patient: Mapping[str, Any] | None
    limits: LimitsSection
    moving: bool
    names: Names

    @property
    def sop_class_uid(self) -> str:
        return COLOUR_CAPTURE if self.moving else CAPTURE

    @property
    def transfer_syntax_uid(self) -> str:
        return JPEG_BASELINE if self.moving else str(ExplicitVRLittleEndian)

    def write(self, path: Path) -> None:
        """Draw every frame into a spool beside `path`, then write header and pixels to `path`."""
        with open_pixels(self.source, limits=self.limits) as pixels:
            sheet = self._sheet(pixels)
            with FrameSpool(path, self._frames(pixels, sheet)) as spool:
                rows, columns = sheet.size
                ratio = pixels.layout.frames * rows * columns * 3 / max(spool.total, 1)
                dataset = self._dataset(pixels, sheet, ratio=round(ratio, 3))
                spool.write(dataset, transfer_syntax_uid=self.transfer_syntax_uid)

    def _sheet(self, pixels: PixelSource) -> Sheet:
        segments = self.labels.segments
        return Sheet(
            rows=pixels.layout.rows,
            columns=pixels.layout.columns,
            times_ms=pixels.times().times_ms,
            names={segments[value].meaning: colour for value, colour in colours_of(segments).items()},
            marks=self.marks,
            model=f"{self.package.name} {self.package.version}",
        )

    def _frames(self, pixels: PixelSource, sheet: Sheet) -> Iterator[bytes]:
        rows, _ = sheet.frame_size
        contours = Contours(colours=colours_of(self.labels.segments), width=max(_THINNEST, rows / _ROWS_A_PIXEL))
        places = {frame: place for place, frame in enumerate(self.labels.frames)}
        for index, frame in enumerate(pixels.iter_frames()):
            picture = enlarged(colour_of(frame), sheet.times_larger)
            if index in places:
                contours.draw(picture, enlarged(np.asarray(self.labels.labels[places[index]]), sheet.times_larger))
            printed = sheet.printed(picture, index)
            yield encode(printed, _STYLE) if self.moving else printed.tobytes()

    def _dataset(self, pixels: PixelSource, sheet: Sheet, *, ratio: float) -> Dataset:
        header, package = with_identity(pixels.header, self.patient), self.package
        now = study_time(header, self.now)
        dataset = picture_heading(
            header,
            package=package,
            node=self.node,
            now=now,
            modality="US",
            series_number=SERIES_NUMBER,
            series="Segmentation overlay",
        )
        self.names.put_on(dataset, sop_class_uid=self.sop_class_uid)
        describe_capture(dataset, package=package, conversion="WSD", now=now)
        dataset.ImageComments = f"AI SEGMENTATION - {RESEARCH_USE_ONLY}"
        # What the scanner wrote on the screen is on every frame.
        dataset.BurnedInAnnotation = burned_in(header)
        rows, columns = sheet.size
        describe_pixels(dataset, rows=rows, columns=columns, photometric="YBR_FULL_422" if self.moving else "RGB")
        if self.moving:
            dataset.NumberOfFrames = pixels.layout.frames
            times = sheet.times_ms
            describe_playback(dataset, interval_ms=float(times[-1] - times[0]) / (len(times) - 1))
        reference_source(header, dataset, locations_preserved=False)
        contribute(header, dataset, role=PROCESSING_EQUIPMENT, package=package, node=self.node, now=now)
        dataset.DerivationCodeSequence = Sequence([code_item(SEGMENTATION)])
        remark = lossy_bookkeeping(
            header,
            dataset,
            source_syntax=pixels.transfer_syntax_uid,
            method=METHOD_OF_SYNTAX[JPEG_BASELINE] if self.moving else None,
            ratio=ratio if self.moving else None,
        )
        dataset.DerivationDescription = self._described(pixels, remark)
        set_character_set(header, dataset)
        return dataset

    def _described(self, pixels: PixelSource, remark: str) -> str:
        segments = self.labels.segments
        names = ", ".join(segments[value].meaning for value in sorted(segments))
        marked = ", ".join(f"{mark} in frame {frame + 1}" for frame, mark in sorted(self.marks.items()))
        guessed = self.moving and not pixels.times().timed
        return sentences(
            f"{RESEARCH_USE_ONLY}. Not for measurement.",
            f"Outlines of {names} by {model_words(self.package)} "
            f"on {len(self.labels.frames)} of {pixels.layout.frames} frames.",
            f"{marked}." if marked else "",
            "The source tells no frame time: 30 frames a second are assumed." if guessed else "",
            remark,
        )
