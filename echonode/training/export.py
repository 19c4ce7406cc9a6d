"""Objects of the node's archive as a working copy to learn from: without names, with the labels of reviewed reports.

The header is made anew from a list of what describes the picture (the opposite of deleting what is known to name a
person, PS3.15 E.1), UIDs and patients become keyed digests. The pixels stay as they are: a name that a scanner burned
in is still there, so the copy belongs to the site and is never given away.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

from echonode.archive.archive import Archive
from echonode.core.errors import BadInput
from echonode.core.identity import derived_uid
from echonode.core.query import StoredInstance
from echonode.core.query_text import keys_of_query
from echonode.training.atomic import write_text

LABELS_FILE = "labels.json"
KEPT = (
    "SpecificCharacterSet",
    "SOPClassUID", "Modality", "ImageType", "Manufacturer", "ManufacturerModelName", "PatientSex", "PatientSpeciesDescription",
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "FrameIncrementPointer", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelAspectRatio", "FrameTime",
    "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate", "HeartRate", "RWaveTimeVector", "StageName", "StageNumber",
    "NumberOfStages", "ViewName", "ViewNumber", "NumberOfViewsInStage", "SequenceOfUltrasoundRegions", "LossyImageCompression",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData", "ViewCodeSequence",
    "PixelData",
)  # fmt: skip
METHOD = "header made anew from attributes of the picture"


def export(archive: Archive, query: str, folder: Path, *, key: bytes) -> int:
    """Write the pictures that fit `query` to folder/PATIENT/STUDY/OBJECT.dcm and labels.json beside them; how many.

    `query` is KEYWORD=VALUE with & between; * and ? stand for characters, StudyDate takes FIRST-LAST, and an empty one
    takes everything. What echonode made itself is left out. `key` decides the digests in place of identifiers.

    labels.json: study -> the numbers of its verified reports, each with code, scheme, meaning, value and unit.

    Raises:
        BadInput: a query that is none, or nothing fits.
    """
    found = archive.index.select(keys_of_query(query, called="archive:"))
    pictures = [each for each in found if not each.derived]
    written = 0
    labels: dict[str, list[dict[str, Any]]] = {}
    for stored in pictures:
        source = pydicom.dcmread(stored.path)
        if "PixelData" not in source:
            continue
        place = folder / _name(stored.patient_id or stored.study_uid, key) / _name(stored.study_uid, key)
        place.mkdir(parents=True, exist_ok=True)
        _bare(source, stored, key).save_as(
            place / f"{_name(stored.sop_instance_uid, key)}.dcm", enforce_file_format=True
        )
        written += 1
        if place.name not in labels:
            labels[place.name] = list(_labels(archive, stored.study_uid))
    if not written:
        raise BadInput(f"archive:{query}: no picture in the archive fits")
    write_text(folder / LABELS_FILE, json.dumps(labels, indent=1, sort_keys=True) + "\n")
    return written


def read_labels(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What `export` wrote beside the pictures: study folder's name -> numbers of its verified reports; empty for none."""
    path = folder / LABELS_FILE
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _name(identifier: str, key: bytes) -> str:
    return hmac.new(key, identifier.encode(), hashlib.sha256).hexdigest()[:16]


def _bare(source: Dataset, stored: StoredInstance, key: bytes) -> Dataset:
    """A new object with what describes the picture alone."""
    made = Dataset()
    for keyword in KEPT:
        if keyword in source:
            made[keyword] = source[keyword]
    made.remove_private_tags()
    secret = key.hex()
    made.SOPInstanceUID = derived_uid(secret, stored.sop_instance_uid)
    made.SeriesInstanceUID = derived_uid(secret, stored.series_uid)
    made.StudyInstanceUID = derived_uid(secret, stored.study_uid)
    made.PatientID = _name(stored.patient_id or stored.study_uid, key)
    made.PatientName = ""
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = METHOD
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = source.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
    return made


def _labels(archive: Archive, study_uid: str) -> Iterator[dict[str, Any]]:
    """Every coded number of every report of the study that a person has verified (0040,A493)."""
    for stored in archive.index.instances(study_uid=study_uid):
        report = pydicom.dcmread(stored.path, stop_before_pixels=True)
        if report.get("VerificationFlag") == "VERIFIED":
            yield from _numbers(report)


def _numbers(content: Dataset) -> Iterator[dict[str, Any]]:
    for item in content.get("ContentSequence") or ():
        if item.get("ValueType") == "NUM" and item.get("MeasuredValueSequence") and item.get("ConceptNameCodeSequence"):
            measured, concept = item.MeasuredValueSequence[0], item.ConceptNameCodeSequence[0]
            unit = measured.get("MeasurementUnitsCodeSequence")
            yield _label(concept, float(measured.NumericValue), str(unit[0].get("CodeValue", "")) if unit else "")
        yield from _numbers(item)


def _label(concept: Mapping[Any, Any] | Dataset, value: float, unit: str) -> dict[str, Any]:
    return {
        "code": str(concept.get("CodeValue", "")), "scheme": str(concept.get("CodingSchemeDesignator", "")),
        "meaning": str(concept.get("CodeMeaning", "")), "value": value, "unit": unit,
    }  # fmt: skip
