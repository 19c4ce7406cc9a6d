"""What the pictures that are made of a result have in common, beside `common`: series, equipment, secondary capture."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from pydicom.dataset import Dataset

from echonode.core.errors import BadInput
from echonode.core.package import Package
from echonode.core.results import Picture
from echonode.core.settings import NodeSection
from echonode.derive.common import base_dataset
from echonode.dicom import elements
from echonode.dicom.facts import MANUFACTURER

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COLOUR_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.4"
_LARGEST_NUMBER = (1 << 31) - 1


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
    """Patient, study, series, equipment and the words on research of a picture of a heart; UIDs are not yet written.

    `series` begins the Series Description, which ends in RESEARCH. Instance Number is the source's, so that both sort
    alike; with `index`, which counts several pictures of one source from 0, it is a hundred times that and `index`.
    """
    dataset = base_dataset(header, node=node, now=now)
    dataset.ManufacturerModelName = package.title[:64]
    dataset.SoftwareVersions = f"{package.name} {package.version}"[:64]
    dataset.Modality, dataset.SeriesNumber = modality, series_number
    dataset.SeriesDescription = f"{series} {package.name} {package.version}"[:55] + " RESEARCH"
    dataset.BodyPartExamined = "HEART"
    number = max(elements.integer(header, "InstanceNumber") or 1, 0)
    dataset.InstanceNumber = number if index is None else (number * 100 + index) % _LARGEST_NUMBER
    dataset.PatientOrientation = None
    dataset.ContentQualification = "RESEARCH"
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


def describe_colour(dataset: Dataset, *, rows: int, columns: int, photometric: str) -> None:
    """Image Pixel module (PS3.3 C.7.6.3) of 8 bit colour, interleaved."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, photometric
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0


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
