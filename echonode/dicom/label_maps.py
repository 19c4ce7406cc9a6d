"""A segmentation of this node as what it was made of: the label of each pixel, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from echonode.core.clip import Clip, SourceIdentity
from echonode.core.errors import BudgetExceeded, Undecodable, UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom import elements
from echonode.dicom.facts import is_ours
from echonode.dicom.storage import SEGMENTATION

LV_CAVITY: Final = ("87878005", "SCT")
"""Segmented Property Type of the left ventricle, whose size tells end-diastole from end-systole."""
PHASES: Final = ("ED", "ES")


def is_label_map(path: Path) -> bool:
    """Whether the file says that it is a Segmentation; nothing but its file meta information is read."""
    try:
        return str(read_file_meta_info(path).get("MediaStorageSOPClassUID", "")) == SEGMENTATION
    except elements.NO_DICOM:
        return False


def read_label_map(path: Path, *, limits: LimitsSection, phase: str | None = None) -> Clip:
    """The segment numbers as frames uint8 T x H x W x 1, 0 where no segment is: one frame a source frame, in its order.

    With `phase` the one frame in which the left ventricle is largest (ED) or smallest (ES). `times_ms` are the numbers of
    the source frames, from 0: a segmentation tells no time.

    Raises:
        UnreadableObject: it is no DICOM file.
        Undecodable: it is no binary segmentation of this node, is cut off, or has no such phase.
        BudgetExceeded: it is larger than `limits` allow.
    """
    if phase is not None and phase not in PHASES:
        raise Undecodable(f"phase: {' or '.join(PHASES)} is expected, not {phase!r}")
    header = _header(path, limits)
    places = _places(header)
    rows, columns = elements.unsigned(header, "Rows") or 0, elements.unsigned(header, "Columns") or 0
    order = {frame: index for index, frame in enumerate(sorted({frame for _number, frame in places}))}
    if len(order) > limits.frames or len(order) * rows * columns > limits.decoded_bytes:
        raise BudgetExceeded(f"{len(order)} frames of {columns} x {rows} are more than the limits allow")
    labels = np.zeros((len(order), rows, columns), np.uint8)
    packed = np.frombuffer(header.PixelData, np.uint8)
    pixels = rows * columns
    if pixels == 0 or 8 * len(packed) < pixels * len(places):
        raise Undecodable("the segmentation is cut off")
    for index, (number, frame) in enumerate(places):
        begin = index * pixels
        bits = np.unpackbits(packed[begin // 8 : (begin + pixels + 7) // 8], bitorder="little")
        labels[order[frame]][bits[begin % 8 :][:pixels].reshape(rows, columns) == 1] = number
    times = np.array(sorted(order), float)
    if phase is not None:
        chosen = _chosen(labels, _cavity(header), phase)
        labels, times = labels[chosen : chosen + 1], times[chosen : chosen + 1]
    return Clip(
        frames=labels[..., None],
        times_ms=times,
        source=SourceIdentity(
            sop_instance_uid=elements.text(header, "SOPInstanceUID"),
            sop_class_uid=SEGMENTATION,
            series_uid=elements.text(header, "SeriesInstanceUID"),
            study_uid=elements.text(header, "StudyInstanceUID"),
            # not the file's: a store names files after their bytes, and a picture made of this must be the same anywhere
            name=elements.text(header, "SOPInstanceUID"),
        ),
        timed=False,
    )


def _header(path: Path, limits: LimitsSection) -> Dataset:
    try:
        if path.stat().st_size > limits.decoded_bytes:
            raise BudgetExceeded(f"{path.name} is larger than the limits allow")
        if read_file_meta_info(path).get("TransferSyntaxUID") not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
            raise Undecodable("the segmentation is compressed, which echonode does not do")
        header = dcmread(path)
    except elements.NO_DICOM as error:
        raise UnreadableObject(f"{path.name} is no readable DICOM file: {error or type(error).__name__}") from error
    if "PixelData" not in header:
        raise Undecodable("the segmentation has no pixels")
    if elements.text(header, "SOPClassUID") != SEGMENTATION or not is_ours(header):
        raise Undecodable("only segmentations that echonode made are label maps")
    if elements.text(header, "SegmentationType") != "BINARY" or elements.unsigned(header, "BitsAllocated") != 1:
        raise Undecodable("the segmentation is not binary")
    return header


def _places(header: Dataset) -> list[tuple[int, int]]:
    """Segment number and source frame, from 0, of each frame (PS3.3 C.8.20.3, C.7.6.16.2.6)."""
    places = []
    for group in elements.items(header, "PerFrameFunctionalGroupsSequence"):
        segments = elements.items(group, "SegmentIdentificationSequence")
        derivations = elements.items(group, "DerivationImageSequence")
        sources = elements.items(derivations[0], "SourceImageSequence") if derivations else ()
        number = elements.unsigned(segments[0], "ReferencedSegmentNumber") if segments else None
        if not number or number > 255 or not sources:
            raise Undecodable("a frame of the segmentation does not tell its segment or its source")
        places.append((number, (elements.integer(sources[0], "ReferencedFrameNumber") or 1) - 1))
    if not places or len(places) != (elements.integer(header, "NumberOfFrames") or 1):
        raise Undecodable("the segmentation does not describe each of its frames")
    return places


def _cavity(header: Dataset) -> int:
    """The number of the left ventricle's segment, the first segment where none is one."""
    for item in elements.items(header, "SegmentSequence"):
        for code in elements.items(item, "SegmentedPropertyTypeCodeSequence"):
            if (elements.text(code, "CodeValue"), elements.text(code, "CodingSchemeDesignator")) == LV_CAVITY:
                return elements.unsigned(item, "SegmentNumber") or 1
    return 1


def _chosen(labels: np.ndarray, cavity: int, phase: str) -> int:
    areas: Mapping[int, int] = {
        index: int(area) for index, area in enumerate((labels == cavity).sum(axis=(1, 2))) if area
    }
    if not areas:
        raise Undecodable("the left ventricle is seen in no frame of the segmentation")
    return (max if phase == "ED" else min)(areas, key=lambda index: areas[index])
