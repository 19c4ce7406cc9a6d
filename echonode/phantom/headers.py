"""The header of a simulated object, module by module, as a scanner of that make writes it (PS3.3 A.6, A.7).

Three attributes say that nobody was examined: Quality Control Subject and Quality Control Image, which the standard has for
phantoms, and Synthetic Data; Image Comments says it in words.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from echonode import __version__
from echonode.core.clip import Region, SpatialFormat
from echonode.core.codes import Code
from echonode.dicom.views import view_code
from echonode.phantom.acquire import Acquisition
from echonode.phantom.dialect import Dialect, Timing, ViewTold
from echonode.phantom.frames import EncodedPixels
from echonode.phantom.machine import Machine
from echonode.phantom.order import Order
from echonode.phantom.sweep import Sweep
from echonode.phantom.views import View

US_IMAGE = "1.2.840.10008.5.1.4.1.1.6.1"
COMMENT = "Simulated"
_SHORT_NAMES = {View.SUBCOSTAL: "SC-LAX"}
_TWO_D, _COLOUR, _M_MODE = 0x0001, 0x0010, 0x0002
_FRAME_TIME, _FRAME_TIME_VECTOR = 0x00181063, 0x00181065


def put_patient_and_study(dataset: Dataset, order: Order) -> None:
    """Patient, General Study, Patient Study (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2)."""
    person = order.study.patient
    dataset.PatientName, dataset.PatientID = order.patient_name, order.patient_id
    dataset.PatientBirthDate = order.birth_date.strftime("%Y%m%d")
    dataset.PatientSex = person.sex.value
    dataset.PatientComments = "Simulated: there is no such person"
    dataset.QualityControlSubject = "YES"
    dataset.PatientAge = f"{min(order.age_years, 999):03d}Y"
    dataset.PatientSize = f"{person.height_cm / 100:.3f}"
    dataset.PatientWeight = f"{person.weight_kg:.1f}"
    dataset.StudyInstanceUID, dataset.StudyID = order.study_uid, order.study_id
    dataset.StudyDate, dataset.StudyTime = _date(order.started), _time(order.started)
    dataset.AccessionNumber = order.accession_number
    dataset.ReferringPhysicianName = None
    dataset.StudyDescription = order.study.preset.title


def put_series_and_equipment(dataset: Dataset, order: Order, machine: Machine) -> None:
    """General Series, General Equipment (PS3.3 C.7.3.1, C.7.5.1)."""
    dataset.Modality, dataset.BodyPartExamined = "US", "HEART"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = order.series_uid, 1
    dataset.SeriesDate, dataset.SeriesTime = _date(order.started), _time(order.started)
    dataset.SeriesDescription = order.study.preset.title
    dataset.OperatorsName = "PHANTOM^OPERATOR"
    dataset.Manufacturer = f"PHANTOM {machine.manufacturer}"[:64]
    dataset.ManufacturerModelName = machine.model[:64]
    dataset.SoftwareVersions = [machine.software[:64], f"echonode phantom {__version__}"]
    dataset.DeviceSerialNumber = f"SIM{order.study.seed}"
    dataset.InstitutionName, dataset.StationName = "Phantom room", "PHANTOM"


def put_image(dataset: Dataset, *, order: Order, number: int, kind: str, modes: int) -> None:
    """General Image, US Image, SOP Common, and the marks of simulation (PS3.3 C.7.6.1, C.8.5.6, C.12.1)."""
    taken = order.taken(number)
    dataset.InstanceNumber = number
    dataset.ImageType = ["ORIGINAL", "PRIMARY", kind, f"{modes:04X}"]
    dataset.PatientOrientation = None
    for prefix in ("InstanceCreation", "Acquisition", "Content"):
        setattr(dataset, f"{prefix}Date", _date(taken))
        setattr(dataset, f"{prefix}Time", _time(taken))
    dataset.ImageComments = COMMENT
    dataset.BurnedInAnnotation = "YES"
    dataset.QualityControlImage = "YES"
    dataset.SyntheticData = "YES"


def put_pixels(dataset: Dataset, pixels: EncodedPixels, *, rows: int, columns: int) -> None:
    """Image Pixel (PS3.3 C.7.6.3) and the lossy history."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = pixels.samples, pixels.photometric
    if pixels.planar is not None:
        dataset.PlanarConfiguration = pixels.planar
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.LossyImageCompression = "00"
    if pixels.method is not None and pixels.ratio is not None:
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionMethod = pixels.method
        dataset.LossyImageCompressionRatio = f"{pixels.ratio:.3f}"
    dataset.add_new(0x7FE00010, "OB", pixels.value)
    dataset["PixelData"].is_undefined_length = pixels.encapsulated


