"""Small ultrasound loops as DICOM files: a bright disc that moves over a dim sector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ULTRASOUND_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"


def disc_frames(*, frames: int = 10, size: int = 160, seed: int = 0) -> np.ndarray:
    """uint8 T x H x W: speckle with a disc that moves three pixels a frame."""
    noise = np.random.default_rng(seed).integers(20, 60, (size, size), dtype=np.uint8)
    rows, columns = np.mgrid[:size, :size]
    movie = np.repeat(noise[None], frames, axis=0)
    for number in range(frames):
        x = size // 4 + 3 * number % (size // 2)
        movie[number][(rows - size // 2) ** 2 + (columns - x) ** 2 < (size // 6) ** 2] = 200
    return movie


def loop_dataset(
    *,
    study_uid: str = "",
    sop_instance_uid: str = "",
    patient_id: str = "P1",
    patient_name: str = "Echo^Ada",
    frames: int = 10,
    size: int = 160,
    seed: int = 0,
    colour_region: bool = False,
) -> Dataset:
    """A greyscale B-mode loop of 50 frames a second, as a data set with file meta."""
    movie = disc_frames(frames=frames, size=size, seed=seed)
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "TTE", "0001"]
    dataset.SOPClassUID = ULTRASOUND_MULTIFRAME
    dataset.SOPInstanceUID = sop_instance_uid or generate_uid()
    dataset.StudyDate, dataset.StudyTime = "20260102", "101112"
    dataset.AccessionNumber = "A1"
    dataset.Modality = "US"
    dataset.Manufacturer = "Simulated Scanner"
    dataset.ReferringPhysicianName = ""
    dataset.PatientName, dataset.PatientID = patient_name, patient_id
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
    dataset.StudyInstanceUID = study_uid or generate_uid()
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[dataset.StudyInstanceUID])
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, 1
    dataset.PatientOrientation = None
    dataset.FrameTime, dataset.CineRate = "20", 50
    dataset.FrameIncrementPointer = 0x00181063
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 2 if colour_region else 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = size - 1, size - 1
    region.PhysicalUnitsXDirection, region.PhysicalUnitsYDirection = 3, 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, 0.02
    dataset.SequenceOfUltrasoundRegions = [region]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames, size, size
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = movie.tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def write_loop(path: Path, **attributes: object) -> Dataset:
    """`loop_dataset` written to `path` as a Part 10 file."""
    dataset = loop_dataset(**attributes)  # type: ignore[arg-type]
    dataset.save_as(path, enforce_file_format=True)
    return dataset
