"""What a header tells of an object before any pixel is decoded: mode, view, timing, calibration, origin."""

from __future__ import annotations

import math

from echonode.core.clip import Mode, Region, SpatialFormat
from echonode.core.facts import Facts
from echonode.core.identity import IMPLEMENTATION_CLASS_UID
from echonode.core.views import ViewsFile
from echonode.dicom import elements, patient
from echonode.dicom.elements import DataSet
from echonode.dicom.regions import CENTIMETRES_A_SECOND, COLOUR_FLOW, CW_SPECTRAL, is_calibrated, regions_of
from echonode.dicom.simulated import is_simulated
from echonode.dicom.timing import frame_times_ms
from echonode.dicom.views import told_view

PRIVATE_CREATOR = "ECHONODE 1.0"
MANUFACTURER = "echonode"

_STORAGE = "1.2.840.10008.5.1.4.1.1."
ULTRASOUND = frozenset(_STORAGE + tail for tail in ("3", "3.1", "6", "6.1"))
_VOLUMES = frozenset(_STORAGE + tail for tail in ("6.2", "66"))
_PAGES = frozenset(_STORAGE + tail for tail in ("7", "7.1", "7.2", "7.3", "7.4", "104.1"))
_REPORTS = frozenset(_STORAGE + tail for tail in ("88.11", "88.22", "88.33", "88.34", "88.59", "88.72"))
_TISSUE_SPEED = 60.0
"""Centimetres a second that a pulsed strip spans in all where it can only be the wall that moves: blood is faster."""
_LONGEST = 256
"""Characters that are kept of a text; LO has 64, but some scanners write more."""
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def facts_of(
    header: DataSet, *, transfer_syntax_uid: str, calling_ae: str = "", views: ViewsFile | None = None
) -> Facts:
    """The facts of one instance; a malformed value is an absent one.

    `header` may end before the pixels: `has_pixels` then follows from Rows and Columns. `views` is views.toml.
    """
    regions = regions_of(header)
    rows, columns = elements.unsigned(header, "Rows") or 0, elements.unsigned(header, "Columns") or 0
    frames = _count(header, "NumberOfFrames") or 1
    mode, mode_reason = mode_of(header, regions)
    told = told_view(header, rules=views, calling_ae=calling_ae)
    has_pixels = (rows > 0 and columns > 0) or any(elements.has(header, name) for name in _PIXELS)
    # A header that claims millions of frames must not make an array of their times here.
    times = frame_times_ms(header) if has_pixels and 1 < frames <= 100_000 else None
    timed = times is not None and times.timed
    heart_rate = elements.decimal(header, "HeartRate")
    return Facts(
        sop_instance_uid=elements.text(header, "SOPInstanceUID"),
        sop_class_uid=elements.text(header, "SOPClassUID"),
        series_uid=elements.text(header, "SeriesInstanceUID"),
        study_uid=elements.text(header, "StudyInstanceUID"),
        transfer_syntax_uid=transfer_syntax_uid,
        modality=_line(header, "Modality"),
        manufacturer=_line(header, "Manufacturer"),
        model=_line(header, "ManufacturerModelName"),
        calling_ae=calling_ae,
        image_type=elements.texts(header, "ImageType"),
        mode=mode,
        mode_reason=mode_reason,
        view=told.view,
        view_reason=told.reason,
        view_source=told.source if told.view else "",
        view_told=told.view,
        view_told_by=told.source,
        view_told_reason=told.reason,
        view_firm=told.firm,
        view_number=_count(header, "ViewNumber"),
        stage=_line(header, "StageName") or None,
        rows=rows,
        columns=columns,
        frames=frames,
        has_pixels=has_pixels,
        frame_time_ms=times.interval_ms if times is not None and timed else None,
        longest_gap_ms=times.longest_gap_ms if times is not None and timed else None,
        frame_rate=times.frame_rate if times is not None and timed else None,
        heart_rate=heart_rate if heart_rate is not None and 10 <= heart_rate <= 400 else None,
        photometric=_line(header, "PhotometricInterpretation"),
        calibrated=is_calibrated(regions, rows=rows, columns=columns),
        patient_id=elements.text(header, "PatientID"),
        study_description=_line(header, "StudyDescription"),
        series_description=_line(header, "SeriesDescription"),
        age_years=patient.age_years(header),
        sex=patient.sex(header),
        height_m=patient.height_m(header),
        weight_kg=patient.weight_kg(header),
        species=_plain(patient.species(header)),
        transesophageal=patient.is_transesophageal(header),
        contrast=patient.is_contrast(header),
        protocol=_plain(patient.protocol(header)),
        simulated=is_simulated(header),
        derived=is_ours(header),
    )


def _line(header: DataSet, keyword: str) -> str:
    return _plain(elements.text(header, keyword))


def _plain(text: str) -> str:
    """A description as one line that is no longer than a report can have room for, without control characters."""
    return "".join(each if each.isprintable() else " " for each in text[:_LONGEST]).strip()


def _count(header: DataSet, keyword: str) -> int | None:
    """A number of something; None where it is negative, or more than the 32 bits of an IS (PS3.5 6.2)."""
    number = elements.integer(header, keyword)
    return number if number is not None and 0 <= number < 1 << 31 else None


