"""How fast the archive takes objects and answers queries, on the machine and file system it runs on.

    python benchmarks/archive.py --folder FOLDER [--objects 400] [--sizes 2000 20000 100000]

Ingest: `Ingest.accept` of 256 KB objects whose bytes lie in a part file already, from 1 and from 8 threads of one
process; every receipt is checked. Query: C-FIND identifiers answered by `flow.query.find`, every answer counted,
against an index whose rows were inserted directly; p50 and p95 in milliseconds.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.archive.entry import identity_of, person_columns
from echonode.archive.schema import INSTANCE, PATIENT, SERIES, STUDY
from echonode.core.received import ReceivedObject
from echonode.core.settings import NodeSettings
from echonode.dicom.part10 import part10_head
from echonode.flow.ingest import Ingest
from echonode.flow.query import find

OBJECT_BYTES = 256 << 10
SERIES_A_STUDY, INSTANCES_A_SERIES = 2, 10
QUERIES = 200


def still(number: int, pixels: bytes) -> bytes:
    """One ultrasound still of about 256 KB."""
    dataset = Dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "TTE", "0001"]
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    dataset.SOPInstanceUID = f"1.2.3.{number // 20}.1.{number}"
    dataset.StudyDate, dataset.StudyTime = "20260102", "101112"
    dataset.AccessionNumber, dataset.Modality, dataset.Manufacturer = f"A{number // 20}", "US", "Bench"
    dataset.PatientName, dataset.PatientID = f"Bench^{number // 20}", f"P{number // 20}"
    dataset.PatientBirthDate, dataset.PatientSex = "19600101", "O"
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 10
    region.RegionLocationMaxX1 = region.RegionLocationMaxY1 = 400
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.05
    dataset.SequenceOfUltrasoundRegions = [region]
    dataset.StudyInstanceUID = f"1.2.3.{number // 20}"
    dataset.SeriesInstanceUID = f"1.2.3.{number // 20}.1"
    dataset.InstanceNumber = str(number)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = 512
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.add_new("PixelData", "OB", pixels)
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = False, True
    write_dataset(out, dataset)
    return bytes(out.getvalue())


def ingest_rate(folder: Path, *, objects: int, threads: int) -> tuple[float, float]:
    """Objects a second, and the median time of one receipt in ms."""
    archive = Archive.open(f"sqlite:///{folder / 'echonode.sqlite3'}", migrate=True)
    blobs = LocalBlobs(folder)
    door = Ingest(archive=archive, blobs=blobs, planner=lambda facts: (), settings=NodeSettings())
    pixels = random.Random(0).randbytes(OBJECT_BYTES)
    waiting: list[ReceivedObject] = []
    for number in range(objects):
        content = still(number, pixels)
        head = part10_head(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.6.1",
            sop_instance_uid=f"1.2.3.{number // 20}.1.{number}",
            transfer_syntax_uid=ExplicitVRLittleEndian,
        )
        part = blobs.new_part()
        part.write_bytes(head + content)
        waiting.append(
            ReceivedObject(
                part=part,
                dataset_offset=len(head),
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                sop_class_uid="1.2.840.10008.5.1.4.1.1.6.1",
                sop_instance_uid=f"1.2.3.{number // 20}.1.{number}",
                transfer_syntax_uid=ExplicitVRLittleEndian,
                calling_ae="BENCH",
                correlation_id=f"a{number % threads}",
            )
        )
    seconds: list[float] = []

    def work(mine: list[ReceivedObject]) -> None:
        for received in mine:
            begin = time.perf_counter()
            assert door.accept(received).accepted
            seconds.append(time.perf_counter() - begin)

    workers = [threading.Thread(target=work, args=(waiting[first::threads],)) for first in range(threads)]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rate = objects / (time.perf_counter() - begin)
    assert archive.index.totals()["instances"] == objects
    archive.close()
    return rate, statistics.median(seconds) * 1e3


def fill(archive: Archive, *, first: int, last: int) -> None:
    """Rows of instances `first` to `last`, spread over patients, studies and series."""
    in_a_study = SERIES_A_STUDY * INSTANCES_A_SERIES
    rows: dict[Any, list[dict[str, Any]]] = {PATIENT: [], STUDY: [], SERIES: [], INSTANCE: []}
    for number in range(first, last):
        study, series = number // in_a_study, number // INSTANCES_A_SERIES
        if number % in_a_study == 0:
            person = {
                "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"Name{study:06d}^Given"}]},
                "00100020": {"vr": "LO", "Value": [f"P{study:06d}"]},
            }
            columns = person_columns(identity_of(person), person)
            rows[PATIENT].append({"id": study + 1, "identity": f"P{study}", "attributes": person, **columns})
            date = f"{2000 + study % 27}{1 + study % 12:02d}{1 + study % 28:02d}"
            rows[STUDY].append(
                {
                    "id": study + 1, "study_uid": f"1.2.3.{study}", "patient_fk": study + 1, **columns,
                    "patient_attributes": person, "study_date": date, "study_time": "101112.000000",
                    "accession": f"A{study}", "study_id": f"S{study}", "referring_key": "",
                    "attributes": {
                        "0020000D": {"vr": "UI", "Value": [f"1.2.3.{study}"]},
                        "00080020": {"vr": "DA", "Value": [date]},
                    },
                    "first_received_at": 0.0, "last_received_at": 0.0,
                }
            )  # fmt: skip
        if number % INSTANCES_A_SERIES == 0:
            uid = f"1.2.3.{study}.{series}"
            attributes = {"0020000E": {"vr": "UI", "Value": [uid]}, "00080060": {"vr": "CS", "Value": ["US"]}}
            rows[SERIES].append(
                {"id": series + 1, "study_fk": study + 1, "series_uid": uid, "modality": "US", "attributes": attributes}
            )
        uid = f"1.2.3.{study}.{series}.{number}"
        blob = hashlib.sha256(uid.encode()).hexdigest()
        rows[INSTANCE].append(
            {
                "sop_instance_uid": uid, "series_fk": series + 1, "study_fk": study + 1,
                "sop_class_uid": "1.2.840.10008.5.1.4.1.1.6.1", "transfer_syntax_uid": "1.2.840.10008.1.2.1",
                "patient_id": f"P{study:06d}", "sha256": "", "blob": blob, "size": 1, "dataset_offset": 0,
                "derived": False, "hidden": False, "received_at": 0.0, "facts": {},
                "attributes": {
                    "00080018": {"vr": "UI", "Value": [uid]}, "00200013": {"vr": "IS", "Value": [number]},
                },
            }
        )  # fmt: skip
    with archive.transaction() as connection:
        for table, values in rows.items():
            connection.execute(insert(table), values)


def identifier(**keys: str) -> Dataset:
    """A C-FIND identifier."""
    dataset = Dataset()
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def questions(instances: int) -> dict[str, Callable[[random.Random], tuple[Dataset, int]]]:
    """Each query and how many answers it must have."""
    studies = instances // (SERIES_A_STUDY * INSTANCES_A_SERIES)
    wanted = {"StudyInstanceUID": "", "PatientName": "", "PatientID": "", "StudyDate": "", "AccessionNumber": ""}

    def at_study(answers: int, **keys: str) -> tuple[Dataset, int]:
        return identifier(QueryRetrieveLevel="STUDY", **{**wanted, **keys}), answers

    def images(chance: random.Random) -> tuple[Dataset, int]:
        series = chance.randrange(studies * SERIES_A_STUDY)
        study = f"1.2.3.{series // SERIES_A_STUDY}"
        keys = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{series}"}
        return identifier(QueryRetrieveLevel="IMAGE", SOPInstanceUID="", InstanceNumber="", **keys), INSTANCES_A_SERIES

    def counted(chance: random.Random) -> tuple[Dataset, int]:
        keys = {"NumberOfStudyRelatedInstances": "", "ModalitiesInStudy": ""}
        return at_study(1, PatientID=f"P{chance.randrange(studies):06d}", **keys)

    return {
        "by PatientID": lambda chance: at_study(1, PatientID=f"P{chance.randrange(studies):06d}"),
        "by PatientID, with counts": counted,
        "by AccessionNumber": lambda chance: at_study(1, AccessionNumber=f"A{chance.randrange(studies)}"),
        "by name prefix (10 answers)": lambda chance: at_study(
            10, PatientName=f"NAME{chance.randrange(studies // 10):05d}*"
        ),
        "images of a series (10 answers)": images,
    }


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    parser.add_argument("--objects", type=int, default=400)
    parser.add_argument("--sizes", type=int, nargs="*", default=[2000, 20000, 100000])
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="echonode-bench-", dir=options.folder))
    console = Console()
    try:
        table = Table("threads", "objects/s", "median ms", title="Ingest.accept, 256 KB objects, one process")
        for threads in (1, 8):
            rate, median = ingest_rate(folder / f"ingest-{threads}", objects=options.objects, threads=threads)
            table.add_row(str(threads), f"{rate:.0f}", f"{median:.2f}")
        console.print(table)
        archive = Archive.open(f"sqlite:///{folder / 'query' / 'echonode.sqlite3'}", migrate=True)
        table = Table("query", "instances", "p50 ms", "p95 ms", title="C-FIND answers built, one client")
        there = 0
        for size in options.sizes:
            fill(archive, first=there, last=size)
            there = size
            for name, question in questions(size).items():
                chance, times = random.Random(size), []
                for _ in range(QUERIES):
                    asked, expected = question(chance)
                    begin = time.perf_counter()
                    found = list(find(archive, asked, root="study", ae_title="ECHONODE"))
                    times.append((time.perf_counter() - begin) * 1e3)
                    assert len(found) == expected, (name, len(found))
                times.sort()
                table.add_row(name, str(size), f"{times[QUERIES // 2]:.2f}", f"{times[QUERIES * 95 // 100]:.2f}")
        console.print(table)
        archive.close()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
