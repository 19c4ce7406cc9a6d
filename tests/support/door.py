"""An archive with its ingest door in a folder, and small objects to send through it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.core.facts import Facts
from echonode.core.received import Origin, Receipt, ReceivedObject
from echonode.core.settings import LimitsSection, NodeSettings, StorageSection
from echonode.core.work import WorkKind, WorkRequest
from echonode.dicom.part10 import part10_head
from echonode.flow.ingest import Ingest

EXPLICIT = str(ExplicitVRLittleEndian)


def plan_one_run(facts: Facts) -> Sequence[WorkRequest]:
    """One run for every object."""
    return [
        WorkRequest(
            kind=WorkKind.RUN,
            queue="model",
            unique_key=f"run:{facts.sop_instance_uid}",
            study_uid=facts.study_uid,
            series_uid=facts.series_uid,
            sop_instance_uid=facts.sop_instance_uid,
            route="every-loop",
        )
    ]


def encoded(dataset: Dataset, transfer_syntax_uid: str = EXPLICIT) -> bytes:
    """The data set's bytes; pixel data must fit the syntax already."""
    syntax, out = UID(transfer_syntax_uid), DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    write_dataset(out, dataset)
    return bytes(out.getvalue())


def picture(uid: str = "1.2.3.4", **values: Any) -> Dataset:
    """A tiny ultrasound picture; `values` are further attributes by keyword, None removes one."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    dataset.SOPInstanceUID = uid
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.3.1"
    dataset.Modality = "US"
    dataset.PatientID = "P1"
    dataset.PatientName = "Echo^Ada"
    dataset.PatientBirthDate = "19600101"
    dataset.StudyDate = "20260102"
    dataset.StudyTime = "101112"
    dataset.AccessionNumber = "A1"
    dataset.Rows = dataset.Columns = 4
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.add_new("PixelData", "OB", bytes(range(16)))
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        elif keyword == "PixelData":
            dataset.add_new(keyword, "OB", value)
        else:
            setattr(dataset, keyword, value)
    return dataset


class DoorBench:
    """Archive, blobs and door under one folder, opened as a process of the node would."""

    def __init__(
        self,
        root: Path,
        *,
        planner: Any = plan_one_run,
        refuse_below_bytes: int = 0,
        nesting: int = 64,
        recogniser: Any = None,
    ) -> None:
        self.root = root
        self.archive = Archive.open(f"sqlite:///{root / 'echonode.sqlite3'}", migrate=True)
        self.blobs = LocalBlobs(root)
        storage = StorageSection(refuse_below_bytes=refuse_below_bytes, warn_below_bytes=0)
        settings = NodeSettings(storage=storage, limits=LimitsSection(nesting=nesting))
        self.ingest = Ingest(
            archive=self.archive, blobs=self.blobs, planner=planner, settings=settings, recogniser=recogniser
        )

    def received(self, content: bytes, *, syntax: str = EXPLICIT, **values: Any) -> ReceivedObject:
        """`content` as an edge would hand it over."""
        caller = values.pop("source_ae", "")
        head = part10_head(
            sop_class_uid=values.get("sop_class_uid", ""),
            sop_instance_uid=values.get("sop_instance_uid", ""),
            transfer_syntax_uid=syntax,
            source_ae=caller,
        )
        part = self.blobs.new_part()
        part.write_bytes(head + content)
        settled: dict[str, Any] = {
            "sop_class_uid": "",
            "sop_instance_uid": "",
            "origin": Origin.DIMSE,
            "calling_ae": "SCANNER",
            "called_ae": "ECHONODE",
            "peer_address": "127.0.0.1",
            "correlation_id": "association-1",
        }
        return ReceivedObject(
            part=part,
            dataset_offset=len(head),
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            transfer_syntax_uid=syntax,
            **settled | values,
        )

    def send(self, content: Dataset | bytes, *, syntax: str = EXPLICIT, **values: Any) -> Receipt:
        """What the door says to a data set or to raw bytes."""
        content = content if isinstance(content, bytes) else encoded(content, syntax)
        return self.ingest.accept(self.received(content, syntax=syntax, **values))

    def stored_bytes(self, sop_instance_uid: str) -> bytes:
        """The data set's bytes as they lie in the store."""
        stored = self.archive.index.instance(sop_instance_uid)
        assert stored is not None
        return Path(stored.path).read_bytes()[stored.dataset_offset :]

    def files(self, folder: str) -> list[Path]:
        """Every file under a folder of the store, locks aside."""
        return [path for path in (self.root / folder).rglob("*") if path.is_file() and path.name != "lock"]
