"""The label map of a loop as a Segmentation (PS3.3 A.51) that refers to each frame of its source.

Built by hand: the usual library takes no multi-frame ultrasound without a frame of reference. Each frame names the
source frame it lies on, so neither plane nor frame of reference is needed (PS3.3 C.7.6.16.2.6).
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

from echonode.core.codes import (
    ANATOMICAL_STRUCTURE,
    ARTIFICIAL_INTELLIGENCE,
    PRIVATE_SCHEME,
    PROCESSING_EQUIPMENT,
    SEGMENTATION,
    SOURCE_IMAGE,
)
from echonode.core.errors import BadInput
from echonode.core.identity import derived_uid
from echonode.core.package import Package
from echonode.core.results import LabelMap
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.common import (
    RESEARCH_USE_ONLY,
    DerivedObject,
    code_item,
    contribute,
    declare_private_scheme,
    lossy_bookkeeping,
    parameters_text,
    refer_to_instance,
    reference_to,
    set_character_set,
    study_time,
    with_identity,
)
from echonode.derive.encapsulated import FrameSpool
from echonode.derive.heading import picture_heading
from echonode.derive.names import Names, names_in_study_of
from echonode.derive.palette import cielab, colours_of
from echonode.dicom import storage
from echonode.dicom.facts import MANUFACTURER
from echonode.dicom.lossy import METHOD_OF_SYNTAX
from echonode.dicom.pixels import PixelSource, open_pixels

KIND = "segmentation"
SERIES_NUMBER = 9002
_SEGMENT_NUMBER, _SEGMENT_IDENTIFICATION = 0x0062000B, 0x0062000A
_TEMPORAL_POSITION, _FRAME_CONTENT = 0x00209128, 0x00209111
_CHUNK = 1 << 20


def build_segmentation(
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
) -> DerivedObject:
    """`labels`, computed from the DICOM file `source`, as a BINARY segmentation that writes itself.

    One frame for each segment and source frame in which it is seen. Segments are numbered from 1 in the order of their
    label values, those that are never seen too, so that the numbers of one model mean the same everywhere. `patient` is
    the study's patient as DICOM JSON where it is no longer the source's. `source` and `labels.labels` must still be
    there when it is written.

    Raises:
        BadInput: labels of another size or of frames that the source has not, a value that `segments` does not name, or
            nothing but background.
    """
    limits = limits or LimitsSection()
    with open_pixels(source, limits=limits) as pixels:
        check_labels(labels, pixels)
        seen = _seen(labels)
        names = names_in_study_of(pixels, KIND, package=package, parameters=parameters, revision=revision)
    writer = _SegmentationWriter(
        source=source,
        labels=labels,
        seen=seen,
        package=package,
        parameters=parameters,
        node=node,
        now=now,
        patient=patient,
        limits=limits,
        names=names,
    )
    return names.derived_object(
        KIND, sop_class_uid=storage.SEGMENTATION, transfer_syntax_uid=ExplicitVRLittleEndian, write=writer.write
    )


def check_labels(labels: LabelMap, pixels: PixelSource) -> None:
    """That a label map lies on the frames of its source.

    Raises:
        BadInput: it does not.
    """
    layout, array = pixels.layout, labels.labels
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[1:] != (layout.rows, layout.columns):
        raise BadInput(f"labels of {array.shape[1:]} were not made from {layout.rows} x {layout.columns} pixels")
    frames = labels.frames
    if len(frames) != len(array) or list(frames) != sorted(set(frames)):
        raise BadInput("a label map names each of its frames once, in order")
    if frames and not 0 <= frames[0] <= frames[-1] < layout.frames:
        raise BadInput(f"labels of frame {frames[-1]} do not belong to a source of {layout.frames} frames")
    if any(not 1 <= value <= 255 for value in labels.segments):
        raise BadInput("label values of segments are 1 to 255")


def _seen(labels: LabelMap) -> dict[int, tuple[int, ...]]:
    """For each label value of `segments`, in order, the places in `labels.labels` where it is seen."""
    counts = np.zeros((len(labels.labels), 256), np.int64)
    for place, picture in enumerate(labels.labels):
        counts[place] = np.bincount(np.asarray(picture).ravel(), minlength=256)
    unnamed = [value for value in range(1, 256) if value not in labels.segments and counts[:, value].any()]
    if unnamed:
        raise BadInput(f"label values {', '.join(map(str, unnamed))} have no name")
    seen = {value: tuple(int(place) for place in np.flatnonzero(counts[:, value])) for value in sorted(labels.segments)}
    if not any(seen.values()):
        raise BadInput("no structure is seen in any frame")
    return seen


@dataclass(frozen=True, kw_only=True, slots=True)
class _SegmentationWriter:
    source: Path
    labels: LabelMap
    seen: Mapping[int, tuple[int, ...]]
    package: Package
    parameters: Mapping[str, Any]
    node: NodeSection
    now: datetime
    patient: Mapping[str, Any] | None
    limits: LimitsSection
    names: Names

    def write(self, path: Path) -> None:
        """Pack every frame into a spool beside `path`, then write header and pixels to `path`."""
        with FrameSpool(path, self._packed()) as spool:
            with open_pixels(self.source, limits=self.limits) as pixels:
                dataset = self._dataset(pixels)
            spool.write(dataset, transfer_syntax_uid=ExplicitVRLittleEndian)

    def _packed(self) -> Iterator[bytes]:
        """The bits of all frames, the first pixel in the lowest bit, packed across frames (PS3.5 8.1.1, D)."""
        left = np.zeros(0, np.uint8)
        for value, places in self.seen.items():
            for place in places:
                bits = np.concatenate([left, (np.asarray(self.labels.labels[place]) == value).ravel().view(np.uint8)])
                whole = len(bits) // 8 * 8
                yield np.packbits(bits[:whole], bitorder="little").tobytes()
                left = bits[whole:]
        if len(left):
            yield np.packbits(left, bitorder="little").tobytes()

    def _dataset(self, pixels: PixelSource) -> Dataset:
        header, package = with_identity(pixels.header, self.patient), self.package
        now = study_time(header, self.now)
        dataset = picture_heading(
            header,
            package=package,
            node=self.node,
            now=now,
            modality="SEG",
            series_number=SERIES_NUMBER,
            series="Segmentation",
        )
        self.names.put_on(dataset, sop_class_uid=storage.SEGMENTATION)
        dataset.ImageType = ["DERIVED", "PRIMARY"]
        dataset.ContentLabel = "SEGMENTATION"
        dataset.ContentDescription = f"AI segmentation - {RESEARCH_USE_ONLY}"
        dataset.ContentCreatorName = None
        dataset.ImageComments = f"AI SEGMENTATION - {RESEARCH_USE_ONLY}"
        self._image(dataset, pixels)
        dataset.SegmentSequence = Sequence([self._segment(number, value) for number, value in enumerate(self.seen, 1)])
        self._dimensions(dataset)
        dataset.SharedFunctionalGroupsSequence = Sequence([Dataset()])
        dataset.PerFrameFunctionalGroupsSequence = Sequence(
            [
                self._frame(header, number, place, frames=pixels.layout.frames)
                for number, places in enumerate(self.seen.values(), 1)
                for place in places
            ]
        )
        refer_to_instance(header, dataset)
        contribute(header, dataset, role=PROCESSING_EQUIPMENT, package=package, node=self.node, now=now)
        self._lossy(dataset, header, pixels)
        if any(code.scheme == PRIVATE_SCHEME for code in self.labels.segments.values()):
            declare_private_scheme(dataset)
        set_character_set(header, dataset)
        return dataset

    def _image(self, dataset: Dataset, pixels: PixelSource) -> None:
        """Segmentation Image module (PS3.3 C.8.20.2)."""
        dataset.SegmentationType = "BINARY"
        dataset.SegmentsOverlap = "NO"
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = pixels.layout.rows, pixels.layout.columns
        dataset.NumberOfFrames = sum(map(len, self.seen.values()))
        dataset.BitsAllocated = dataset.BitsStored = 1
        dataset.HighBit = dataset.PixelRepresentation = 0

    def _lossy(self, dataset: Dataset, header: Dataset, pixels: PixelSource) -> None:
        """Bits lose nothing, but they were found in pixels that may have lost something (PS3.3 C.7.6.1.1.5)."""
        lossy_bookkeeping(header, dataset, source_syntax=pixels.transfer_syntax_uid, method=None, ratio=None)
        method = METHOD_OF_SYNTAX.get(pixels.transfer_syntax_uid)
        if method is not None and "LossyImageCompressionMethod" not in dataset:
            layout = pixels.layout
            raw = layout.frames * layout.rows * layout.columns * layout.channels
            dataset.LossyImageCompressionMethod = method
            dataset.LossyImageCompressionRatio = f"{raw / max(pixels.stored_bytes, 1):.4g}"

    def _segment(self, number: int, value: int) -> Dataset:
        """An item of the Segment Sequence (PS3.3 C.8.20.2)."""
        package, code = self.package, self.labels.segments[value]
        item = Dataset()
        item.SegmentNumber = number
        item.SegmentLabel = code.meaning
        item.SegmentAlgorithmType = "AUTOMATIC"
        item.SegmentAlgorithmName = f"{package.name} {package.version}"[:64]
        item.SegmentedPropertyCategoryCodeSequence = Sequence([code_item(ANATOMICAL_STRUCTURE)])
        item.SegmentedPropertyTypeCodeSequence = Sequence([code_item(code)])
        item.TrackingID = f"{code.meaning}, {package.name} {package.version}"
        item.TrackingUID = derived_uid("tracking", self.names.sop_instance_uid, code.scheme, code.value)
        item.RecommendedDisplayCIELabValue = cielab(colours_of(self.seen)[value])
        algorithm = Dataset()
        algorithm.AlgorithmFamilyCodeSequence = Sequence([code_item(ARTIFICIAL_INTELLIGENCE)])
        algorithm.AlgorithmName = package.name[:64]
        algorithm.AlgorithmVersion = package.version[:64]
        algorithm.AlgorithmSource = MANUFACTURER
        algorithm.AlgorithmParameters = parameters_text({"package sha256": package.digest} | dict(self.parameters))
        item.SegmentationAlgorithmIdentificationSequence = Sequence([algorithm])
        return item

    def _dimensions(self, dataset: Dataset) -> None:
        """Multi-frame Dimension module (PS3.3 C.7.6.17): by segment, then by time."""
        organisation = Dataset()
        organisation.DimensionOrganizationUID = derived_uid("dimensions", self.names.sop_instance_uid)
        dataset.DimensionOrganizationSequence = Sequence([organisation])
        dimensions = []
        for pointer, group, label in (
            (_SEGMENT_NUMBER, _SEGMENT_IDENTIFICATION, "Segment Number"),
            (_TEMPORAL_POSITION, _FRAME_CONTENT, "Temporal Position Index"),
        ):
            item = Dataset()
            item.DimensionOrganizationUID = organisation.DimensionOrganizationUID
            item.DimensionIndexPointer, item.FunctionalGroupPointer = pointer, group
            item.DimensionDescriptionLabel = label
            dimensions.append(item)
        dataset.DimensionIndexSequence = Sequence(dimensions)

    def _frame(self, header: Dataset, number: int, place: int, *, frames: int) -> Dataset:
        """The functional groups of one frame: which segment, when, and on which source frame it lies."""
        content = Dataset()
        content.DimensionIndexValues = [number, place + 1]
        content.TemporalPositionIndex = place + 1
        identification = Dataset()
        identification.ReferencedSegmentNumber = number
        image = reference_to(header)
        if frames > 1:
            image.ReferencedFrameNumber = self.labels.frames[place] + 1
        image.SpatialLocationsPreserved = "YES"
        image.PurposeOfReferenceCodeSequence = Sequence([code_item(SOURCE_IMAGE)])
        derivation = Dataset()
        derivation.SourceImageSequence = Sequence([image])
        derivation.DerivationCodeSequence = Sequence([code_item(SEGMENTATION)])
        group = Dataset()
        group.FrameContentSequence = Sequence([content])
        group.SegmentIdentificationSequence = Sequence([identification])
        group.DerivationImageSequence = Sequence([derivation])
        return group