def put_regions(dataset: Dataset, regions: tuple[Region, ...]) -> None:
    """US Region Calibration (PS3.3 C.8.5.5)."""
    dataset.SequenceOfUltrasoundRegions = Sequence([_region(region) for region in regions])


def put_loop(dataset: Dataset, loop: Acquisition, dialect: Dialect) -> None:
    """Cine, Multi-frame and what a loop tells of heart rate and R waves (PS3.3 C.7.6.5, C.7.6.6, C.8.5.6)."""
    count = len(loop.frames)
    dataset.NumberOfFrames = count
    dataset.StartTrim, dataset.StopTrim = 1, count
    interval = float(loop.times_ms[-1] - loop.times_ms[0]) / max(count - 1, 1)
    if dialect.timing is Timing.VECTOR:
        dataset.FrameIncrementPointer = _FRAME_TIME_VECTOR
        # Rounded as times, not as intervals: the last frame then stays where it was.
        dataset.FrameTimeVector = ["0", *(f"{step:.3f}" for step in np.diff(np.round(loop.times_ms, 3)))]
    else:
        dataset.FrameIncrementPointer = _FRAME_TIME
        dataset.FrameTime = f"{interval:.6f}"
    rate = max(round(1000.0 / interval), 1)
    dataset.CineRate = dataset.RecommendedDisplayFrameRate = rate
    dataset.PreferredPlaybackSequencing = 0
    dataset.EffectiveDuration = f"{count * interval / 1000:.6f}"
    put_heart_rate(dataset, loop.heart_rate_bpm, loop.r_waves_ms if dialect.r_waves else ())
    dataset.UltrasoundColorDataPresent = int(loop.colour)


def put_heart_rate(dataset: Dataset, bpm: float, r_waves_ms: tuple[float, ...]) -> None:
    """Heart Rate, and R Wave Time Vector in ms from the first frame."""
    dataset.HeartRate = round(bpm)
    if r_waves_ms:
        dataset.RWaveTimeVector = [float(wave) for wave in r_waves_ms]


def put_view(dataset: Dataset, view: View, told: ViewTold) -> None:
    """View Name or View Code Sequence (PS3.3 C.8.5.6.1.3, CID 12226), or nothing."""
    name = _SHORT_NAMES.get(view, view.value)
    code = view_code(name)
    if told is ViewTold.CODE and code is not None:
        dataset.ViewCodeSequence = Sequence([_code(code)])
    elif told is not ViewTold.NONE:
        dataset.ViewName = name
        # Required beside a View Name, and empty where there is no protocol of stages (type 2C).
        dataset.NumberOfStages = dataset.NumberOfViewsInStage = None


def put_stage(dataset: Dataset, *, stage: str, stage_number: int, stages: int, view_number: int, views: int) -> None:
    """What a stress protocol adds to US Image (PS3.3 C.8.5.6)."""
    dataset.StageName, dataset.StageNumber, dataset.NumberOfStages = stage[:16], stage_number, stages
    dataset.ViewNumber, dataset.NumberOfViewsInStage = view_number, views


def put_transducer(dataset: Dataset, made: Acquisition | Sweep) -> None:
    """What US Image tells of the transducer and its settings."""
    dataset.TransducerData = [made.machine.transducer[:16]]
    dataset.TransducerType = "SECTOR_PHASED"
    if made.machine.depth_mm is not None:
        dataset.DepthOfScanField = round(made.machine.depth_mm)


def modes_of(made: Acquisition | Sweep) -> int:
    """Value 4 of Image Type as a number (PS3.3 C.8.5.6.1.1)."""
    if isinstance(made, Sweep):
        return _M_MODE
    return _COLOUR | _TWO_D if made.colour else _TWO_D


def _region(region: Region) -> Dataset:
    """An item of the sequence; an axis without unit is written as none, one wide (PS3.3 C.8.5.5.1.15)."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType = region.spatial_format, region.data_type
    item.RegionFlags = region.flags
    item.RegionLocationMinX0, item.RegionLocationMinY0 = region.x0, region.y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = region.x1, region.y1
    if region.reference_x is not None and region.reference_y is not None:
        item.ReferencePixelX0, item.ReferencePixelY0 = region.reference_x, region.reference_y
        if region.spatial_format == SpatialFormat.TWO_D:
            item.ReferencePixelPhysicalValueX = item.ReferencePixelPhysicalValueY = 0.0
    for axis, unit, delta in (("X", region.units_x, region.delta_x), ("Y", region.units_y, region.delta_y)):
        setattr(item, f"PhysicalUnits{axis}Direction", unit or 0)
        setattr(item, f"PhysicalDelta{axis}", float(delta) if delta else 1.0)
    return item


def _code(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item


def _date(when: datetime) -> str:
    return when.strftime("%Y%m%d")


def _time(when: datetime) -> str:
    return when.strftime("%H%M%S")
