"""The head that we put before received bytes must make a file that every DICOM program reads."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import dcmread

from echonode.dicom.part10 import part10_head
from tests.support.dimse import EXPLICIT_LE, US, small_object


def test_pydicom_reads_head_and_data_set() -> None:
    sop, data = small_object(1)
    head = part10_head(sop_class_uid=US, sop_instance_uid=sop, transfer_syntax_uid=EXPLICIT_LE, source_ae="US 1")
    dataset = dcmread(BytesIO(head + data))
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID == sop
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT_LE
    assert dataset.file_meta.SourceApplicationEntityTitle == "US 1"
    assert dataset.pixel_array.shape == (8, 8)


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2\0", "", "1" * 65, "1.2\n"])
def test_what_is_no_uid_is_left_empty(uid: str) -> None:
    head = part10_head(sop_class_uid=uid, sop_instance_uid=uid, transfer_syntax_uid=EXPLICIT_LE, source_ae="a\nb")
    assert b".." not in head
    assert b"\n" not in head
    assert not dcmread(BytesIO(head), force=True).file_meta.MediaStorageSOPInstanceUID


def test_without_a_transfer_syntax_there_is_no_file() -> None:
    with pytest.raises(ValueError, match="transfer syntax"):
        part10_head(sop_class_uid=US, sop_instance_uid="1.2", transfer_syntax_uid="../x")