def is_ours(header: DataSet) -> bool:
    """Whether echonode made the object: by its creator UID, its private block or its contributing equipment.

    Three marks, since an archive that the object went through may drop private elements or change the equipment.
    """
    if elements.text(header, "InstanceCreatorUID") == IMPLEMENTATION_CLASS_UID:
        return True
    blocks = [tag for tag in elements.tags(header) if tag & 0x10000 and 0x10 <= tag & 0xFFFF <= 0xFF]
    creators = [elements.stored(header, tag) for tag in blocks]
    for value in (creator.value for creator in creators if creator is not None):
        if str(value.decode("latin-1") if isinstance(value, bytes) else value).strip(" \0") == PRIVATE_CREATOR:
            return True
    return any(
        elements.text(item, "Manufacturer").lower() == MANUFACTURER
        for item in elements.items(header, "ContributingEquipmentSequence")
    )


def mode_of(header: DataSet, regions: tuple[Region, ...]) -> tuple[Mode, str]:
    """The mode and why: SOP class first, then the regions, then value 4 of Image Type (PS3.3 C.8.5.6.1.1)."""
    sop_class = elements.text(header, "SOPClassUID")
    if sop_class in _VOLUMES:
        return Mode.VOLUME, "SOP class of volumes or raw data"
    if sop_class in _PAGES:
        return Mode.REPORT, "SOP class of captures and documents"
    if sop_class in _REPORTS:
        return Mode.REPORT, "SOP class of structured reports"
    if sop_class not in ULTRASOUND and elements.text(header, "Modality") != "US":
        return Mode.UNKNOWN, "no ultrasound object"
    by_regions = _mode_of_regions(header, regions)
    by_type = _mode_of_image_type(header)
    if by_regions is None:
        return by_type or (Mode.UNKNOWN, "neither a region nor Image Type tells the mode")
    if by_regions[0] is Mode.B_MODE and by_type is not None and by_type[0] is not Mode.B_MODE:
        # Colour loops often carry tissue regions alone: Image Type then knows better.
        return by_type[0], f"{by_type[1]}, though the regions are tissue alone"
    return by_regions


def _mode_of_regions(header: DataSet, regions: tuple[Region, ...]) -> tuple[Mode, str] | None:
    spectral = [region for region in regions if region.spatial_format == SpatialFormat.SPECTRAL]
    if spectral:
        if _is_tissue_doppler(header):
            return Mode.TDI, "spectral region, labelled tissue Doppler"
        mode = Mode.CW if any(region.data_type == CW_SPECTRAL for region in spectral) else Mode.PW
        span = min((_speed_span(region) for region in spectral), default=math.inf)
        if mode is Mode.PW and span <= _TISSUE_SPEED:
            return Mode.TDI, f"spectral region over {span:.0f} cm/s in all: slow as tissue"
        return mode, f"spectral region, data type {spectral[0].data_type}"
    sweeps = [region for region in regions if region.spatial_format == SpatialFormat.M_MODE]
    if sweeps:
        colour = any(region.data_type == COLOUR_FLOW for region in sweeps)
        return (Mode.COLOUR_M_MODE if colour else Mode.M_MODE), "M-mode region"
    pictures = [region for region in regions if region.spatial_format == SpatialFormat.TWO_D]
    if not pictures:
        return None
    if any(region.data_type == COLOUR_FLOW for region in pictures):
        return Mode.COLOUR, "2D region with colour flow"
    count = f"{len(pictures)} 2D tissue regions" if len(pictures) > 1 else "2D tissue region alone"
    return Mode.B_MODE, count


def _speed_span(region: Region) -> float:
    """Centimetres a second from the bottom to the top of a spectral region; infinite where its scale is not told."""
    if region.units_y != CENTIMETRES_A_SECOND or not region.delta_y:
        return math.inf
    return abs(region.delta_y) * (region.y1 - region.y0 + 1)


def _is_tissue_doppler(header: DataSet) -> bool:
    labels = " ".join(
        part
        for keyword in ("ImageType", "SeriesDescription", "ProtocolName", "ImageComments", "ViewName")
        for part in elements.texts(header, keyword)
    ).upper()
    return any(word in labels.replace("_", " ").split() for word in ("TDI", "DTI", "TVI")) or "TISSUE DOPPLER" in labels


def _mode_of_image_type(header: DataSet) -> tuple[Mode, str] | None:
    values = elements.texts(header, "ImageType")
    try:
        bits = int(values[3], 16)
    except (IndexError, ValueError):
        return None
    reason = f"Image Type value 4 is {values[3]}"
    for bit, mode in (
        (0x0004, Mode.CW),
        (0x0008, Mode.PW),
        (0x0020, Mode.COLOUR_M_MODE),
        (0x0002, Mode.M_MODE),
        (0x0040, Mode.VOLUME),
        (0x0010, Mode.COLOUR),
        (0x0100, Mode.COLOUR),
        (0x0001, Mode.B_MODE),
    ):
        if bits & bit:
            return mode, reason
    return None
