"""Part 10 files of the objects that we make: their File Meta Information (PS3.10 7.1), and those without frames whole."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from echonode.core.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def file_meta(dataset: Dataset, *, transfer_syntax_uid: str) -> FileMetaDataset:
    """The file meta information of a data set that has its class and instance."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(dataset.SOPClassUID)
    meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def write_document(dataset: Dataset, path: Path) -> None:
    """The whole of `dataset` to `path`, in Explicit VR Little Endian."""
    dataset.file_meta = file_meta(dataset, transfer_syntax_uid=ExplicitVRLittleEndian)
    dcmwrite(path, dataset, enforce_file_format=True)
