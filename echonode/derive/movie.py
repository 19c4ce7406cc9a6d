"""The three panes as a Multi-frame Secondary Capture (PS3.3 A.8.3, A.8.5) in the study of their source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from echonode.core.codes import SLOW_MOTION, SYNTHESIZING_EQUIPMENT
from echonode.core.package import Package
from echonode.core.results import Loop
from echonode.core.settings import LimitsSection, NodeSection
from echonode.derive.cine import cine_parameters
from echonode.derive.common import (
    RESEARCH_USE_ONLY,
    DerivedObject,
    base_dataset,
    code_item,
    contribute,
    declare_private_scheme,
    instance_uid,
    lossy_bookkeeping,
    reference_source,
    series_uid,
    set_character_set,
    study_time,
)
from echonode.derive.copying import copy_elements
from echonode.derive.encapsulated import FrameSpool
from echonode.derive.frames import FAITHFUL_DB
from echonode.derive.jpeg import JpegStyle, encode, style_for
from echonode.derive.panes import Panes
from echonode.dicom import elements
from echonode.dicom.decode import JPEG_BASELINE
from echonode.dicom.facts import MANUFACTURER
from echonode.dicom.pixels import PixelSource, open_pixels

KIND = "capture"
NAME = "slow-motion-comparison"
GREYSCALE_CAPTURE, COLOUR_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.2", "1.2.840.10008.5.1.4.1.1.7.4"
SERIES_NUMBER = 9009
_METHOD = "ISO_10918_1"


def build_movie(
    source: Path,
    loop: Loop,
    *,
    package: Package,
    parameters: Mapping[str, Any],
    node: NodeSection,
    now: datetime,
    revision: int = 0,
    limits: LimitsSection | None = None,
) -> DerivedObject:
    """The comparison of `loop`, computed from the DICOM file `source`, as an object that writes itself.

    JPEG baseline; grey for a grey loop. It carries no calibration: nobody measures on it. `parameters` as `build_cine`,
    of which timing ("slow" or "true_time") counts here.

    Raises:
        BadInput: parameters that are none.
    """
    parameters = cine_parameters(parameters)
    limits = limits or LimitsSection()
    panes = Panes(loop=loop, true_time=parameters["timing"] == "true_time")
    with open_pixels(source, limits=limits) as pixels:
        study = elements.text(pixels.header, "StudyInstanceUID")
        uid = instance_uid(
            NAME,
            study_uid=study,
            source_uids=(elements.text(pixels.header, "SOPInstanceUID"),),
            pixel_digest=pixels.digest(),
            package=package,
            parameters=parameters,
            revision=revision,
        )
    writer = _MovieWriter(
        source=source,
        panes=panes,
        package=package,
        node=node,
        now=now,
        limits=limits,
        sop_instance_uid=uid,
        sop_class_uid=GREYSCALE_CAPTURE if panes.channels == 1 else COLOUR_CAPTURE,
        series_uid=series_uid(NAME, study_uid=study, package=package, revision=revision),
    )
    return DerivedObject(
        sop_instance_uid=uid,
        sop_class_uid=writer.sop_class_uid,
        series_uid=writer.series_uid,
        study_uid=study,
        transfer_syntax_uid=JPEG_BASELINE,
        kind=KIND,
        write=writer.write,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _MovieWriter:
    source: Path
    panes: Panes
    package: Package
    node: NodeSection
    now: datetime
    limits: LimitsSection
    sop_instance_uid: str
    sop_class_uid: str
    series_uid: str

    def write(self, path: Path) -> None:
        """Encode every frame to a spool beside `path`, then write header and pixels to `path`."""
        panes = self.panes
        style = style_for(panes.frame(0), faithful_db=FAITHFUL_DB)
        rows, columns = panes.size
        with FrameSpool(path.with_name(f"{path.name}.frames"), self._encoded(style)) as spool:
            raw = panes.count * rows * columns * panes.channels
            with open_pixels(self.source, limits=self.limits) as pixels:
                dataset = self._dataset(pixels, ratio=round(raw / max(spool.total, 1), 3))
            spool.write(dataset, path, transfer_syntax_uid=JPEG_BASELINE)

    def _encoded(self, style: JpegStyle) -> Iterator[bytes]:
        for picture in self.panes:
            yield encode(picture, style)

    def _dataset(self, pixels: PixelSource, *, ratio: float) -> Dataset:
        header, loop, package = pixels.header, self.panes.loop, self.package
        now = study_time(header, self.now)
        dataset = base_dataset(header, node=self.node, now=now)
        dataset.ManufacturerModelName = package.title[:64]
        dataset.SoftwareVersions = f"{package.name} {package.version}"[:64]
        dataset.SOPClassUID, dataset.SOPInstanceUID = self.sop_class_uid, self.sop_instance_uid
        dataset.SeriesInstanceUID = self.series_uid
        dataset.Modality, dataset.SeriesNumber = "US", SERIES_NUMBER
        dataset.SeriesDescription = f"Slow motion compared {package.name}"[:55] + " RESEARCH"
        copy_elements(header, dataset, ("BodyPartExamined", "ViewName", "StageName"))
        if not dataset.get("BodyPartExamined"):
            dataset.BodyPartExamined = "HEART"
        dataset.InstanceNumber = elements.integer(header, "InstanceNumber") or 1
        dataset.PatientOrientation = None
        dataset.ImageType = ["DERIVED", "SECONDARY"]
        dataset.ImageComments = f"ORIGINAL, AI SLOW MOTION x{loop.factor}, FRAMES REPEATED - {RESEARCH_USE_ONLY}"
        dataset.SyntheticData = "YES"
        dataset.ContentQualification = "RESEARCH"
        self._capture(dataset, header, now)
        self._pixels(dataset)
        self._timing(dataset)
        reference_source(header, dataset, locations_preserved=False)
        contribute(header, dataset, role=SYNTHESIZING_EQUIPMENT, package=package, node=self.node, now=now)
        dataset.DerivationCodeSequence = Sequence([code_item(SLOW_MOTION)])
        declare_private_scheme(dataset)
        remark = lossy_bookkeeping(
            header, dataset, source_syntax=pixels.transfer_syntax_uid, method=_METHOD, ratio=ratio
        )
        dataset.DerivationDescription = self._described(remark)
        set_character_set(header, dataset)
        return dataset

    def _described(self, remark: str) -> str:
        loop, package = self.panes.loop, self.package
        speed = "as fast as it was" if self.panes.true_time else f"{loop.factor} times slower than real time"
        sentences = (
            f"{RESEARCH_USE_ONLY}. Not for measurement.",
            f"Left the recorded loop in real time, in the middle slow motion x{loop.factor} by {package.name} "
            f"{package.version} (package sha256 {package.digest[:16]}), right the same with recorded frames repeated.",
            f"The middle and right panes play {speed} and show the same moment; frames marked INTERPOLATED were never "
            "seen by the probe.",
            *loop.notes,
            remark,
        )
        return " ".join(part for part in sentences if part).encode("ascii", "replace").decode()[:1024]

    def _capture(self, dataset: Dataset, header: Dataset, now: datetime) -> None:
        """SC Equipment and SC Multi-frame Image modules (PS3.3 C.8.6.1, C.8.6.3)."""
        dataset.ConversionType = "WSD"
        dataset.SecondaryCaptureDeviceManufacturer = MANUFACTURER
        dataset.SecondaryCaptureDeviceManufacturerModelName = self.package.title[:64]
        dataset.SecondaryCaptureDeviceSoftwareVersions = f"{self.package.name} {self.package.version}"[:64]
        dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture = (
            now.strftime("%Y%m%d"),
            now.strftime("%H%M%S.%f"),
        )
        # Text of the screen is cut away with what surrounds the sector, but nobody has looked whether all of it is.
        known = elements.text(header, "BurnedInAnnotation")
        dataset.BurnedInAnnotation = known if known in ("YES", "NO") else "YES"

    def _pixels(self, dataset: Dataset) -> None:
        """Image Pixel module (PS3.3 C.7.6.3); of a grey capture also how its values are shown (C.8.6.3)."""
        grey = self.panes.channels == 1
        dataset.SamplesPerPixel = 1 if grey else 3
        dataset.PhotometricInterpretation = "MONOCHROME2" if grey else "YBR_FULL_422"
        if grey:
            dataset.PresentationLUTShape = "IDENTITY"
            dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
        else:
            dataset.PlanarConfiguration = 0
        dataset.Rows, dataset.Columns = self.panes.size
        dataset.NumberOfFrames = self.panes.count
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0

    def _timing(self, dataset: Dataset) -> None:
        """Cine and Multi-frame modules (PS3.3 C.7.6.5, C.7.6.6)."""
        interval = self.panes.interval_ms
        dataset.FrameIncrementPointer = 0x00181063
        dataset.FrameTime = f"{interval:.6f}".rstrip("0").rstrip(".")[:16]
        dataset.CineRate = dataset.RecommendedDisplayFrameRate = max(round(1000.0 / interval), 1)
        dataset.PreferredPlaybackSequencing = 0
