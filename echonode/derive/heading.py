"""What pictures and loops that are made of a result have in common, beside `common`: series, capture, pixels, playback."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from echonode.core.codes import SLOW_MOTION
from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.core.results import Picture
from echonode.core.settings import NodeSection
from echonode.derive.common import base_dataset, code_item, declare_private_scheme
from echonode.derive.copying import copy_elements
from echonode.dicom import elements
from echonode.dicom.facts import MANUFACTURER

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
GREYSCALE_CAPTURE, COLOUR_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.2", "1.2.840.10008.5.1.4.1.1.7.4"
_LARGEST_NUMBER = (1 << 31) - 1


def series_heading(
    header: Dataset,
    *,
    package: Package,
    node: NodeSection,
    now: datetime,
    modality: str,
    series_number: int,
    series: str,
) -> Dataset:
    """Patient, study, series, equipment and the words on research; UIDs, body part and number are not yet written.

    `series` is the Series Description, cut so that RESEARCH ends it.
    """
    dataset = base_dataset(header, node=node, now=now)
    dataset.ManufacturerModelName = package.title[:64]
    dataset.SoftwareVersions = f"{package.name} {package.version}"[:64]
    dataset.Modality, dataset.SeriesNumber = modality, series_number
    dataset.SeriesDescription = series[:55] + " RESEARCH"
    dataset.PatientOrientation = None
    dataset.ContentQualification = "RESEARCH"
    return dataset


def picture_heading(
    header: Dataset,
    *,
    package: Package,
    node: NodeSection,
    now: datetime,
    modality: str,
    series_number: int,
    series: str,
    index: int | None = None,
) -> Dataset:
    """`series_heading` of a picture of a heart.

    `series` begins the Series Description, the model follows. Instance Number is the source's, so that both sort alike;
    with `index`, which counts several pictures of one source from 0, it is a hundred times that and `index`.
    """
    dataset = series_heading(
        header,
        package=package,
        node=node,
        now=now,
        modality=modality,
        series_number=series_number,
        series=f"{series} {package.name} {package.version}",
    )
    dataset.BodyPartExamined = "HEART"
    number = max(elements.integer(header, "InstanceNumber") or 1, 0)
    dataset.InstanceNumber = number if index is None else (number * 100 + index) % _LARGEST_NUMBER
    return dataset


def slow_motion_heading(
    header: Dataset, *, package: Package, node: NodeSection, now: datetime, series_number: int, series: str
) -> Dataset:
    """`series_heading` of what shows interpolated frames, and that it does; body part and number are the source's."""
    dataset = series_heading(
        header, package=package, node=node, now=now, modality="US", series_number=series_number, series=series
    )
    copy_elements(header, dataset, ("BodyPartExamined",))
    if not dataset.get("BodyPartExamined"):
        dataset.BodyPartExamined = "HEART"
    dataset.InstanceNumber = elements.integer(header, "InstanceNumber") or 1
    dataset.SyntheticData = "YES"
    dataset.DerivationCodeSequence = Sequence([code_item(SLOW_MOTION)])
    declare_private_scheme(dataset)
    return dataset


def describe_capture(dataset: Dataset, *, package: Package, conversion: str, now: datetime) -> None:
    """SC Equipment module (PS3.3 C.8.6.1); `conversion` is WSD (drawn on a workstation) or SYN (synthetic)."""
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.ConversionType = conversion
    dataset.SecondaryCaptureDeviceManufacturer = MANUFACTURER
    dataset.SecondaryCaptureDeviceManufacturerModelName = package.title[:64]
    dataset.SecondaryCaptureDeviceSoftwareVersions = f"{package.name} {package.version}"[:64]
    dataset.DateOfSecondaryCapture = now.strftime("%Y%m%d")
    dataset.TimeOfSecondaryCapture = now.strftime("%H%M%S.%f")


def describe_pixels(dataset: Dataset, *, rows: int, columns: int, photometric: str) -> None:
    """Image Pixel module (PS3.3 C.7.6.3) of 8 bits a sample: MONOCHROME2, or colour, interleaved."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    if photometric != "MONOCHROME2":
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0


def describe_playback(dataset: Dataset, *, interval_ms: float, frame_time_ms: float | None = None) -> None:
    """Cine and Multi-frame modules (PS3.3 C.7.6.5, C.7.6.6): a viewer shows a frame every `interval_ms`, and again.

    `frame_time_ms` is Frame Time where that is to tell another interval.
    """
    dataset.FrameIncrementPointer = 0x00181063
    dataset.FrameTime = decimal_string(interval_ms if frame_time_ms is None else frame_time_ms)
    dataset.CineRate = dataset.RecommendedDisplayFrameRate = max(round(1000.0 / interval_ms), 1)
    dataset.PreferredPlaybackSequencing = 0


def decimal_string(value: float) -> str:
    """A DS of at most 16 characters, to six places: milliseconds to a nanosecond."""
    return f"{value:.6f}".rstrip("0").rstrip(".")[:16]


def burned_in(header: Dataset) -> str:
    """Burned In Annotation (0028,0301) of what shows pixels of a source: YES where that does not tell."""
    known = elements.text(header, "BurnedInAnnotation")
    return known if known in ("YES", "NO") else "YES"


def model_words(package: Package) -> str:
    """A model for people: name, version and the beginning of its digest."""
    return f"{package.name} {package.version} (package sha256 {package.digest[:16]})"


def check_picture(picture: Picture) -> None:
    """That a picture is one.

    Raises:
        BadInput: it is no uint8 H x W x 3, or empty.
    """
    pixels = picture.pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or not pixels.size:
        raise BadInput(f"a picture is uint8 H x W x 3, not {pixels.dtype} {pixels.shape}")


def colour_of(picture: np.ndarray) -> np.ndarray:
    """A picture uint8 H x W, H x W x 1 or H x W x 3 as H x W x 3 of its own."""
    flat = picture.reshape(picture.shape[0], picture.shape[1], -1)
    return np.repeat(flat, 3, axis=2) if flat.shape[2] == 1 else np.array(flat)


def sentences(*parts: str) -> str:
    """Text for Derivation Description (ST): ASCII, at most 1024 characters."""
    return " ".join(part for part in parts if part).encode("ascii", "replace").decode()[:1024]
